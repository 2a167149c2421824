"""Folders that several runs share: the first run makes what they hold."""

import contextlib
import pathlib
import time
from collections.abc import Iterator

from distill.runtime import errors, files, progress
from distill.runtime.process import signals

_LOOK = 0.5  # Seconds between two tries.


@contextlib.contextmanager
def lock(home: pathlib.Path, what: str) -> Iterator[None]:
    """Locks a shared folder; waits as long as another process makes what it holds.

    Runs that are started at the same time, such as several seeds of one config, so
    share what one of them makes.

    Args:
        home: The folder.
        what: What it holds, for the line that says what is waited for.

    Raises:
        Stopped: If a signal came while waiting.
        WriteError: If the folder cannot be created.
    """
    with contextlib.ExitStack() as stack:
        waiting = False
        while True:
            try:
                stack.enter_context(files.lock(home))
                break
            except errors.FolderBusy:
                if not waiting:
                    progress.say(
                        f"    {what}: another process is making the same; waiting"
                    )
                waiting = True
            signals.raise_if_pending()
            time.sleep(_LOOK)
        yield
