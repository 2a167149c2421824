"""Compares the speed of TensorFlow's kernels and oneDNN's in alternating trials."""

import statistics

from distill import config
from distill.runtime import onednn, versions
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
        ConfigError: See `onednn.check`.
        Otherwise as `trial.in_turn`.
    """
    onednn.check("true")
    run = run.with_hardware(onednn="auto")  # It must not overrule the variable.
    variants = {
        f"{name} kernels": (run, {versions.KERNELS: value})
        for value, name in onednn.NAMES.items()
    }
    results = list(trial.in_turn(variants, rounds=rounds, steps=steps))
    kernels = dict(zip(onednn.NAMES, zip(*results, strict=True), strict=True))
    return {
        "kernels": kernels,
        "ratio": statistics.median(map(trial.ratio, results)),
    }


def table(result: dict) -> str:
    """Formats the result of `side_by_side` for the console: medians over the rounds."""
    kernels = {onednn.NAMES[key]: rounds for key, rounds in result["kernels"].items()}
    return "\n".join(
        [
            trial.table("kernels", kernels),
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
