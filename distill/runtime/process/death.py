"""How another process died, where a signal ended it: one line, and what to do."""

import signal

from distill.runtime import errors

_CRASH = "a library crashed"
_STOP = "somebody stopped it"
# Signal to its usual cause.
_CAUSES = {
    signal.SIGKILL: "as a rule the system's, for want of memory: make room, or lower "
    "`batch_size`",
    **dict.fromkeys(
        (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),
        _CRASH,
    ),
    **dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), _STOP),
    signal.SIGXCPU: "it took more of the processor's time than the system allows",
}


def number(code: int) -> int | None:
    """The signal that a process died by; None if it ended in another way.

    Args:
        code: As `subprocess` has it, or a shell, or a process that caught the signal:
            128 and its number.
    """
    found = -code if code < 0 else code - 128
    return found if 0 < found < signal.NSIG else None


def say(number: int) -> str:
    """A signal's name and its usual cause."""
    try:
        name = signal.Signals(number)
    except ValueError:
        return f"signal {number}"
    cause = _CAUSES.get(name)
    return name.name + (f" ({cause})" if cause else "")


def check(code: int, doing: str, left: str = "") -> None:
    """Raises where a signal ended a process.

    Args:
        code: See `number`.
        doing: What the process did, such as `finishing runs/x`.
        left: What is left of its work, and how it goes on.

    Raises:
        Killed: In one line.
    """
    if (died := number(code)) is not None:
        more = f"; {left}" if left else ""
        raise errors.Killed(f"{doing} was ended by {say(died)}{more}")
