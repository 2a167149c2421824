"""Starts the finishing process, waits for it, and reports how it ended."""

import contextlib
import json
import pathlib
import tempfile
import typing
from collections.abc import Callable, Iterable

from distill.compress import finishers
from distill.runtime import files, packages, progress
from distill.runtime.process import worker

_LEFT = "what was finished is kept, and the same command goes on from there"
_NEEDED = (
    "tensorflow",
    "tf_keras",
    "tensorflow_model_optimization",
    *packages.READING,
    "flatbuffers",
)


class Finishing:
    """The finishing process of a run folder: makes the TFLite files that do not exist.

    It reads `run.yaml`, `student.keras` and, if it exists, `teacher.keras` or
    `teacher.npz`; writes the `.tflite` files and `finish.json`.

    Args:
        folder: The run's folder.
        stack: Ends the process, at the latest.
    """

    def __init__(self, folder: pathlib.Path, stack: contextlib.ExitStack):
        self._folder, self._stack = folder, stack
        self._records = folder / "finish.json"
        self._end: Callable | None = None

    def start(self) -> None:
        """Starts the process, which imports and reads until there is a student."""
        if self._end is None and not self._records.exists():
            self._end = self._stack.enter_context(_started("finish", self._folder))

    def finish(
        self, meanwhile: Callable[[], typing.Any]
    ) -> tuple[list[dict], typing.Any]:
        """Waits for the files, which the process makes of the student.

        Args:
            meanwhile: Called while it does so.

        Returns:
            One record for each file, as in `report.json`; and what `meanwhile` returns.

        Raises:
            Killed: If the process died by a signal.
            Stopped: If a signal came; the process has saved its work.
            FinishError: If it failed without a message.
            As the process itself: see `errors.by_code`.
        """
        self.start()
        if self._end is None:
            done = meanwhile()
        else:
            with progress.step("finish", "prune, quantize, export, in a process apart"):
                done = self._end(meanwhile)
        return files.read_json(self._records), done


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


def search(folder: pathlib.Path) -> dict:
    """Searches for the finish that keeps a run's budget, unless one is known.

    Reads `search/run.yaml`, `student.keras` and, if it exists, `teacher.keras`;
    writes `search.json`.

    Args:
        folder: The run's folder.

    Returns:
        As `distill.compress.search.search.search` does.

    Raises:
        As `Finishing.finish` does.
    """
    path = folder / "search.json"
    # Without a winner, a search was interrupted or found none: it goes on after the
    # trials in the file, or raises its error again.
    if not path.exists() or files.read_json(path)["winner"] is None:
        with progress.step("search", "short finishes, in a process apart"):
            _run_task("search", folder)
    return files.read_json(path)


def diagnose(network: typing.Any) -> dict:
    """Finds what can be done with each layer of a network, in a separate process.

    Args:
        network: A built `keras.Model`; it need not be trained.

    Returns:
        As `distill.compress.diagnosis.diagnose` does.

    Raises:
        As `Finishing.finish` does.
    """
    # In a process apart, because TF-MOT can turn this one's `tf.keras` into Keras 2.
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "network.keras"
        network.save(path)
        _run_task("diagnose", path)
        return files.read_json(path.with_suffix(".json"))


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
        As `Finishing.finish` does.
    """
    network.save(folder / "network.keras")
    (folder / "forms.json").write_text(json.dumps(forms))
    _run_task("convert", folder)
    return [folder / f"{variant}.{io}.tflite" for variant, io in forms]


def _run_task(task, path):
    """Runs a task of `distill.run.child`; raises if it fails."""
    with _started(task, path) as end:
        end()


def _started(task, path):
    """Starts a task of `distill.run.child`; see `worker.started`."""
    require_packages()
    # TF-MOT works with Keras 2 only, which tf_keras provides under `tf.keras`.
    chosen = {"TF_USE_LEGACY_KERAS": "1", "KERAS_BACKEND": "tensorflow"}
    what = f"the process for {task} of {path}"
    arguments = [task, str(path)]
    return worker.started("distill.run.child", arguments, what, _LEFT, chosen)
