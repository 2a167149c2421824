"""Starts and controls the process of `accuracy`: it compiles first, then trains."""

import contextlib
import json
import pathlib
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping

from distill.runtime.process import death, python

NETWORKS = 4  # Networks that are trained: the teacher and three students.
LATE = "no time was left; see --minutes"


class Learning:
    """Compiles at once; a second process compiles the students' steps meanwhile.

    Args:
        file: The config of the run.
        folder: The folder for the output of the processes.
        environment: Environment variables for them, beside this process's.
        compiled: The time, by `time.monotonic`, at which the second process is killed.
        end: The time at which both are killed.
    """

    def __init__(
        self,
        file: pathlib.Path,
        folder: pathlib.Path,
        environment: Mapping[str, str],
        *,
        compiled: float,
        end: float,
    ):
        self._end = end
        self._log = folder / "learning.log"
        command = python.command("distill.studies.speed.peers.accuracy", file)
        options = {"env": python.environment(**environment), "text": True}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                **options,
            )
            self._other = subprocess.Popen(
                [*command, "rehearse"], stdout=log, stderr=log, **options
            )
        self._timers = [
            _schedule(compiled, self._other.kill),
            _schedule(end, self._process.kill),
        ]
        self._reading = threading.Lock()
        self._lines = iter(self._process.stdout.readline, "")

    def __enter__(self):
        """Returns itself: the processes are running already."""
        return self

    def __exit__(self, *_):
        """Kills both processes."""
        for timer in self._timers:
            timer.cancel()
        for process in (self._process, self._other):
            process.kill()
            process.wait()
        self._process.stdout.close()
        with contextlib.suppress(OSError):  # Unsent data cannot be written any more.
            self._process.stdin.close()

    def wait(self) -> None:
        """Waits until both processes have compiled, or ended."""
        with self._reading:
            next(self._lines, None)
        self._other.wait()

    def go(self) -> Iterator[dict]:
        """Trains the networks in the time that is left.

        Yields:
            After each network, and at the end: `networks`, a dict for each trained
            one, and `error`, why there are no more, or None.
        """
        left = self._end - time.monotonic()
        with contextlib.suppress(OSError):  # It has ended: the code says why.
            self._process.stdin.write(f"{time.time() + left}\n")
            self._process.stdin.flush()
        networks: list[dict] = []
        with self._reading:
            for line in self._lines:
                # Keras and JAX may print, too; `{}` only says that all is compiled.
                if line.startswith("{") and (network := json.loads(line)):
                    networks.append(network)
                    is_last = len(networks) == NETWORKS
                    yield {"networks": networks, "error": None if is_last else LATE}
                    if is_last:  # Nothing is missing if it is killed from here on.
                        return
        yield {"networks": networks, "error": self._explain_end()}

    def _explain_end(self):
        """Why the process has ended, in a line."""
        code = self._process.wait()
        if time.monotonic() >= self._end:
            return LATE
        if (died := death.number(code)) is not None:
            return f"the process was ended by {death.say(died)}"
        last = self._log.read_text().strip().split("\n")[-1]
        return f"the process ended: {last}"


def _schedule(moment, act):
    """Starts a timer that calls `act` at a moment, by `time.monotonic`."""
    timer = threading.Timer(max(0.0, moment - time.monotonic()), act)
    timer.daemon = True
    timer.start()
    return timer
