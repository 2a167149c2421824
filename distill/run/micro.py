"""TFLite Micro in a run: what it can run, before training; what it does run, after."""

import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from distill import config, data
from distill.compress import finishers
from distill.measure.micro import parity, trial
from distill.run import parent
from distill.runtime import errors, progress

_UNMADE = trial.Trial((), "the converter cannot make it of this network")


def require(run: Any) -> None:
    """Checks that TFLite Micro is installed, if a run is meant for it.

    Args:
        run: A `config.Run` or a `finishing.Finishing`.

    Raises:
        ConfigError: If it is not.
    """
    if run.target == "micro":
        trial.require("`target: micro`")


def predict(
    network: Any, parts: Sequence[finishers.Finisher]
) -> dict[str, trial.Trial]:
    """Runs files of a network, which need not be trained, in TFLite Micro.

    Args:
        network: A built functional `keras.Model` of one input.
        parts: The finishers. A file that trains further is stood for by one of the
            same ops.

    Returns:
        Name of each finisher to what TFLite Micro makes of its file.
    """
    forms = {
        config.name_of(part): (part.untrained_form, getattr(part, "io", "float32"))
        for part in parts
    }
    each = sorted(set(forms.values()))
    with tempfile.TemporaryDirectory() as folder:
        paths = parent.convert_untrained(network, each, pathlib.Path(folder))
        trials = {
            form: trial.run(path) if path.exists() else _UNMADE
            for form, path in zip(each, paths, strict=True)
        }
    return {name: trials[form] for name, form in forms.items()}


def check(run: Any, network: Any) -> None:
    """Refuses a run whose files TFLite Micro would not run, before it trains.

    Args:
        run: A `config.Run` or a `finishing.Finishing`.
        network: Its student, which need not be trained.

    Raises:
        ConfigError: Names the ops that TFLite Micro lacks, or its other reason.
    """
    searches = getattr(run, "searches", False)
    parts = run.finish
    if searches:
        names = run.budget.among or finishers.SEARCHED
        parts = [finishers.FINISHERS[name]() for name in names]
    with progress.step("target", "files of the student so far in TFLite Micro"):
        found = predict(network, parts)
    reasons = {name: each.reason for name, each in found.items()}
    for name, reason in reasons.items():
        if reason:
            progress.say(f"    student.{name} will not run there: {reason}")
    if wrong := _broken(reasons, last=run.budget is not None and not searches):
        said = "; ".join(f"{name}: {reason}" for name, reason in wrong.items())
        raise errors.ConfigError(
            f"`target: micro`: no file that TFLite Micro runs can be made: {said}. "
            "Take other layers or finishers, or leave `target` out; see `python -m "
            "distill.doctor`"
        )


def measure(
    run: Any, models: Sequence[dict], folder: pathlib.Path, split: data.Split
) -> None:
    """Runs each file of the student in TFLite Micro, and adds it to the file's entry.

    Args:
        run: A `config.Run` or a `finishing.Finishing`.
        models: The models of the report. Where a file has to run and does not, that is
            a broken promise.
        folder: Holds the files.
        split: The test split.
    """
    files = [model for model in models if model["name"].startswith("student.")]
    for model in files:
        with progress.step(f"run {model['file']} in TFLite Micro", trial.build()):
            model.update(parity.record(folder / model["file"], split, model["macs"]))
    reasons = {model["name"]: model["micro"]["reason"] for model in files}
    wrong = _broken(reasons, last=run.budget is not None)
    for model in files:
        if model["name"] in wrong:
            reason = wrong[model["name"]]
            model["failed"].append(f"TFLite Micro does not run it: {reason}")


def _broken(reasons: Mapping[str, str | None], *, last: bool) -> dict[str, str]:
    """The files that ought to run, and do not, each with the reason.

    Args:
        reasons: Name of each file, in order, to why it does not run, or None.
        last: Whether the last has to run, since it alone ships; else any one has to.
    """
    ought = dict(list(reasons.items())[-1:]) if last else reasons
    wrong = {name: reason for name, reason in ought.items() if reason}
    return wrong if len(wrong) == len(ought) else {}
