"""A process in the sandbox that opens a foreign model and answers to batches.

Both sides write a line of JSON, then the bytes of the arrays that it describes; no
object is ever unpickled.
"""

import contextlib
import json
import math
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from distill.runtime.errors import ConfigError, Untrusted
from distill.runtime.process import death
from distill.runtime.trust import loader

# Of all cores, for a batch; for the first one, opening the file is included.
_SECONDS = 300
_PATIENCE = 10  # Times as long it is waited for, on a machine that is busy.
_LONGEST = 1 << 16  # Characters of a line.
_LARGEST = 2 << 30  # Bytes of the answers to a batch.


class Server:
    """The process; it starts with the first batch, and again after `close`.

    Args:
        path: The model, for messages.
        arguments: Arguments of the task `answer`.
        trusted: Whether the process runs the user's own code, which may take its time.
    """

    def __init__(self, path: str, arguments: list[str], trusted: bool = False):
        self._path = path
        self._arguments = arguments
        self._trusted = trusted
        self._process: subprocess.Popen | None = None
        self._errors: Any = None

    def ask(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The answers to a batch.

        Args:
            inputs: float32 or int32, `(n, ...)`.

        Returns:
            Name of each output to its values, float32, `(n, ...)`.

        Raises:
            ConfigError: If the model does not take such inputs, or the user's code
                failed.
            Untrusted: If the model may be unsafe, or answering did not end well.
        """
        process = self._started()
        timer = threading.Timer(_PATIENCE * _SECONDS, process.kill)
        if not self._trusted:
            timer.start()
        try:
            return self._exchange(process, inputs)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, ConfigError):
                raise
            late = not self._trusted and not timer.is_alive()
            raise self._failed(process, late) from None
        finally:
            timer.cancel()

    def __del__(self):
        """Ends the process of a server that nobody has closed."""
        self.close()

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._errors.close()
            self._process = None

    def _started(self):
        if self._process is None:
            command, environment = loader.sandbox_command(["answer", *self._arguments])
            # The messages of libraries, of which the last is shown if it dies; those of
            # the user's own code are shown as they come.
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if self._trusted else self._errors,
                # Ctrl-C is for the parent: it finishes what it has begun.
                start_new_session=True,
            )
        return self._process

    def _exchange(self, process, inputs):
        write(process.stdin, {"inputs": inputs}, {"seconds": _SECONDS})
        message, answers = read(process.stdout)
        if "refused" in message:
            self.close()
            raise Untrusted(f"{self._path}: {message['refused']}")
        if "mistake" in message:
            self.close()
            text = str(message["mistake"])
            named = text.startswith(self._path)
            raise ConfigError(text if named else f"{self._path}: {text}")
        return answers

    def _failed(self, process, late):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)  # One that has died tells why.
        process.kill()
        process.wait()
        code, last = process.returncode, self._last_line()
        self.close()
        if late:
            return Untrusted(f"{self._path}: no answer within {_PATIENCE * _SECONDS} s")
        reason = f"ended with {code}: {last}"
        if (died := death.number(code)) == signal.SIGXCPU:
            return Untrusted(
                f"{self._path}: no answer within {_SECONDS} s of all cores"
            )
        if died is not None:
            reason = f"was ended by {death.say(died)}"
        line = f"{self._path}: the process that asked it {reason}"
        return ConfigError(line) if self._trusted else Untrusted(line)

    def _last_line(self):
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"


def write(
    stream: BinaryIO, arrays: Mapping[str, np.ndarray], message: Mapping[str, Any]
) -> None:
    """Writes a message, and arrays behind it.

    Args:
        stream: One end of a pipe.
        arrays: Name to array of float32 or int32.
        message: Plain data.
    """
    described = {name: [str(a.dtype), *a.shape] for name, a in arrays.items()}
    stream.write(json.dumps({**message, "arrays": described}).encode() + b"\n")
    for array in arrays.values():
        stream.write(np.ascontiguousarray(array).tobytes())
    stream.flush()


def read(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads what `write` wrote; see there.

    Raises:
        EOFError, ValueError, KeyError, TypeError: If the other side wrote anything
            else, or has ended.
    """
    line = stream.readline(_LONGEST)
    if not line.endswith(b"\n"):
        raise ValueError("the other process has ended")
    message = json.loads(line)
    return message, dict(_arrays(stream, message["arrays"]))


def _arrays(stream, described) -> Iterator[tuple[str, np.ndarray]]:
    for name, (dtype, *shape) in described.items():
        kind = {"float32": np.float32, "int32": np.int32}[dtype]
        count = math.prod(shape)
        if not 0 <= 4 * count <= _LARGEST:
            raise ValueError("more than a batch of answers")
        values = np.frombuffer(stream.read(4 * count), kind, count).reshape(shape)
        yield name, values.copy()  # Bytes cannot be written, which PyTorch warns of.
