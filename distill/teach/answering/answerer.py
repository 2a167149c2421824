"""Opens what answers in a network's place."""

import functools
import hashlib
import pathlib

import keras
import numpy as np

from distill import config
from distill.config import answering, roles
from distill.runtime import errors, hashes, packages
from distill.runtime.trust import (
    limits,
    own_python,
    scan,
    scan_hub,
    scan_saved_model,
    serving,
)
from distill.teach.answering import answers_file, presets, served, texts
from distill.teach.answering.asked import Answerer
from distill.teach.answering.classes import Classes

# Form of a teacher that is a folder to the files that it has.
_FOLDERS = {"saved_model": scan_saved_model.members, "hub": scan_hub.members}
_BLANK = 2  # Examples that are asked for the shapes; with one, a lost axis looks right.
_WORD = "a"  # Stands for a text there: some tokenizers make no token of nothing.


def open_answerer(run: config.Run) -> Answerer:
    """Opens the teacher of a run, which only answers; once in this process.

    Args:
        run: The run; `config.answering.form_of` its teacher is not None.

    Raises:
        ConfigError: If it takes other inputs than it is given, does not answer with
            logits of the data's classes, a package is not installed, or its Python is
            not allowed.
        Untrusted: If its file may be unsafe.
    """
    if run.teacher.python is not None:
        own_python.require_permission(run.teacher.python, own_python.is_allowed())
    sha256 = file_hash(run.teacher)
    opened = _open(run.teacher, run.data, sha256, answering.needs_logits(run))
    if run.teacher.class_names and "logits" not in opened.shapes:
        raise errors.ConfigError(
            f"`teacher.class_names` must be absent: {opened.where} has no logits. "
            f"Received: {', '.join(run.teacher.class_names)}"
        )
    return opened


@functools.lru_cache(maxsize=1)  # It may hold all answers.
def _open(teacher, dataset, sha256, needs_logits):
    form = answering.form_of(teacher)
    where = f"`teacher.{form}` = {getattr(teacher, form)}"
    identity = f"{form} {sha256} {teacher.input} {teacher.class_names}"
    classes = Classes(where, teacher.class_names, dataset.class_names)
    if form == "answers":
        path = pathlib.Path(teacher.answers).expanduser()
        return answers_file.AnswersFile(path, where, classes, identity, needs_logits)
    if form == "onnx":
        packages.require(where, *packages.ONNX)
    trusted, path = form == "python", _path(teacher)
    reads = form == "hub" and dataset.kind == "texts"
    opened = (served.Reader if reads else served.Served)(
        where,
        serving.Server(path, [form, path], trusted),
        texts.to_numbers if reads else functools.partial(prepare, teacher.input),
        functools.partial(_arrange, teacher.input, classes, needs_logits),
        identity,
    )
    # The process stays until all answers are kept: opening a model takes seconds.
    opened.find_shapes(_blank(dataset, reads))
    return opened


def _path(teacher):
    """Where a teacher that is asked in another process is, for that process."""
    form = answering.form_of(teacher)
    if form == "python":
        return teacher.python
    if form == "hub":
        return str(presets.find(teacher.hub))
    return str(pathlib.Path(getattr(teacher, form)).expanduser())


def _blank(dataset, reads):
    """Some examples of no meaning."""
    if reads:
        return np.array([_WORD] * _BLANK, object)
    kind = np.float32 if dataset.kind == "images" else np.int32
    return np.zeros((_BLANK, *dataset.input_shape), kind)


def file_hash(teacher: roles.Teacher) -> str:
    """SHA-256 of all files of a teacher that only answers.

    Raises:
        Untrusted: If it is not the pinned one, or a folder holds other files.
    """
    form = answering.form_of(teacher)
    if form == "python":
        return own_python.file_hash(teacher.python)
    path = pathlib.Path(_path(teacher))
    if form not in _FOLDERS:
        scan.check_hash(path, teacher.sha256)
        return hashes.file_hash(path)
    sha = hashlib.sha256()
    try:
        for name in _FOLDERS[form](path):
            sha.update(f"{name} {hashes.file_hash(path / name)}\n".encode())
    except limits.Refused as found:
        raise errors.Untrusted(f"{path}: {found}") from None
    return sha.hexdigest()


def prepare(wanted: answering.Input | None, images: np.ndarray) -> np.ndarray:
    """Images as a teacher wants them.

    Args:
        wanted: What it wants; None for what the student gets.
        images: float32 in [0, 1], `(n, height, width, channels)`.

    Returns:
        float32, `(n, height, width, channels)`, or the channels first.
    """
    if wanted is None:
        return images
    if wanted.size:
        resized = keras.ops.image.resize(
            images, wanted.size, "bilinear", antialias=True, data_format="channels_last"
        )
        images = keras.ops.convert_to_numpy(resized)
    black, white = np.float32(wanted.range)
    images = images * (white - black) + black
    if wanted.order == "bgr":
        images = images[..., ::-1]
    if wanted.mean:
        images = images - np.float32(wanted.mean)
    if wanted.deviation:
        images = images / np.float32(wanted.deviation)
    return np.moveaxis(images, -1, 1) if wanted.channels == "first" else images


def _arrange(wanted, classes, needs_logits, answers):
    """Outputs as a network under the contract has them; perhaps without logits."""
    if needs_logits and len(answers) == 1:
        answers = {"logits": next(iter(answers.values()))}
    if needs_logits and "logits" not in answers:
        raise errors.ConfigError(
            f"{classes.where} has several outputs, and must name one of them `logits`. "
            f"Received: {', '.join(answers)}"
        )
    if wanted is not None and wanted.channels == "first":
        answers = {
            # Tokens, of three axes, have their channels last in every library.
            name: np.moveaxis(values, 1, -1) if values.ndim > 3 else values
            for name, values in answers.items()
        }
    if "logits" in answers:
        answers = {**answers, "logits": classes.select(answers["logits"])}
    return answers
