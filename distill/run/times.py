"""The record of where the time of a run went, in `checkpoint/times.json`."""

import collections
import json
import pathlib

from distill.runtime import errors, files, stopwatch

_FILE, _HELPER = "times.json", "times.finish.json"


def keep_helper(folder: pathlib.Path) -> None:
    """Writes the stretches of the finishing process, for `write` to read."""
    content = json.dumps(stopwatch.stretches())
    files.atomic_write(files.checkpoints(folder) / _HELPER, content)


def write(folder: pathlib.Path) -> None:
    """Adds the times of this command to those of earlier ones; they begin anew.

    Args:
        folder: The run's folder, locked.
    """
    path, helper = (files.checkpoints(folder) / name for name in (_FILE, _HELPER))
    theirs = files.read_json(helper) if helper.exists() else []
    helper.unlink(missing_ok=True)
    seconds: dict[tuple[str, str], float] = collections.defaultdict(float)
    for part, kind, duration in stopwatch.with_helper(
        stopwatch.stretches(), [stopwatch.Stretch(*stretch) for stretch in theirs]
    ):
        seconds[part, kind] += duration
    commands = files.read_json(path) if path.exists() else []
    commands.append([[*key, value] for key, value in seconds.items()])
    files.atomic_write(path, json.dumps(commands))
    stopwatch.restart()  # A comparison goes on with another run.


def read(folder: pathlib.Path) -> list[dict[tuple[str, str], float]]:
    """Part and kind to seconds, for each command that ended with a report, in order.

    Raises:
        ConfigError: If there is no record.
    """
    path = files.checkpoints(folder) / _FILE
    if not path.exists():
        raise errors.ConfigError(
            f"--run needs the folder of a run that has ended, with {path}. "
            f"Received: {folder}"
        )
    return [
        {(part, kind): seconds for part, kind, seconds in command}
        for command in files.read_json(path)
    ]
