"""TensorFlow's own kernels beside oneDNN's: a few steps of all stages, in turn."""

import dataclasses
import statistics

from distill import config
from distill.runtime import errors, onednn, progress, versions
from distill.studies.speed import trial

MARGIN = 0.05  # Of a ratio; less is not worth other last bits.


def side_by_side(run: config.Run, *, rounds: int, steps: int) -> dict:
    """Trains with either kernels in turn, each time in a process of its own.

    Args:
        run: What is trained; its own `hardware.onednn` does not count.
        rounds: How often both are gone through.
        steps: Timed of each stage, after those that warm up.

    Returns:
        `kernels`, `0` and `1`, as TensorFlow is told, to what `trial.run` returns,
        one a round; `ratio`, of oneDNN's images per second to TensorFlow's own, the
        median over the rounds.

    Raises:
        ConfigError: See `onednn.check`; or if a process cannot train: says why.
    """
    onednn.check("true")
    found: dict[str, list[dict]] = {told: [] for told in onednn.NAMES}
    for index in range(rounds):
        for told, name in onednn.NAMES.items():
            progress.say(f"    {name} kernels, {index + 1} of {rounds}")
            tried = trial.run(
                _asking(run, "auto"), steps, environment={versions.KERNELS: told}
            )
            if "ended" in tried:
                raise errors.ConfigError(f"cannot be trained: {tried['ended']}")
            found[told].append(tried)
    ratios = [
        other["images_per_second"] / own["images_per_second"]
        for own, other in zip(*found.values(), strict=True)
    ]
    return {"kernels": found, "ratio": statistics.median(ratios)}


def table(result: dict) -> str:
    """What `side_by_side` found, for people: medians over the rounds."""
    import tabulate

    rows = []
    for told, rounds in result["kernels"].items():
        rates = [
            [found["images_per_second"], *trial.stage_rates(found)] for found in rounds
        ]
        middle = map(statistics.median, zip(*rates, strict=True))
        rows.append([onednn.NAMES[told], *(f"{rate:.0f}" for rate in middle)])
    headers = ["kernels", "images/s", *trial.stage_names(rounds[0])]
    return "\n".join(
        [
            tabulate.tabulate(rows, headers, stralign="right", disable_numparse=True),
            f"oneDNN's / TensorFlow's: {result['ratio']:.2f}: {_advice(result)}",
        ]
    )


def _advice(result):
    ratio = result["ratio"]
    if abs(ratio - 1) < MARGIN:
        return "no difference that is worth a change"
    faster = onednn.ONEDNN if ratio > 1 else onednn.OWN
    if faster == onednn.is_undecided():
        return "leave `hardware.onednn: auto`, which takes the faster here"
    return f"set `hardware.onednn: {str(ratio > 1).lower()}`"


def _asking(run, onednn):
    part = dataclasses.replace(run.hardware, onednn=onednn)
    return dataclasses.replace(run, hardware=part)
