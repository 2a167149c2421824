"""Finds the fastest and the largest batch size that fit into memory, by trying sizes.

Each size trains for a few steps in its own process, so that memory is measured for each
size alone. The search ends before memory is exhausted: on a CPU, the system would swap
or kill processes.
"""

import dataclasses

from distill import config
from distill.runtime import errors
from distill.runtime.process import memory
from distill.studies.speed import trial

FIRST = 8
SHARE = 0.8  # The largest share of the free memory that a trial may use.


def search(run: config.Run, *, steps: int) -> dict:
    """Tries powers of two until the next does not fit, or exceeds the data.

    A process needs memory for its code and data, and for each image. Twice as many
    images therefore need at most twice as much. A size that might exceed `SHARE` of the
    free memory by this estimate is not tried; one that exceeds it nevertheless is
    stopped.

    Args:
        run: The run; its `batch_size` is not used.
        steps: Number of timed steps of each stage, after the warm-up.

    Returns:
        `sizes`, for each size its `batch_size` and the result of `trial.run`; `ended`,
        why the next size was not measured; `fastest` and `largest`, sizes.

    Raises:
        ConfigError: If even the first size cannot be trained; the message says why.
        Killed: If the process of the first died by a signal.
    """
    sizes: list[dict] = []
    while True:
        size = 2 * sizes[-1]["batch_size"] if sizes else FIRST
        limit = SHARE * memory.available()
        ended = _reason_to_stop(size, sizes[-1], limit) if sizes else None
        if ended is None:
            run = dataclasses.replace(run, batch_size=size)
            result = _try(run, steps, limit, is_first=not sizes)
            ended = result.get("ended")
        if ended is not None:
            break
        sizes.append({"batch_size": size, **result})
    if not sizes:
        raise errors.ConfigError(f"not even a batch of {size} can be trained: {ended}")
    fastest = max(sizes, key=lambda measured: measured["images_per_second"])
    return {
        "sizes": sizes,
        "ended": f"{size}: {ended}",
        "fastest": fastest["batch_size"],
        "largest": sizes[-1]["batch_size"],
    }


def table(result: dict, batch_size: int) -> str:
    """Formats the result of `search` for the console.

    Args:
        result: What `search` returned.
        batch_size: The config's batch size, which is not changed.
    """
    import tabulate

    rows = [
        [
            size["batch_size"],
            f"{size['images_per_second']:.0f}",
            *(f"{rate:.0f}" for rate in trial.stage_rates(size)),
            f"{size['peak_memory_bytes'] / 1e9:.2f}",
        ]
        for size in result["sizes"]
    ]
    names = trial.stage_names(result["sizes"][0])
    headers = ["batch size", "images/s", *names, "peak GB"]
    return "\n".join(
        [
            tabulate.tabulate(rows, headers, stralign="right", disable_numparse=True),
            f"fastest: {result['fastest']}, largest: {result['largest']}; "
            f"`batch_size` stays {batch_size}",
            f"not {result['ended']}",
        ]
    )


def _try(run, steps, limit, is_first):
    """The result of `trial.run`; a process that dies ends the search, unless first."""
    try:
        return trial.run(run, steps, limit=limit)
    except errors.Killed as death:
        if is_first:
            raise
        return {"ended": str(death)}


def _reason_to_stop(size, last, limit):
    """Why a size must not be tried; None if it may."""
    if size > last["examples"]:
        return f"there are {last['examples']} training examples"
    # See `search`: twice the images, at most twice the memory.
    most = 2 * last["peak_memory_bytes"]
    if most > limit:
        return f"may need {most / 1e9:.1f} GB; the limit is {limit / 1e9:.1f} GB"
    return None
