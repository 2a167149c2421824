"""Formats numbers as short text; a missing or non-finite number becomes a dash."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def table(rows: Sequence[Sequence], headers: Sequence[str]) -> str:
    """A table for the console; whole numbers have thousands separators."""
    import tabulate

    return tabulate.tabulate(rows, headers, intfmt=",") + "\n"


NOTHING = "\N{EN DASH}"
# Printed wherever a packed size is: packed, a file cannot run.
PACKED = "the size in storage and transfer (python -m distill.pack), not in use"
# Printed wherever a modelled energy is.
ENERGY = (
    "modelled for an accelerator like Eyeriss, in accesses to a register; not measured"
)
AT_LEAST = "\N{GREATER-THAN OR EQUAL TO} "
AT_MOST = "\N{LESS-THAN OR EQUAL TO} "


def percent(value: float | None, digits: int = 2) -> str:
    """A number of percent or points, without its unit."""
    return _number(value, f".{digits}f")


def signed(value: float | None) -> str:
    """A difference in points, with its sign."""
    return _number(value, "+.2f")


def kilobytes(size: int | None) -> str:
    """Bytes in kB of 1000 bytes, without the unit."""
    return _number(None if size is None else size / 1000, ",.1f")


def file_size(size: int | None) -> str:
    """Bytes with a suitable unit, to three digits: `24.4 kB`."""
    return _scaled(size, "B")


def whole(value: int | None) -> str:
    """A whole number with thousands separators."""
    return _number(value, ",.0f")


def predicted(size: int, is_bound: bool) -> str:
    """A predicted size in bytes, or the size that a file can at most have."""
    return f"{AT_MOST if is_bound else ''}{size:,}"


def short(value: float | None) -> str:
    """A count to three digits: `1.23 M`."""
    return _scaled(value, "")


def macs(model: Mapping[str, Any], text: Callable[[float | None], str] = short) -> str:
    """Multiply-accumulates; where some are not known, a lower bound that says so.

    Args:
        model: Has `macs`, and as `uncounted` the names of what is not known.
        text: Writes the number.
    """
    bound = AT_LEAST if model.get("uncounted") else ""
    return f"{bound}{text(model['macs'])}"


def energy(
    model: Mapping[str, Any], text: Callable[[float | None], str] = short
) -> str:
    """The modelled energy for one input; a dash if it is not known.

    Args:
        model: May have `modelled_energy`: networks and older reports do not.
        text: Writes the number.
    """
    return text(model.get("modelled_energy"))


def energy_in_words(model: Mapping[str, Any]) -> str:
    """The modelled energy, and what it is; arguments of `energy`."""
    if model.get("modelled_energy") is None:
        return "not known: it is modelled for files of known ops"
    return f"{energy(model, whole)}: {ENERGY}"


def not_counted(models: Sequence[Mapping[str, Any]]) -> str:
    """What the sign of a lower bound means; empty where there is none."""
    names = dict.fromkeys(name for each in models for name in each.get("uncounted", ()))
    if not names:
        return ""
    listed = ", ".join(f"`{name}`" for name in names)
    return f"{AT_LEAST}at least: the multiply-accumulates of {listed} are not known"


def interval(latency: Mapping[str, Any] | None) -> str:
    """The interval of a median of `latency_ms`, without the unit."""
    if latency is None:
        return NOTHING
    return f"{plain(latency.get('low'))} to {plain(latency.get('high'))}"


def plain(value: float | None) -> str:
    """Three significant digits: `0.0123`, `1e-05`."""
    return _number(value, ".3g")


def milliseconds(latency: Mapping[str, Any] | None, key: str = "median") -> str:
    """One of the numbers of `latency_ms`, without the unit."""
    value = None if latency is None else latency[key]
    digits = 3 if not value or value < 1 else 2 if value < 10 else 1
    return _number(value, f",.{digits}f")


def seconds(value: float) -> str:
    """A duration in suitable units."""
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def ratio(reference: float | None, value: float | None, better: str, worse: str) -> str:
    """The ratio of `value` to `reference` in words: `14.2x smaller`.

    Args:
        reference: The number that is compared with.
        value: The number that is described.
        better: The word if `value` is smaller.
        worse: The word if it is larger.

    Returns:
        The text; empty if a number is missing or 0.
    """
    if not reference or not value:
        return ""
    factor, word = max((reference / value, better), (value / reference, worse))
    return f"{factor:.1f}\N{MULTIPLICATION SIGN} {word}"


def _number(value, style):
    if value is None or not math.isfinite(value):
        return NOTHING
    return format(value, style)


def _scaled(value, unit):
    if value is None or not math.isfinite(value):
        return NOTHING
    power = min(4, int(math.log10(value) // 3)) if value >= 1000 else 0
    scaled = value / 1000**power
    # 999.7 to three digits would be written `1e+03`.
    text = f"{scaled:.3g}" if scaled < 999.5 else f"{scaled:.0f}"
    return f"{text} {('', 'k', 'M', 'G', 'T')[power]}{unit}".rstrip()
