"""Every error that ends a command with one line, and its exit code; how to refuse.

The exit codes and what to do about each: `docs/exit_codes.md`.
"""

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_UNTRUSTED = 3
EXIT_WRITE = 4
EXIT_DIVERGED = 6
EXIT_BUSY = 7
EXIT_PEER = 8


class CheckpointError(RuntimeError):
    """A checkpoint of something else, or numbers that must not be kept."""


class DataError(ValueError):
    """The data cannot be had or read; the message says how to mend it."""


class FinishError(RuntimeError):
    """The finishing process ended before its work was done."""


class PeerLost(RuntimeError):
    """Another process of the run has died, or cannot be reached."""


class Diverged(ArithmeticError):
    """A loss or a weight is no finite number any more."""


class FolderBusy(RuntimeError):
    """Another process works in the folder."""


class WriteError(RuntimeError):
    """The disk refuses a file."""


class Untrusted(RuntimeError):
    """A foreign file that is not opened."""


def check(condition: object, name: str, rule: str, value: object) -> None:
    """Refuses a value.

    Args:
        condition: Whether it may stay.
        name: Of the option.
        rule: What it must be, in words.
        value: What it is.

    Raises:
        ValueError: If it may not stay.
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
    PeerLost: EXIT_PEER,
}
