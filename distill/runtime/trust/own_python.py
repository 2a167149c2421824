"""The only door for the Python of a config: a function `my_nets.py:build`.

It has the rights of whoever starts the command, and a config may come from anywhere:
nothing of the file is executed unless the command was called with `--allow-python`.
"""

import argparse
import contextlib
import linecache
import pathlib
import sys
import traceback
import types
from collections.abc import Callable, Iterator

from distill.runtime import hashes
from distill.runtime.errors import EXIT_CODES, ConfigError

_state = {"allowed": False}


def add_flag(flags: argparse.ArgumentParser) -> None:
    """Gives a parser `--allow-python`; until that is parsed, nothing is allowed."""
    allow(False)
    flags.add_argument(
        "--allow-python",
        action=_Allow,
        nargs=0,
        help="run the Python files that the config names: they can do whatever you can",
    )


class _Allow(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        allow(True)


def allow(allowed: bool) -> None:
    """Sets whether this process may run the Python of a config."""
    _state["allowed"] = allowed


def is_allowed() -> bool:
    """Whether this process may run the Python of a config: not unless told so."""
    return _state["allowed"]


def split(source: str) -> tuple[pathlib.Path, str]:
    """The file and the name of a function.

    Args:
        source: `file.py:name`; the path is relative to the working folder, as all
            paths in a config are.

    Raises:
        ConfigError: If it has another form.
    """
    path, _, name = source.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise ConfigError(
            "Python must be given as file and function, such as my_nets.py:build. "
            f"Received: {source}"
        )
    return pathlib.Path(path).expanduser(), name


def file_hash(source: str) -> str:
    """SHA-256 of the file of a function; runs nothing.

    Raises:
        ConfigError: If there is no such file.
    """
    path, _ = split(source)
    if not path.is_file():
        raise ConfigError(f"{source}: no such file: {path}")
    return hashes.file_hash(path)


def require_permission(source: str, allowed: bool) -> None:
    """Refuses to run a function that nobody has allowed.

    Args:
        source: As for `load`.
        allowed: As for `load`.

    Raises:
        ConfigError: Says which file and function would run, and how to allow it.
    """
    path, name = split(source)
    if not allowed:
        raise ConfigError(
            f"{source}: this config runs Python, the function `{name}` of "
            f"{path.absolute()}, with all of your rights. If you trust that file, add "
            "--allow-python (in Python: allow_python=True)"
        )


def load(source: str, allowed: bool) -> Callable:
    """Executes a file of the user's, and returns a function of it.

    Each call executes the file anew. What the function then does belongs into a block
    of `running`.

    Args:
        source: `file.py:name`; see `split`.
        allowed: Whether the user has allowed it, such as `is_allowed()`.

    Raises:
        ConfigError: If it is not allowed; if the file is missing, cannot be executed or
            has no such function. Nothing is executed in the first two cases.
    """
    require_permission(source, allowed)
    path, name = split(source)
    file_hash(source)
    # Under a name that hides no other module.
    module = types.ModuleType(f"own_python_{path.stem}")
    module.__file__ = str(path.absolute())
    sys.modules[module.__name__] = module  # Dataclasses look for their module.
    linecache.checkcache(module.__file__)
    with running(source):
        code = compile(path.read_bytes(), module.__file__, "exec", dont_inherit=True)
        exec(code, module.__dict__)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if _is_own(value, module)]
        raise ConfigError(
            f"{source}: {path} has no function `{name}`. Its functions: "
            f"{', '.join(known) or 'none'}"
        )
    return function


@contextlib.contextmanager
def running(source: str) -> Iterator[None]:
    """A block in which the user's code runs: imports as in a script, errors in a line.

    Args:
        source: As for `load`.

    Raises:
        ConfigError: Names the line of the file, and the error. With `--debug`, the
            error's own traceback is shown before.
    """
    path, _ = split(source)
    beside = str(path.absolute().parent)
    sys.path.insert(0, beside)
    try:
        yield
    except tuple(EXIT_CODES):
        raise
    except (Exception, SystemExit) as error:  # A user's code raises anything.
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{source}: {_place(path, error)}{type(error).__name__}: {reason}"
        ) from error
    finally:
        sys.path.remove(beside)


def _place(path, error):
    """The last line of the user's file that an error came through, if there is one."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == str(path.absolute())]
    return f"line {own[-1].lineno}, `{own[-1].line}`: " if own else ""


def _is_own(value, module):
    return callable(value) and getattr(value, "__module__", None) == module.__name__
