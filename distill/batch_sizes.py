"""The fastest and the largest batch that memory has room for: tried, size by size.

Each size trains for a few steps in a process of its own, so that one's memory is not
another's. The search ends before memory does: on a CPU, a machine that runs out of it
swaps, or kills.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile

from distill import config, memory

FIRST = 8
SHARE = 0.8  # Of what is free, at most, is taken.
SECONDS = 0.1  # Between two looks at what a process holds.


def search(run: config.Run, *, steps: int) -> dict:
    """Tries powers of two until the next one has no room, or is more than the data.

    A process holds its code and data, and a share for each image: of twice as many
    images, at most twice as much. A size that might so exceed `SHARE` of what is free
    is not tried; one that exceeds it all the same is ended.

    Args:
        run: See `pace.trained` for what of it is trained; its `batch_size` is unused.
        steps: Timed of each stage, after those that warm up.

    Returns:
        `sizes`, of each: `batch_size`, `images_per_second` of the whole training,
        every stage weighing as much as it has epochs, `peak_memory_bytes`, of the
        process, and `stages`; `ended`, why there are no more; `fastest` and
        `largest`, sizes.

    Raises:
        ConfigError: If not even the first can be trained; says why.
    """
    sizes: list[dict] = []
    while True:
        size = 2 * sizes[-1]["batch_size"] if sizes else FIRST
        limit = SHARE * memory.available()
        ended = _against(size, sizes[-1], limit) if sizes else None
        if ended is None:
            tried = _tried(run, size, steps, limit)
            ended = tried.get("ended")
        if ended is not None:
            break
        sizes.append({"batch_size": size, **tried})
    if not sizes:
        raise config.ConfigError(f"not even a batch of {size} can be trained: {ended}")
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
            *(f"{stage['images_per_second']:.0f}" for stage in found["stages"]),
            f"{found['peak_memory_bytes'] / 1e9:.2f}",
        ]
        for found in result["sizes"]
    ]
    names = [f"{s['network']}: {s['name']}" for s in result["sizes"][0]["stages"]]
    headers = ["batch size", "images/s", *names, "peak GB"]
    return "\n".join(
        [
            tabulate.tabulate(rows, headers, stralign="right", disable_numparse=True),
            f"fastest: {result['fastest']}, largest: {result['largest']}; "
            f"`batch_size` stays {batch_size}",
            f"not {result['ended']}",
        ]
    )


def _against(size, last, limit):
    """Why a size is not tried, or None."""
    if size > last["examples"]:
        return f"there are {last['examples']} training examples"
    most = 2 * last["peak_memory_bytes"]
    if most > limit:
        return f"may take {most / 1e9:.1f} GB, of which {limit / 1e9:.1f} may be taken"
    return None


def _tried(run, size, steps, limit):
    """What one process found, or `ended`, why it found nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run.yaml"
        path.write_text(config.dump(dataclasses.replace(run, batch_size=size)))
        errors = path.with_suffix(".log")
        with (
            errors.open("w") as log,
            subprocess.Popen(
                [sys.executable, "-m", "distill.pace", str(path), str(steps)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as process,
        ):
            try:
                answer = _watched(process, limit)
            finally:
                process.kill()
        if answer is None:
            return {"ended": f"took more than {limit / 1e9:.1f} GB"}
        if process.returncode:
            said = errors.read_text().strip().splitlines()[-1:]
            why = " ".join(said).removeprefix("error: ")
            return {"ended": why or f"ended by {process.returncode}"}
    return json.loads(answer.splitlines()[-1])


def _watched(process, limit):
    """What a process prints; None if it was ended for what it held."""
    while True:
        try:
            return process.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            if memory.held(process.pid) > limit:
                process.kill()
                process.communicate()
                return None
