"""Networks out of files: put under the contract, and asked before anything trains."""

import pathlib
from collections.abc import Iterator

import keras

import students
from distill import config, data
from distill.config import lessons
from distill.runtime import errors
from distill.runtime.trust import loader
from distill.teach import teacher
from distill.teach.networks import build, logits
from students.keras_models import flat


def check(run: config.Run, splits: data.Splits) -> None:
    """Asks every network of a run that comes out of a file.

    Args:
        run: The run.
        splits: The data; `validation` is read.

    Raises:
        ConfigError: As `logits.check_logits` and `logits.check_teacher`.
        Untrusted: If something speaks against opening a file.
    """
    split = logits.sample(splits.validation)
    for where, network, teaches in _incoming(run):
        if teaches:
            logits.check_teacher(network, where, split)
        else:
            logits.check_logits(network, where, split)


def open_given(
    path: pathlib.Path, sha256: str | None, dataset: data.Dataset
) -> keras.Model:
    """A foreign network under the contract of `students`, its logits alone.

    Args:
        path: The `.keras` file.
        sha256: What its bytes must hash to, if that is known.
        dataset: What it must fit.

    Raises:
        ConfigError: If it takes or makes something else.
        Untrusted: If something speaks against opening it.
    """
    network = loader.open_foreign(path, sha256)
    if isinstance(network, keras.Sequential):
        network = keras.Model(network.inputs, network.outputs[0], name=network.name)
    outputs = network.output
    answer = outputs.get("logits") if isinstance(outputs, dict) else outputs
    if len(network.inputs) != 1 or not hasattr(answer, "shape"):
        raise errors.ConfigError(
            f"{path} must map one input to logits, or to a dict with `logits`. "
            f"Received: {len(network.inputs)} inputs, and "
            f"{sorted(outputs) if isinstance(outputs, dict) else 'several outputs'}: "
            "save `keras.Model(model.inputs, model.outputs[0])`, or whichever it is"
        )
    images = network.inputs[0]
    if None in images.shape[1:]:
        try:
            images, made = flat.inlined(network, dataset.input_shape)
        except ValueError as mistake:
            raise errors.ConfigError(f"{path} {mistake}") from None
        answer = made["logits"] if isinstance(made, dict) else made
    wanted = dataset.input_shape, (dataset.num_classes,)
    received = tuple(images.shape[1:]), tuple(answer.shape[1:])
    if received != wanted:
        raise errors.ConfigError(
            f"{path} must map inputs {wanted[0]} to {wanted[1][0]} logits. "
            f"Received: {received[0]} to {received[1]}"
        )
    return keras.Model(images, {"logits": answer}, name=network.name)


def _incoming(run) -> Iterator[tuple[str, keras.Model, bool]]:
    """What a line says of each network out of a file, itself, whether it teaches so."""
    for name, part in {"teacher": run, **lessons.co_teachers(run)}.items():
        given, network = part.teacher.file, part.teacher.network
        if given is not None:
            yield f"`{name}.file` = {given}", teacher.open_given(part), True
        elif isinstance(network, students.KerasFile):
            yield (
                f"`{name}.network`, {network.path},",
                build.build(name, part),
                False,
            )
    if isinstance(run.student, students.KerasFile):
        yield f"`student`, {run.student.path},", build.build("student", run), False
