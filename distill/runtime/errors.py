"""The errors that end a command with one line, and their exit codes.

The exit codes and what to do about each: `docs/exit_codes.md`.
"""

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_UNTRUSTED = 3
EXIT_WRITE = 4
EXIT_KILLED = 5
EXIT_DIVERGED = 6
EXIT_BUSY = 7
EXIT_PEER = 8


class CheckpointError(RuntimeError):
    """A checkpoint that does not fit, or a wrong option of checkpoints."""


class DataError(ValueError):
    """The data cannot be found or read; the message says how to fix it."""


class FinishError(RuntimeError):
    """The finishing process ended before its work was done."""


class BrokenPromise(RuntimeError):
    """A file was made and broke its promise; a command prints it and ends with code 1.

    Attributes:
        result: The `distill.api.Result` of the run, whose files are all there.
    """

    def __init__(self, message: str, result: object):
        super().__init__(message)
        self.result = result


class Killed(RuntimeError):
    """A process that worked for this one died by a signal."""


class PeerLost(RuntimeError):
    """Another process of the run has died, or cannot be reached."""


class Diverged(ArithmeticError):
    """A loss or a weight is not finite."""


class FolderBusy(RuntimeError):
    """Another process uses the folder."""


class WriteError(RuntimeError):
    """A file cannot be written."""


class Untrusted(RuntimeError):
    """A file from elsewhere that may be unsafe and is not opened."""


def check(condition: object, name: str, rule: str, value: object) -> None:
    """Refuses an option's value unless a condition holds.

    Args:
        condition: Whether the value is valid.
        name: Name of the option.
        rule: What the value must be, in words.
        value: The received value.

    Raises:
        ValueError: If the condition is false.
    """
    if not condition:
        raise ValueError(f"`{name}` must be {rule}. Received: {value!r}")


class ConfigError(ValueError):
    """A mistake in a config: one line with place, key, received and expected."""


EXIT_CODES: dict[type[BaseException], int] = {
    ConfigError: EXIT_BAD_INPUT,
    DataError: EXIT_BAD_INPUT,
    CheckpointError: EXIT_BAD_INPUT,
    Untrusted: EXIT_UNTRUSTED,
    WriteError: EXIT_WRITE,
    FolderBusy: EXIT_BUSY,
    Diverged: EXIT_DIVERGED,
    FinishError: EXIT_FAILED,
    BrokenPromise: EXIT_FAILED,
    Killed: EXIT_KILLED,
    PeerLost: EXIT_PEER,
}


def by_code(code: int) -> type[BaseException]:
    """The kind of error that a process had which ended with an exit code."""
    # Several kinds may share a code: the first stands for all.
    kinds = {code: kind for kind, code in reversed(EXIT_CODES.items())}
    return kinds.get(code, FinishError)
