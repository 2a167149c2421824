"""Python processes that import this very distill, from wherever it was started."""

import os
import pathlib
import sys


def command(module: str, *arguments: object) -> list[str]:
    """The command line that runs a module.

    Args:
        module: Its name, such as `distill.run.child`.
        arguments: Its arguments, written as text.
    """
    # `-P`: a file in the working directory must not hide a library.
    return [sys.executable, "-P", "-m", module, *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with distill first among what can be imported.

    Args:
        **more: Further variables.
    """
    ours = str(pathlib.Path(__file__).resolve().parents[3])
    search = os.pathsep.join(filter(None, [ours, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": search, **more}
