"""The commands `train` and `finish` as functions; see `docs/python.md`.

What a program gives (examples, networks) is written once into the run's folder, and
from there on everything is as for the command: `run.yaml` names the files.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distill import cli, config
from distill.config import finishing
from distill.report.notebook import Report
from distill.run import micro, parent
from distill.run.arguments import Arguments
from distill.run.folder import claim_finish
from distill.runtime import errors, files, processor, progress, stopwatch
from distill.runtime.process import distributed, signals
from distill.runtime.trust import loader, own_python
from distill.studies.speed import mixed_precision

Source = str | os.PathLike | Mapping[str, Any]


class Files(dict[str, pathlib.Path]):
    """The path of each file that was made, by the name of its finisher.

    Attributes:
        folder: The run's folder.
        report: The content of `report.json`.
    """

    def __init__(self, folder: pathlib.Path):
        report = files.read_json(folder / "report.json")
        paths = {
            model["name"].removeprefix("student."): folder / model["file"]
            for model in report["models"]
            if model["name"].startswith("student.")
        }
        super().__init__(paths)
        self.folder = folder
        self.report = Report(report, folder / "report.html")


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        files: The path of each file that was made, by the name of its finisher.
    """

    files: Files

    @property
    def folder(self) -> pathlib.Path:
        """The run's folder; `CONTRIBUTING.md` lists its content."""
        return self.files.folder

    @property
    def report(self) -> Report:
        """The content of `report.json`."""
        return self.files.report

    @functools.cached_property
    def student(self) -> Any:
        """The trained student, a `keras.Model` to a dict with `logits`."""
        return loader.open_own(self.folder / "student.keras")


def train(
    source: Source | config.Run | None = None,
    *,
    data: Any = None,
    teacher: Any = None,
    student: Any = None,
    out: str | os.PathLike | None = None,
    overrides: Sequence[str] = (),
    allow_python: bool = False,
    **options: Any,
) -> Result | None:
    """Trains, finishes and measures a run, as `python -m distill.train` does.

    The same call again goes on from what was saved last.

    Args:
        source: A YAML file, the name of a shipped one, the content of one as a dict, or
            a `distill.config.Run`. None takes all from the keywords.
        data: Examples, as `distill.data.given.save` takes them; or, as in YAML, a dict
            of `name` and `options`, or a data set of `distill.data`.
        teacher: A trained `keras.Model`; or as in YAML.
        student: A built `keras.Model`, trained from its weights; or as in YAML. A name
            alone stands for the network with its defaults.
        out: The run's folder; by default `runs/<config>`.
        overrides: Assignments as for `--set`, such as `stages.0.epochs=3`.
        allow_python: Whether the Python files that the config names may be run.
        **options: The other options of a config, such as `batch_size=64`, as plain data
            or dataclasses. In `finish`, a name alone has its default options. Beside
            them `unlabelled=x`: further images without labels, as arrays or iterables.

    Returns:
        The result; None in every process but the first of several.

    Raises:
        BrokenPromise: If a file broke its promise; it has the result.
        ConfigError, DataError, Untrusted, WriteError, Killed, Diverged, FolderBusy,
            PeerLost, CheckpointError, FinishError: In `distill.runtime.errors`; the
            exit codes of `docs/exit_codes.md`.
        Stopped: After Ctrl-C or SIGTERM; the step was finished and saved.
    """
    options |= {"data": data, "teacher": teacher, "student": student}
    given = Arguments(config.Run, source, overrides, options)
    with _session(allow_python):
        target = _folder(given, "train", out)
        given.save(target)
        run = given.read()
        processor.choose(run.hardware)
        with (
            distributed.join(run.hardware.strategy),
            distributed.working_folder(target) as folder,
        ):
            # Imports Keras; see `distill.train`.
            from distill.run import conductor

            run = mixed_precision.settle(run, folder)
            report = conductor.train(run, folder)
            return None if report is None else _kept(Result(Files(folder)))


def finish(
    model: Any = None,
    source: Source | finishing.Finishing | None = None,
    *,
    data: Any = None,
    teacher: Any = None,
    out: str | os.PathLike | None = None,
    overrides: Sequence[str] = (),
    allow_python: bool = False,
    **options: Any,
) -> Files:
    """Makes and measures files of a network, as `python -m distill.finish` does.

    Args:
        model: A trained `keras.Model`, or the path of its `.keras` file.
        source: As for `train`; the class is `distill.config.finishing.Finishing`.
        data: As for `train`.
        teacher: Another network, from which the finishers distil; or, as in YAML, a
            teacher that only answers, such as `{"onnx": "teacher.onnx"}`.
        out: The run's folder; by default `runs/<config>`.
        overrides: As for `train`.
        allow_python: As for `train`.
        **options: As for `train`: `finish`, `budget`, ...

    Returns:
        The files by the names of their finishers, with `report` and `folder`.

    Raises:
        As `train` does.
    """
    options |= {"data": data, "teacher": teacher, "model": model}
    given = Arguments(finishing.Finishing, source, overrides, options)
    parent.require_packages()
    with _session(allow_python):
        folder = _folder(given, "finish", out)
        given.save(folder)
        run = given.read()
        parent.require_for(run)
        micro.require(run)
        with files.lock(folder):
            claim_finish(folder, run)
            # Imports Keras; see `distill.finish`.
            from distill.run import finishing as steps

            steps.finish(run, folder)
        return _kept(Files(folder))


def _folder(given, name, out):
    """`out`; else `runs/` and the config's name, with what was changed in it."""
    if out is not None:
        return pathlib.Path(out)
    config = given.file.stem if given.file else name
    changed = [
        f"{key}={value}"
        for key, value in given.keywords.items()
        if isinstance(value, str | int | float)
    ]
    return cli.folder_of([config, *changed, *given.overrides])


@contextlib.contextmanager
def _session(allow_python: bool = False) -> Iterator[None]:
    """Messages, signals and permission as in a command, for the duration of a call."""
    progress.start()
    stopwatch.restart()
    own_python.allow(allow_python)
    try:
        with signals.installed():
            yield
    finally:
        own_python.allow(False)


def _kept(result):
    """The result, unless a file broke its promise; prints the table."""
    if cli.print_result(result.report, result.folder):
        raise errors.BrokenPromise("; ".join(result.report["failures"]), result)
    return result
