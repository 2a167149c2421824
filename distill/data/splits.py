"""Labelled examples, and the three splits of a set."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from distill.data import memmap, tokens

NAMES = ("train", "validation", "test")
AT_ONCE = 1024  # Examples: they may not all fit into memory.


@dataclasses.dataclass(frozen=True)
class Split:
    """Labelled examples.

    Attributes:
        inputs: Images `(n, height, width, channels)`, uint8 or float32 in [0, 1]; or
            texts, int32 ids `(n, length)`; an array, or `memmap.Rows` of a file.
        labels: int64, `(n,)`, from 0.
        names: Of each example in its set, `(n,)`; None where nobody asks for them.
    """

    inputs: np.ndarray | memmap.Rows
    labels: np.ndarray
    names: np.ndarray | None = None

    def floats(self) -> np.ndarray:
        """All inputs as a network takes them; see `floats`."""
        return floats(self.inputs[:])

    def take(self, chosen: np.ndarray) -> "Split":
        """The examples of these indices, in their order."""
        names = None if self.names is None else self.names[chosen]
        if isinstance(self.inputs, memmap.Rows):
            return Split(self.inputs.take(chosen), self.labels[chosen], names)
        return Split(self.inputs[chosen], self.labels[chosen], names)

    def sample(self, count: int, seed: int) -> "Split":
        """Some of the examples, drawn by class: data are often read class by class.

        Args:
            count: How many; all, where there are fewer.
            seed: Decides them.

        Returns:
            Of each class one at least, as far as `count` goes, and else the share that
            it has of all; in their order here.
        """
        order = np.random.default_rng(seed).permutation(len(self.labels))
        by_class = order[np.argsort(self.labels[order], kind="stable")]
        sizes = np.unique(self.labels, return_counts=True)[1]
        shares = np.empty(len(order))  # Of its class: how much is drawn before it.
        shares[by_class] = np.concatenate([np.arange(size) / size for size in sizes])
        chosen = order[np.argsort(shares[order], kind="stable")][:count]
        return self.take(np.sort(chosen))


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a set comes in: training examples, and splits that it has of its own."""

    train: Split
    validation: Split | None = None
    test: Split | None = None

    def named(self) -> dict[str, Split]:
        """Name of each split to it, if it is there."""
        return {
            name: part for name in NAMES if (part := getattr(self, name)) is not None
        }


@dataclasses.dataclass(frozen=True)
class Splits:
    """Training, validation and test examples; no example is in two of them.

    Attributes:
        tokenizer: Of texts, the `tokenizers.Tokenizer` that made the ids; else None.
        drawn: Whether the test split was drawn here, from examples that others may
            have trained with.
        warnings: What a reader of numbers should know of them, one line each.
    """

    train: Split
    validation: Split
    test: Split
    tokenizer: Any = None
    drawn: bool = False
    warnings: tuple[str, ...] = ()

    def named(self) -> dict[str, Split]:
        """Name of each split to it."""
        return {name: getattr(self, name) for name in NAMES}

    def fingerprint(self) -> str:
        """SHA-256 over all inputs and labels, in order, and the tokenizer."""
        sha = hashlib.sha256()
        for split in self.named().values():
            for start in range(0, len(split.labels), AT_ONCE):
                piece = split.inputs[start : start + AT_ONCE]
                sha.update(np.ascontiguousarray(piece).tobytes())
            sha.update(np.ascontiguousarray(split.labels).tobytes())
        if self.tokenizer is not None:
            sha.update(self.tokenizer.to_str().encode())
        return sha.hexdigest()

    def shown(self, inputs: np.ndarray) -> Sequence[np.ndarray] | Sequence[str]:
        """Inputs as people look at them: images as they are, texts as one reads them.

        Args:
            inputs: As a network takes them, `(n, ...)`.
        """
        if self.tokenizer is None:
            return inputs
        return [tokens.read(self.tokenizer, row) for row in inputs]


def floats(inputs: np.ndarray) -> np.ndarray:
    """Pixels as float32 in [0, 1]; uint8 is divided by 255. Ids, int32, stay ids."""
    if inputs.dtype == np.uint8:
        return inputs.astype(np.float32) / np.float32(255)
    if inputs.dtype == np.int32:
        return inputs
    return inputs.astype(np.float32, copy=False)
