"""Compares the speed of TensorFlow's kernels and oneDNN's in alternating trials."""

import dataclasses
import statistics

from distill import config
from distill.runtime import errors, onednn, progress, versions
from distill.studies.speed import trial

MARGIN = 0.05  # Smaller gains are not worth a change: results differ in the last bits.


def side_by_side(run: config.Run, *, rounds: int, steps: int) -> dict:
    """Trains with both kinds of kernels in turn, each time in a new process.

    Args:
        run: The run; its own `hardware.onednn` is not used.
        rounds: Number of trials with each kind.
        steps: Number of timed steps of each stage, after the warm-up.

    Returns:
        `kernels`, which maps the values of TensorFlow's variable, `0` and `1`, to the
        results of `trial.run`, one for each round; `ratio`, the median over the rounds
        of the images per second with oneDNN's kernels to those with TensorFlow's.

    Raises:
        ConfigError: See `onednn.check`; or if a process cannot train, with the reason.
    """
    onednn.check("true")
    results: dict[str, list[dict]] = {value: [] for value in onednn.NAMES}
    # In turn: a machine that slows down meanwhile slows down both.
    for index in range(rounds):
        for value, name in onednn.NAMES.items():
            progress.say(f"    {name} kernels, {index + 1} of {rounds}")
            # `auto`: the config must not overrule the variable.
            result = trial.run(
                _with_onednn(run, "auto"), steps, environment={versions.KERNELS: value}
            )
            if "ended" in result:
                raise errors.ConfigError(f"cannot be trained: {result['ended']}")
            results[value].append(result)
    ratios = [
        other["images_per_second"] / own["images_per_second"]
        for own, other in zip(*results.values(), strict=True)
    ]
    return {"kernels": results, "ratio": statistics.median(ratios)}


def table(result: dict) -> str:
    """Formats the result of `side_by_side` for the console: medians over the rounds."""
    import tabulate

    rows = []
    for value, rounds in result["kernels"].items():
        rates = [
            [trained["images_per_second"], *trial.stage_rates(trained)]
            for trained in rounds
        ]
        medians = map(statistics.median, zip(*rates, strict=True))
        rows.append([onednn.NAMES[value], *(f"{rate:.0f}" for rate in medians)])
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
    if faster == onednn.default_kernels():
        return "leave `hardware.onednn: auto`, which chooses the faster here"
    return f"set `hardware.onednn: {str(ratio > 1).lower()}`"


def _with_onednn(run, onednn):
    part = dataclasses.replace(run.hardware, onednn=onednn)
    return dataclasses.replace(run, hardware=part)
