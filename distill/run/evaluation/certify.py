"""Bounds the error of a finished file on new examples; see `certificate`."""

import dataclasses
import json
import math
import pathlib
import zlib
from typing import Any

import numpy as np

import students
from distill import config, data
from distill.compress.base.finisher import TrainedFinisher
from distill.measure import accuracy, codec
from distill.measure.codec.certificate import Certificate

_CODER = 64  # Bits that the coder of all arrays of a file needs at its end.
# Whoever has the numbers needs no epochs: how they were found does not describe them.
_TRAINING = {field.name for field in dataclasses.fields(TrainedFinisher)}
_READ = 4096  # Examples read at once, since all may not fit into memory.


def certify(
    path: pathlib.Path, train: data.Split, options: str, tried: int
) -> dict[str, Any]:
    """Bounds the error of a file, which is run on its training examples.

    Args:
        path: The `.tflite` file.
        train: The training split, without augmentation, with its true labels.
        options: All that decides the file beside its numbers, as text.
        tried: Number of files among which this one was chosen.

    Returns:
        The entry `certificate` of a model in `report.json`: `bound`, `training_error`
        and `guessing` in percent, `examples`, `bits`, `files_tried`, `vacuous`, and
        `allowed_bytes`; see `Certificate`.
    """
    options_bits = 8 * len(zlib.compress(options.encode(), 9))
    numbers = codec.description_bits(path.read_bytes()) + _CODER
    examples = len(train.labels)
    found = Certificate(
        error=_count_errors(path, train) / examples,
        examples=examples,
        bits=numbers + options_bits + math.log2(tried),
        guessing=1 - float(np.bincount(train.labels).max()) / examples,
    )
    return {
        "bound": 100 * found.bound,
        "training_error": 100 * found.error,
        "guessing": 100 * found.guessing,
        "examples": examples,
        "bits": math.ceil(found.bits),
        "files_tried": tried,
        "vacuous": found.vacuous,
        "allowed_bytes": found.allowed_bytes,
    }


def describe_options(run: Any, part: Any, network: Any) -> str:
    """The network and the finisher of a file, as short as the project can read them.

    Nothing of how the finisher trains; see `_TRAINING`.

    Args:
        run: A `config.Run` or a `finishing.Finishing`.
        part: The finisher.
        network: The student, a `keras.Model`.
    """
    student = getattr(run, "student", None)
    if student is None or isinstance(student, students.KerasFile):
        # A file's name says nothing of its network.
        described = network.to_json()
    else:
        described = _chosen(student)
    return json.dumps([described, _chosen(part)], separators=(",", ":"))


def _chosen(part):
    """The name of a part, and its options that are neither defaults nor of training."""
    options = config.plain(part)
    chosen = {
        field.name: options[field.name]
        for field in dataclasses.fields(part)
        if field.name not in _TRAINING and getattr(part, field.name) != field.default
    }
    return [config.name_of(part), chosen]


def _count_errors(path, split):
    """Number of examples whose largest logit is not that of the label."""
    wrong = 0
    for start in range(0, len(split.labels), _READ):
        some = split.take(np.arange(start, min(start + _READ, len(split.labels))))
        predicted = accuracy.classes(accuracy.logits(path, some))
        wrong += int((predicted != some.labels).sum())
    return wrong
