"""Classifiers of keras-hub, each with its own tokenizer or preprocessing."""

import functools
import os
import pathlib
import tempfile

import numpy as np

from distill.runtime import packages, progress
from distill.runtime.errors import ConfigError
from distill.runtime.trust import scan_hub
from distill.teach.answering import formats, texts

_KAGGLE = "kaggle://"


def find(preset: str) -> pathlib.Path:
    """The folder of a preset, which is downloaded unless it is a folder.

    Args:
        preset: As `teacher.hub`.

    Raises:
        ConfigError: If keras-hub is not installed, knows no such preset, or it cannot
            be downloaded.
    """
    packages.require(f"`teacher.hub` = {preset}", packages.HUB)
    folder = pathlib.Path(preset).expanduser()
    if folder.is_dir():
        return folder
    return _download(preset)


@functools.cache  # It is asked for by everyone who wants its hash.
def _download(preset):
    import kagglehub
    import keras_hub

    handle = preset
    if not preset.startswith(_KAGGLE):
        known = keras_hub.models.Task.presets
        if preset not in known:
            raise ConfigError(
                "`teacher.hub` must be a folder, a preset that keras-hub has, or "
                f"kaggle://OWNER/MODEL/keras/VARIATION. Received: {preset}"
            )
        handle = known[preset]["kaggle_handle"]
    progress.say(f"==> teacher: {handle}, by Kaggle, downloaded unless it is there")
    try:
        return pathlib.Path(kagglehub.model_download(handle.removeprefix(_KAGGLE)))
    except Exception as error:  # Of the network, of Kaggle, of the disk.
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"`teacher.hub` = {preset} cannot be downloaded: {reason}. Give the folder "
            "of a preset that is here"
        ) from None


def open_preset(path: str) -> formats.Model:
    """Opens the folder of a preset; only in the process of `child`.

    Raises:
        Refused: If it may be unsafe, or cannot be opened.
    """
    # Whatever the student runs on: its tokenizers need TensorFlow.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras_hub
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # The student's process has it.
    with tempfile.TemporaryDirectory() as copy:
        name = scan_hub.copy(pathlib.Path(path), pathlib.Path(copy))
        is_text = name.endswith("TextClassifier")
        kind = "TextClassifier" if is_text else "ImageClassifier"
        # Without an activation its answers are logits.
        classifier = formats.attempt(
            lambda: getattr(keras_hub.models, kind).from_preset(copy, activation=None),
            "keras-hub cannot open it",
        )
    if classifier.preprocessor is None:
        raise ConfigError(
            "a teacher of keras-hub must be saved with its preprocessor. Received: a "
            f"{name} without one"
        )

    def run(batch):
        is_numbers = texts.are_numbers(batch)
        if is_text != is_numbers:
            given = "texts" if is_numbers else "images"
            raise ConfigError(
                f"the data's {given} need another teacher. Received: a {name}"
            )
        if is_numbers:
            examples = texts.from_numbers(batch)
        else:
            examples = 255 * batch  # Its preprocessing begins at the numbers of bytes.
            _check_images(classifier, examples[:1])
        return formats.attempt(
            lambda: classifier.predict(examples, verbose=0), "it failed"
        )

    return run


def _check_images(classifier, images):
    """Refuses images that its preprocessor does not make those that it takes."""
    made = np.shape(classifier.preprocessor(images))[1:]
    wanted = tuple(classifier.inputs[0].shape[1:])
    if any(size not in (None, own) for size, own in zip(wanted, made, strict=True)):
        raise ConfigError(
            f"the teacher takes images {wanted}, and its own preprocessing makes "
            f"{tuple(made)} of the data's {images.shape[1:]}"
        )
