"""The process of `accuracy`, seen from outside: compiled early, told when to go."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping

from distill.runtime.process import death

NETWORKS = 4  # That learn: the teacher, and a student each way.
LATE = "no time was left; see --minutes"


class Learning:
    """Starts compiling at once; a second process compiles for the students meanwhile.

    Args:
        file: Of the run.
        folder: For what the processes say.
        environment: Their variables, beside this process's.
        compiled: By `time.monotonic`, when the second is killed.
        end: When both are.
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
        name = "distill.studies.speed.peers.accuracy"
        command = [sys.executable, "-m", name, str(file)]
        options = {"env": {**os.environ, **environment}, "text": True}
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
            _at(compiled, self._other.kill),
            _at(end, self._process.kill),
        ]
        self._reading = threading.Lock()
        self._said = iter(self._process.stdout.readline, "")

    def __enter__(self):
        """Already at work."""
        return self

    def __exit__(self, *_):
        """Ends both, whatever they do."""
        for timer in self._timers:
            timer.cancel()
        for process in (self._process, self._other):
            process.kill()
            process.wait()
        self._process.stdout.close()
        with contextlib.suppress(OSError):  # What was not sent stays so.
            self._process.stdin.close()

    def wait(self) -> None:
        """Until both have compiled, or ended."""
        with self._reading:
            next(self._said, None)
        self._other.wait()

    def go(self) -> Iterator[dict]:
        """Lets the networks learn in the time that is left.

        Returns:
            Whenever there is one network more, and at the end: `networks`, a mapping
            for each that has learned, and `error`, why there are no more, or None.
        """
        left = self._end - time.monotonic()
        with contextlib.suppress(OSError):  # It has ended: the code says why.
            self._process.stdin.write(f"{time.time() + left}\n")
            self._process.stdin.flush()
        found: list[dict] = []
        with self._reading:
            for line in self._said:
                # Keras and JAX may print, too; `{}` only says that all is compiled.
                if line.startswith("{") and (one := json.loads(line)):
                    found.append(one)
                    last = len(found) == NETWORKS
                    yield {"networks": found, "error": None if last else LATE}
                    if last:  # Killed behind the last line, it has said all.
                        return
        yield {"networks": found, "error": self._why()}

    def _why(self):
        code = self._process.wait()
        if time.monotonic() >= self._end:
            return LATE
        if (died := death.number(code)) is not None:
            return f"the process was ended by {death.say(died)}"
        last = self._log.read_text().strip().split("\n")[-1]
        return f"the process ended: {last}"


def _at(moment, act):
    """Does something at a moment, by `time.monotonic`, unless it is cancelled."""
    timer = threading.Timer(max(0.0, moment - time.monotonic()), act)
    timer.daemon = True
    timer.start()
    return timer
