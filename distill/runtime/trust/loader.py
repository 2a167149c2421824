"""The only door for model files.

What this run made is opened as it is. Everything else is foreign: Keras' `safe_mode`
alone is a moving target, so a foreign `.keras` file is searched first (`scan`),
then opened by a process with limits (`sandbox`), and only what that process
wrote anew is opened here.
"""

import importlib
import pathlib
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence

from distill.runtime.errors import Untrusted
from distill.runtime.process import death, distributed, python
from distill.runtime.process.command import IN_CHILD
from distill.runtime.trust import limits, scan


def open_own(path: pathlib.Path):
    """Opens a `.keras` file that this run has written."""
    import keras

    if distributed.count() > 1:
        # Keras draws weights before it reads them, and JAX wants all processes to
        # draw the same.
        keras.utils.set_random_seed(0)
    return keras.models.load_model(path, compile=False, safe_mode=True)


def open_foreign(path: pathlib.Path, sha256: str | None = None):
    """Opens a `.keras` file from elsewhere, if nothing speaks against it.

    Args:
        path: The file.
        sha256: What its bytes must hash to, if that is known.

    Returns:
        The `keras.Model`, without optimizer and losses.

    Raises:
        Untrusted: Says what was found, and the way out.
    """
    members = scan.members(path, sha256)
    importlib.import_module("keras")  # What it lacks is no fault of the file's.
    with tempfile.TemporaryDirectory() as folder:
        given = pathlib.Path(folder) / "foreign.keras"
        made = pathlib.Path(folder) / "opened.keras"
        with zipfile.ZipFile(given, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        task = ["open", str(given), str(made)]
        done = _in_sandbox(path, task, capture_output=True, text=True, errors="replace")
        if done.returncode == limits.REFUSED:
            raise Untrusted(f"{path}: {done.stdout.strip().splitlines()[-1]}")
        if done.returncode:
            raise Untrusted(f"{path}: opening it ended with {done.returncode}")
        return open_own(made)


def run_sandboxed(path: pathlib.Path, arguments: list[str]) -> int:
    """Runs a task of `sandbox` on a foreign file; it speaks for itself.

    Args:
        path: The file.
        arguments: The task and its own arguments.

    Returns:
        The exit code.

    Raises:
        Untrusted: If the process dies, or takes too long.
    """
    return _in_sandbox(path, arguments).returncode


def measure_sandboxed(path: pathlib.Path, folder: pathlib.Path) -> None:
    """Measures a foreign `.tflite` file, by `distill.run.evaluation.foreign`.

    Args:
        path: The file.
        folder: Has the task, and gets the result.

    Raises:
        Untrusted: If the process dies, or takes too long.
    """
    task = ["measure", str(folder)]
    done = _in_sandbox(path, task, seconds=limits.MEASURING_SECONDS)
    if done.returncode:
        raise Untrusted(f"{path}: measuring it ended with {done.returncode}")


def sandbox_command(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command line of the sandbox and its environment.

    Args:
        arguments: The task and its own arguments.
    """
    # Never from the working folder, which may be the foreign file's own.
    command = python.command("distill.runtime.trust.sandbox", *arguments)
    return command, python.environment(**{IN_CHILD: "1"})


def _in_sandbox(path, arguments, seconds=limits.SECONDS, **options):
    command, environment = sandbox_command(arguments)
    try:
        done = subprocess.run(
            command,
            env=environment,
            timeout=seconds,
            check=False,
            **options,
        )
    except subprocess.TimeoutExpired:
        raise Untrusted(f"{path}: not done within {seconds} s") from None
    if (died := death.number(done.returncode)) is not None:
        raise Untrusted(
            f"{path}: the process that opened it was ended by {death.say(died)}"
        )
    return done
