"""Starts the finishing process, waits for it, and reports how it ended."""

import json
import pathlib
import tempfile
import typing
from collections.abc import Iterable

from distill.compress import finishers
from distill.runtime import packages, progress
from distill.runtime.process import worker

_LEFT = "what was finished is kept, and the same command goes on from there"
_NEEDED = (
    "tensorflow",
    "tf_keras",
    "tensorflow_model_optimization",
    *packages.READING,
    "flatbuffers",
)


def finish(folder: pathlib.Path) -> list[dict]:
    """Makes the TFLite files of a run folder, unless they exist.

    Args:
        folder: The run's folder.

    Returns:
        One record for each file, as in `report.json`.

    Raises:
        As `run` does.
    """
    records = folder / "finish.json"
    if not records.exists():
        with progress.step("finish", "prune, quantize, export, in a process apart"):
            run_child(folder)
    return json.loads(records.read_text())


def require_for(run: typing.Any) -> None:
    """Checks the packages of a run's finishers, and of those that its search tries.

    Args:
        run: A `finishing.Finishing`.

    Raises:
        ConfigError: See `packages.require`.
    """
    among = run.budget.among if run.searches else ()
    require_packages([*run.finish, *(finishers.FINISHERS[name]() for name in among)])


def missing_packages() -> list[str]:
    """Names of the packages that only finishing needs and that are not installed."""
    return packages.missing(*_NEEDED)


def missing_warning() -> str:
    """The warning in the report of a run without files, for missing packages."""
    return f"No file is exported without {packages.say(missing_packages())}"


def require_packages(parts: Iterable[finishers.Finisher] = ()) -> None:
    """Checks that the packages of the finishing process are installed.

    Args:
        parts: Finishers, of which some may need further packages.

    Raises:
        ConfigError: See `packages.require`.
    """
    packages.require("finishing", *_NEEDED)
    for part in parts:
        packages.require(f"`finish`: {finishers.name_of(part)}", *part.packages)


def run_child(folder: pathlib.Path) -> None:
    """Finishes the student of a run folder in a separate process.

    Reads `run.yaml`, `student.keras` and, if it exists, `teacher.keras` or
    `teacher.npz`; writes the `.tflite` files and `finish.json`. Existing files are
    kept.

    Args:
        folder: The run's folder.

    Raises:
        Killed: If the process died by a signal.
        Stopped: If a signal came; the process has saved its work.
        FinishError: If it failed without a message.
        As the process itself: see `errors.by_code`.
    """
    _run_task("finish", folder)


def search(folder: pathlib.Path) -> dict:
    """Searches for the finish that keeps a run's budget, unless one is known.

    Reads `search/run.yaml`, `student.keras` and, if it exists, `teacher.keras`;
    writes `search.json`.

    Args:
        folder: The run's folder.

    Returns:
        As `distill.compress.search.search.search` does.

    Raises:
        As `run` does.
    """
    path = folder / "search.json"
    # Without a winner, a search was interrupted or found none: it goes on after the
    # trials in the file, or raises its error again.
    if not path.exists() or json.loads(path.read_text())["winner"] is None:
        with progress.step("search", "short finishes, in a process apart"):
            _run_task("search", folder)
    return json.loads(path.read_text())


def diagnose(network: typing.Any) -> dict:
    """Finds what can be done with each layer of a network, in a separate process.

    Args:
        network: A built `keras.Model`; it need not be trained.

    Returns:
        As `distill.compress.diagnosis.diagnose` does.

    Raises:
        As `run` does.
    """
    # In a process apart, because TF-MOT can turn this one's `tf.keras` into Keras 2.
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "network.keras"
        network.save(path)
        _run_task("diagnose", path)
        return json.loads(path.with_suffix(".json").read_text())


def convert_untrained(
    network: typing.Any, forms: typing.Sequence[tuple[str, str]], folder: pathlib.Path
) -> list[pathlib.Path]:
    """Makes files of a network that need not be trained, in a separate process.

    Args:
        network: A built `keras.Model` of one input.
        forms: `variant` and `io` of each file; see `convert.to_tflite`.
        folder: Where the files are written.

    Returns:
        The files, in this order; those that the converter cannot make do not exist.

    Raises:
        As `run_child` does.
    """
    network.save(folder / "network.keras")
    (folder / "forms.json").write_text(json.dumps(forms))
    _run_task("convert", folder)
    return [folder / f"{variant}.{io}.tflite" for variant, io in forms]


def _run_task(task, path):
    """Runs a task of `distill.run.child`; raises if it fails."""
    require_packages()
    # TF-MOT works with Keras 2 only, which tf_keras provides under `tf.keras`.
    chosen = {"TF_USE_LEGACY_KERAS": "1", "KERAS_BACKEND": "tensorflow"}
    what = f"the process for {task} of {path}"
    worker.run("distill.run.child", [task, str(path)], what, _LEFT, chosen)
