"""The teacher's logits in the finishing process, cached if examples do not change."""

import functools
import hashlib
import pathlib
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from distill import data
from distill.data import augmentation, kept
from distill.measure import folded
from distill.runtime import progress

_BATCH = 256  # Examples in one pass of the teacher.


class Answers:
    """A function from examples to the teacher's logits.

    Args:
        teacher: The teacher.
        splits: The data, of which all but the test examples are repeated.
        changing: Whether training examples are augmented at random, so that no
            logits can be reused.
    """

    def __init__(self, teacher: keras.Model, splits: data.Splits, changing: bool):
        examples = splits.validation.sample(folded.EXAMPLES, seed=0)
        network = folded.answering(teacher, examples.floats())
        given = network.inputs[0]
        # For any number of examples: the last batch of a split would be traced again.
        signature = [tf.TensorSpec((None, *given.shape[1:]), given.dtype)]
        self._predict_batch = tf.function(
            lambda x: network(x, training=False)["logits"], signature
        )
        self._splits = splits
        self._changing = changing

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Logits, float32, `(n, classes)`."""
        if self._changing:
            return self._predict(inputs)
        return np.stack([self._cached[_key(example)] for example in inputs])

    @functools.cached_property
    def _cached(self):
        """Key of each example to its logits.

        Always computed in the order of the data: the batch in which an example stands
        can change the last digits, and a resumed run must see the same logits.
        """
        cached = {}
        further = [self._splits.unlabelled] if self._splits.unlabelled else []
        for split in (self._splits.train, self._splits.validation, *further):
            for start in range(0, len(split.labels), _BATCH):
                inputs = split.take(slice(start, start + _BATCH)).floats()
                cached |= zip(map(_key, inputs), self._predict(inputs), strict=True)
        return cached

    def _predict(self, inputs):
        starts = range(0, len(inputs), _BATCH)
        logits = [self._predict_batch(inputs[i : i + _BATCH]).numpy() for i in starts]
        return np.concatenate(logits)


class Kept:
    """A function from examples to the logits that a teacher has given once.

    Args:
        logits: Name of each split to logits, `(variants, examples, classes)`.
        splits: The data.
        changes: The augmentation of training examples, which has as many variants.
    """

    def __init__(
        self,
        logits: Mapping[str, np.ndarray],
        splits: data.Splits,
        changes: augmentation.Augmentation,
    ):
        self._logits, self._splits, self._changes = logits, splits, changes

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Logits, float32, `(n, classes)`."""
        return np.stack([self._known[_key(example)] for example in inputs])

    @functools.cached_property
    def _known(self):
        """Key of each variant of an example to its logits."""
        known: dict[bytes, np.ndarray] = {}
        split = self._splits.validation
        known |= zip(
            map(_key, split.floats()), self._logits["validation"][0], strict=True
        )
        split = self._splits.train
        count = len(split.labels)
        for number, logits in enumerate(self._logits.get("train", ())):
            draws = self._changes.variant(number, count)
            for start in range(0, count, _BATCH):
                part = slice(start, start + _BATCH)
                inputs = self._changes(split.inputs[part], draws[:, part])
                known |= zip(map(_key, data.floats(inputs)), logits[part], strict=True)
        return known


def open_teacher(
    folder: pathlib.Path,
    network: keras.Model | None,
    splits: data.Splits,
    changes: augmentation.Augmentation,
) -> Answers | Kept | None:
    """The teacher's logits, or None without a teacher; see `Answers` and `Kept`.

    Args:
        folder: May have the logits of a teacher that only answers.
        network: The teacher; None without one.
        splits: The data.
        changes: The augmentation of training examples.
    """
    if (folder / kept.FILE).exists():
        return Kept(kept.read(folder / kept.FILE), splits, changes)
    if network is not None:
        changing = changes != augmentation.Augmentation()
        return Answers(network, splits, changing)
    progress.say(
        "    no teacher: trains on labels alone, weighted task_weight + kd_weight"
    )
    return None


def _key(example):
    # A digest and not the example: two splits of floats would stay in memory.
    return hashlib.blake2b(example.tobytes(), digest_size=16).digest()
