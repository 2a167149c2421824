"""A run's connection to a tracker, whose trouble never ends the run."""

import contextlib
import json
import pathlib
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from distill.report.trackers import mlflow, trackio, wandb
from distill.runtime import files, packages, progress

if typing.TYPE_CHECKING:
    import keras

TRACKERS: dict[str, type] = {
    "mlflow": mlflow.MLflow,
    "wandb": wandb.WandB,
    "trackio": trackio.Trackio,
}
# Besides all `.tflite` and `.tflz` files.
_FILES = ("run.yaml", "report.json", "report.html", "MODEL_CARD.md")


class Tracker(Protocol):
    """What a tracker does; any method may raise anything."""

    def place(self, folder: pathlib.Path) -> str:
        """Where the run will be sent, and whether that is this machine; sends nothing.

        Args:
            folder: The run's folder.
        """

    def open(
        self, name: str, known: str | None, folder: pathlib.Path, config: dict
    ) -> str:
        """Begins a run of the project `distill`, or goes on with one; after `place`.

        Args:
            name: The run's name, of letters, digits and `-_.`.
            known: What this method has returned for the same run before.
            folder: The run's folder.
            config: The run's config, as plain data.

        Returns:
            The tracker's own name of the run.
        """

    def log(self, stage: str, numbers: Mapping[str, float], step: int) -> None:
        """Sends the numbers of a stage after an epoch, counted from 0."""

    def keep(self, paths: list[pathlib.Path]) -> None:
        """Sends files."""

    def close(self, failed: bool) -> None:
        """Ends the run."""


class Session:
    """The tracker of a run, opened when there is something to send.

    The first error of the tracker is said in a warning, and nothing more is sent.

    Args:
        tracker: The tracker.
        folder: The run's folder.
        config: The run's config, as plain data.
    """

    def __init__(self, tracker: Tracker, folder: pathlib.Path, config: dict):
        self._tracker = tracker
        self._folder, self._config = folder, config
        self._works, self._is_open = True, False

    def callbacks(self, stage: str) -> "list[keras.callbacks.Callback]":
        """The callbacks of `fit` that send the numbers of a stage, epoch by epoch.

        They come after those that add to the numbers; see `report.tensorboard`.
        """
        import keras

        def send(epoch, logs):
            self._do(self._log, stage, logs, epoch)

        return [keras.callbacks.LambdaCallback(on_epoch_end=send)]

    def end(self, report: dict, final: Mapping[str, float]) -> None:
        """Sends what is known at the end: the finishers' epochs, final numbers, files.

        Args:
            report: The content of `report.json`.
            final: Numbers of the files by name.
        """
        for record in report["stages"]:
            # Finishing trains in a process of its own.
            if record["model"].startswith("student."):
                for name, values in record["metrics"].items():
                    for epoch, value in enumerate(values):
                        self._do(self._log, record["model"], {name: value}, epoch)
        self._do(self._log, "final", final, 0)
        named = [self._folder / name for name in _FILES]
        made = sorted([*self._folder.glob("*.tflite"), *self._folder.glob("*.tflz")])
        paths = [path for path in [*named, *made] if path.exists()]
        self._do(self._tracker.keep, paths)

    def close(self, failed: bool) -> None:
        """Ends the tracker's run if it was begun."""
        if self._is_open:
            self._do(self._tracker.close, failed)

    def _log(self, stage, numbers, step):
        values = {name: float(value) for name, value in numbers.items()}
        self._tracker.log(stage, values, step)

    def _do(self, act: Callable, *arguments: Any) -> None:
        """Calls the tracker, which is opened before; an error is its last."""
        if not self._works:
            return
        try:
            if not self._is_open:
                self._open()
            act(*arguments)
        except Exception as error:  # A tracker raises anything.
            self._works = False
            reason = " ".join(str(error).split())[:200]
            progress.say(
                f"    warning: the run goes on without its tracker, which failed: "
                f"{type(error).__name__}: {reason}"
            )

    def _open(self):
        where = self._tracker.place(self._folder)
        progress.say(f"    track: config, numbers, report and files go to {where}")
        record = files.checkpoints(self._folder) / "tracking.json"
        known = files.read_json(record) if record.exists() else None
        name = re.sub(r"[^\w.-]", "-", self._folder.resolve().name, flags=re.ASCII)
        begun = self._tracker.open(name, known, self._folder, self._config)
        self._is_open = True
        files.atomic_write(record, json.dumps(begun))


@contextlib.contextmanager
def open_session(
    name: str | None, folder: pathlib.Path, config: dict
) -> Iterator[Session | None]:
    """The session of a run, closed at the end of the block; None without a tracker.

    Args:
        name: The tracker's, or None.
        folder: The run's folder.
        config: The run's config, as plain data.

    Raises:
        ConfigError: If the tracker's package is not installed.
    """
    if name is None:
        yield None
        return
    require(name)
    session = Session(TRACKERS[name](), folder, config)
    try:
        yield session
    except BaseException:
        session.close(failed=True)
        raise
    session.close(failed=False)


def require(name: str | None) -> None:
    """Refuses a tracker whose package is not installed.

    Raises:
        ConfigError: Says how to install it.
    """
    if name is not None:
        packages.require(f"`track: {name}`", name)
