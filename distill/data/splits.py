"""Labelled examples, and the three splits of a data set."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distill.data import memmap, tokens

NAMES = ("train", "validation", "test")
UNLABELLED = -1  # The label of an example whose class is unknown.
CHUNK = 1024  # Examples read at once, since all may not fit into memory.


@dataclasses.dataclass(frozen=True)
class Split:
    """Labelled examples.

    Attributes:
        inputs: Images `(n, height, width, channels)`, uint8 or float32 in [0, 1]; or
            texts, int32 ids `(n, length)`; an array, or `memmap.Rows` of a file.
        labels: int64, `(n,)`, from 0; or `UNLABELLED`, all of them.
        names: Name of each example in its data set, `(n,)`; None if not needed.
        texts: The texts as they were read, whole, `(n,)`; None for images.
    """

    inputs: np.ndarray | memmap.Rows
    labels: np.ndarray
    names: np.ndarray | None = None
    texts: np.ndarray | None = None

    @functools.cached_property
    def has_labels(self) -> bool:
        """Whether classes are known; where only some are, `checks.check` refuses."""
        return not len(self.labels) or bool((self.labels != UNLABELLED).any())

    def floats(self) -> np.ndarray:
        """All inputs as a network needs them; see `floats`."""
        return floats(self.inputs[:])

    def scaled(self, limits: Sequence[float]) -> "Split":
        """The same images as numbers from one limit to the other, in place of [0, 1].

        Args:
            limits: What black and white become.
        """
        if tuple(limits) == (0, 1):
            return self
        low, high = map(np.float32, limits)
        return Split(low + (high - low) * self.floats(), self.labels, self.names)

    def without_labels(self) -> "Split":
        """The same examples, whose labels nobody knows."""
        labels = np.full(len(self.labels), UNLABELLED, np.int64)
        return dataclasses.replace(self, labels=labels)

    def take(self, chosen: np.ndarray) -> "Split":
        """Selects examples by index, in the order of the indices."""
        names = None if self.names is None else self.names[chosen]
        texts = None if self.texts is None else self.texts[chosen]
        is_on_disk = isinstance(self.inputs, memmap.Rows)
        inputs = self.inputs.take(chosen) if is_on_disk else self.inputs[chosen]
        return Split(inputs, self.labels[chosen], names, texts)

    def sample(self, count: int, seed: int) -> "Split":
        """Draws a stratified sample, since data are often sorted by class.

        Args:
            count: Size of the sample; all examples if there are fewer.
            seed: Seed of the drawing.

        Returns:
            Every class in proportion to its size, and at least one example of each if
            `count` allows; in the order of this split.
        """
        order = np.random.default_rng(seed).permutation(len(self.labels))
        # Stable sorts keep the random order within a class and among equal shares.
        by_class = order[np.argsort(self.labels[order], kind="stable")]
        sizes = np.unique(self.labels, return_counts=True)[1]
        # The share of its class that is drawn before an example.
        shares = np.empty(len(order))
        shares[by_class] = np.concatenate([np.arange(size) / size for size in sizes])
        chosen = order[np.argsort(shares[order], kind="stable")][:count]
        return self.take(np.sort(chosen))


@dataclasses.dataclass(frozen=True)
class Parts:
    """The splits that a data set comes with: training, and perhaps the others.

    Attributes:
        unlabelled: Examples without labels that come beside it.
    """

    train: Split
    validation: Split | None = None
    test: Split | None = None
    unlabelled: Split | None = None

    def by_name(self) -> dict[str, Split]:
        """Name of each existing split to its examples."""
        return {
            name: part for name in NAMES if (part := getattr(self, name)) is not None
        }


@dataclasses.dataclass(frozen=True)
class Splits:
    """Training, validation and test examples; no example is in two of them.

    Attributes:
        tokenizer: The `tokenizers.Tokenizer` that made the ids of texts; else None.
        drawn: Whether the test split was drawn here, from examples that networks from
            elsewhere may have been trained on.
        warnings: Warnings for readers of the results, one line each.
        own_names: Name of each split that the data set has of its own to the names of
            its examples, in order, from which the others were drawn.
        unlabelled: Further training examples, which only a teacher labels; None without
            any.
    """

    train: Split
    validation: Split
    test: Split
    tokenizer: Any = None
    drawn: bool = False
    warnings: tuple[str, ...] = ()
    own_names: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    unlabelled: Split | None = None

    def by_name(self) -> dict[str, Split]:
        """Name of each split to its examples."""
        return {name: getattr(self, name) for name in NAMES}

    def with_unlabelled(self) -> dict[str, Split]:
        """As `by_name`, and `unlabelled` where there are such examples."""
        further = {} if self.unlabelled is None else {"unlabelled": self.unlabelled}
        return self.by_name() | further

    @property
    def labelled_alone(self) -> "Splits":
        """The splits without unlabelled examples, which no teacher learns from."""
        return dataclasses.replace(self, unlabelled=None)

    def fingerprint(self) -> str:
        """SHA-256 over all inputs and labels, in order, and the tokenizer."""
        return self._sha256

    @functools.cached_property
    def _sha256(self):
        # Once, since every file that is made says of which data it is.
        sha = hashlib.sha256()
        for split in self.with_unlabelled().values():
            # The hash does not depend on the size of chunks, nor on whether the
            # examples are in memory or in a file.
            for start in range(0, len(split.labels), CHUNK):
                chunk = split.inputs[start : start + CHUNK]
                sha.update(np.ascontiguousarray(chunk).tobytes())
            sha.update(np.ascontiguousarray(split.labels).tobytes())
        if self.tokenizer is not None:
            sha.update(self.tokenizer.to_str().encode())
        return sha.hexdigest()

    def decode(self, inputs: np.ndarray) -> Sequence[np.ndarray] | Sequence[str]:
        """Converts inputs for display: ids to texts; images stay as they are.

        Args:
            inputs: Inputs of a network, `(n, ...)`.
        """
        if self.tokenizer is None:
            return inputs
        return [tokens.decode(self.tokenizer, row) for row in inputs]


def floats(inputs: np.ndarray) -> np.ndarray:
    """Converts pixels to float32 in [0, 1]; uint8 is divided by 255. Ids stay int32."""
    if inputs.dtype == np.uint8:
        return inputs.astype(np.float32) / np.float32(255)
    if inputs.dtype == np.int32:
        return inputs
    return inputs.astype(np.float32, copy=False)
