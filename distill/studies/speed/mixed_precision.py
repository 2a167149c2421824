"""Decides `hardware.precision: auto` by the speed of training steps.

Bfloat16 changes the trained networks, so it is taken only if steps are clearly faster
in each round: other work on the machine must not decide.
"""

import pathlib
from collections.abc import Sequence

from distill import config
from distill.run import folder as folders
from distill.runtime import files, processor, progress
from distill.runtime.errors import ConfigError
from distill.runtime.process import distributed
from distill.studies.speed import trial

FLOAT32, BFLOAT16 = PRECISIONS = ("float32", "mixed_bfloat16")
MARGIN = 1.1  # How many times as many images per second bfloat16 must train.
# At the start of a run. A round that bfloat16 does not win is the last.
ROUNDS, STEPS = 3, 5


def settle(run: config.Run, folder: pathlib.Path) -> config.Run:
    """Replaces `hardware.precision: auto` by the precision of the run in a folder.

    That is the one that `run.yaml` there says the run began with; else the one that is
    faster now, of which `folder.claim` writes `run.yaml`.

    Args:
        run: The run. With another precision than `auto`, it is returned as it is.
        folder: Its folder.

    Raises:
        ConfigError: If the run has several processes, or the folder is a comparison's.
        FolderBusy, WriteError: See `files.lock`.
        Otherwise as `trial.in_turn`.
    """
    if run.hardware.precision != "auto":
        return run
    if distributed.count() > 1:
        raise ConfigError(
            "`hardware.precision` must be float32 or mixed_bfloat16 with several "
            f"processes. Received: auto, {distributed.count()} processes"
        )
    precision, why = folders.precision_of(folder, run), "as this run began"
    if precision is None:
        # A second process in this folder is refused before it measures beside this one.
        with files.lock(folder):
            precision, why = _decide(run)
    progress.say(f"    hardware.precision: auto: {precision} ({why})")
    return run.with_hardware(precision=precision)


def side_by_side(run: config.Run, *, rounds: int, steps: int) -> dict:
    """Trains in both precisions in turn, each time in a new process.

    Args:
        run: The run; its own `hardware.precision` is not used.
        rounds: Number of trials in each precision.
        steps: Number of timed steps of each stage, after the warm-up.

    Returns:
        `precisions`, which maps `float32` and `mixed_bfloat16` to the results of
        `trial.run`, one for each round; `ratios`, for each round, the images per second
        in bfloat16 to those in float32.

    Raises:
        As `trial.in_turn`.
    """
    results = list(trial.in_turn(_variants(run), rounds=rounds, steps=steps))
    return {
        "precisions": dict(zip(PRECISIONS, zip(*results, strict=True), strict=True)),
        "ratios": [trial.ratio(both) for both in results],
    }


def faster(ratios: Sequence[float]) -> str:
    """The precision to take, from `ratios` as in `side_by_side`."""
    return BFLOAT16 if min(ratios) >= MARGIN else FLOAT32


def table(result: dict) -> str:
    """Formats the result of `side_by_side` for the console: medians over the rounds."""
    ratios = result["ratios"]
    return "\n".join(
        [
            trial.table("precision", result["precisions"]),
            f"mixed_bfloat16 / float32: {min(ratios):.2f} to {max(ratios):.2f}: "
            f"`hardware.precision: {faster(ratios)}`, since mixed_bfloat16 must be "
            f"{MARGIN} times as fast in each round",
        ]
    )


def _decide(run):
    """The precision for a new run, and the reason."""
    if not processor.may_have_bfloat16():
        return FLOAT32, "no processor for bfloat16 here: not measured"
    rates, ratios = [], []
    for both in trial.in_turn(_variants(run), rounds=ROUNDS, steps=STEPS):
        rates.append(", ".join(f"{each['images_per_second']:.0f}" for each in both))
        ratios.append(trial.ratio(both))
        if faster(ratios) == FLOAT32:
            break
    why = f"images/s in float32, in bfloat16: {'; '.join(rates)}"
    return faster(ratios), why


def _variants(run):
    return {
        f"training in {name}": (run.with_hardware(precision=name), {})
        for name in PRECISIONS
    }
