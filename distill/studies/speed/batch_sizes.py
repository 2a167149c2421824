"""The fastest and the largest batch that memory has room for: tried, size by size.

Each size trains for a few steps in a process of its own, so that one's memory is not
another's. The search ends before memory does: on a CPU, a machine that runs out of it
swaps, or kills.
"""

import dataclasses

from distill import config
from distill.runtime import errors
from distill.runtime.process import memory
from distill.studies.speed import trial

FIRST = 8
SHARE = 0.8  # Of what is free, at most, is taken.


def search(run: config.Run, *, steps: int) -> dict:
    """Tries powers of two until the next one has no room, or is more than the data.

    A process holds its code and data, and a share for each image: of twice as many
    images, at most twice as much. A size that might so exceed `SHARE` of what is free
    is not tried; one that exceeds it all the same is ended.

    Args:
        run: Its `batch_size` is unused.
        steps: Timed of each stage, after those that warm up.

    Returns:
        `sizes`, of each `batch_size` and what `trial.run` returns; `ended`, why
        there are no more; `fastest` and `largest`, sizes.

    Raises:
        ConfigError: If not even the first can be trained; says why.
        Killed: If the process of the first died by a signal.
    """
    sizes: list[dict] = []
    while True:
        size = 2 * sizes[-1]["batch_size"] if sizes else FIRST
        limit = SHARE * memory.available()
        ended = _against(size, sizes[-1], limit) if sizes else None
        if ended is None:
            sized = dataclasses.replace(run, batch_size=size)
            tried = _tried(sized, steps, limit, last=bool(sizes))
            ended = tried.get("ended")
        if ended is not None:
            break
        sizes.append({"batch_size": size, **tried})
    if not sizes:
        raise errors.ConfigError(f"not even a batch of {size} can be trained: {ended}")
    fastest = max(sizes, key=lambda found: found["images_per_second"])
    return {
        "sizes": sizes,
        "ended": f"{size}: {ended}",
        "fastest": fastest["batch_size"],
        "largest": sizes[-1]["batch_size"],
    }


def table(result: dict, batch_size: int) -> str:
    """What `search` found, for people.

    Args:
        result: Its result.
        batch_size: The config's, which stays.
    """
    import tabulate

    rows = [
        [
            found["batch_size"],
            f"{found['images_per_second']:.0f}",
            *(f"{rate:.0f}" for rate in trial.stage_rates(found)),
            f"{found['peak_memory_bytes'] / 1e9:.2f}",
        ]
        for found in result["sizes"]
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


def _tried(run, steps, limit, last):
    """What `trial.run` says; a process that dies by a signal may be the `last`."""
    try:
        return trial.run(run, steps, limit=limit)
    except errors.Killed as death:
        if last:
            return {"ended": str(death)}
        raise


def _against(size, last, limit):
    """Why a size is not tried, or None."""
    if size > last["examples"]:
        return f"there are {last['examples']} training examples"
    most = 2 * last["peak_memory_bytes"]
    if most > limit:
        return f"may take {most / 1e9:.1f} GB, of which {limit / 1e9:.1f} may be taken"
    return None
