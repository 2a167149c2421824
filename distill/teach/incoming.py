"""Opens and checks the networks that come from files, before anything trains."""

import pathlib
from collections.abc import Iterator

import keras

import students
from distill import config, data
from distill.config import answering, lessons
from distill.runtime import errors
from distill.runtime.trust import loader
from distill.teach import teacher
from distill.teach.answering import stand_in
from distill.teach.networks import build, logits
from students.keras_models import flat


def check(run: config.Run, splits: data.Splits) -> None:
    """Checks the logits of every network of a run that comes from a file.

    Args:
        run: The run.
        splits: The data, of which the validation split is used.

    Raises:
        ConfigError: As `logits.check_logits` and `logits.check_teacher`.
        Untrusted: If a file may be unsafe.
    """
    if answering.form_of(run.teacher) is not None:
        check_answerer(run, splits)
    split = logits.sample(splits.validation)
    for where, network, teaches in _networks_from_files(run):
        if teaches:
            logits.check_teacher(network, where, split)
        else:
            logits.check_logits(network, where, split)


def check_answerer(run: config.Run, splits: data.Splits) -> None:
    """Asks a teacher that only answers for the examples that a network is run on.

    Raises:
        ConfigError: As `teacher.open_given` and `logits.check_answers`.
        Untrusted: If its file may be unsafe.
    """
    answerer = stand_in.answerer_of(teacher.open_given(run))
    assert answerer is not None
    answerer.check(splits)
    indices = logits.sample_indices(splits.validation)
    split = splits.validation.take(indices)
    answers = answerer.answer("validation", indices, split.floats())
    if "logits" in answers:
        logits.check_answers(answers["logits"], answerer.where, split)


def open_given(
    path: pathlib.Path, sha256: str | None, dataset: data.Dataset
) -> keras.Model:
    """Opens a foreign network as one under the contract of `students`.

    Args:
        path: The `.keras` file.
        sha256: The expected SHA-256 of the file; None if it is unknown.
        dataset: The data set whose examples and classes it must fit.

    Returns:
        The network, with `logits` as its only output.

    Raises:
        ConfigError: If its inputs or outputs do not fit the data set.
        Untrusted: If the file may be unsafe.
    """
    network = loader.open_foreign(path, sha256)
    if isinstance(network, keras.Sequential):
        network = keras.Model(network.inputs, network.outputs[0], name=network.name)
    outputs = network.output
    output = outputs.get("logits") if isinstance(outputs, dict) else outputs
    if len(network.inputs) != 1 or not hasattr(output, "shape"):
        raise errors.ConfigError(
            f"{path} must map one input to logits, or to a dict with `logits`. "
            f"Received: {len(network.inputs)} inputs, and "
            f"{sorted(outputs) if isinstance(outputs, dict) else 'several outputs'}: "
            "save `keras.Model(model.inputs, model.outputs[0])`, with the index of "
            "the logits"
        )
    images = network.inputs[0]
    if None in images.shape[1:]:
        try:
            images, outputs = flat.inline(network, dataset.input_shape)
        except ValueError as error:
            raise errors.ConfigError(f"{path} {error}") from error
        output = outputs["logits"] if isinstance(outputs, dict) else outputs
    expected = dataset.input_shape, (dataset.num_classes,)
    received = tuple(images.shape[1:]), tuple(output.shape[1:])
    if received != expected:
        raise errors.ConfigError(
            f"{path} must map inputs {expected[0]} to {expected[1][0]} logits. "
            f"Received: {received[0]} to {received[1]}"
        )
    return keras.Model(images, {"logits": output}, name=network.name)


def _networks_from_files(run) -> Iterator[tuple[str, keras.Model, bool]]:
    """Yields the name in messages, the network, and whether it teaches untrained."""
    for name, part in {"teacher": run, **lessons.co_teachers(run)}.items():
        file, network = part.teacher.file, part.teacher.network
        if file is not None:
            yield f"`{name}.file` = {file}", teacher.open_given(part), True
        elif isinstance(network, students.KerasFile):
            yield (
                f"`{name}.network`, {network.path},",
                build.build(name, part),
                False,
            )
    if isinstance(run.student, students.KerasFile):
        yield f"`student`, {run.student.path},", build.build("student", run), False
