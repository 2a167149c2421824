"""What a data set is: labelled images or texts in three disjoint splits."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from distill.data import memmap, tokens
from distill.runtime import errors

HASHED = 1024  # Examples at once: they may not all fit into memory.


@dataclasses.dataclass(frozen=True)
class Split:
    """Labelled examples.

    Attributes:
        inputs: Images `(n, height, width, channels)`, uint8 or float32 in [0, 1]; or
            texts, int32 ids `(n, length)`; an array, or `rows.Rows` of a file.
        labels: int64, `(n,)`, from 0.
    """

    inputs: np.ndarray | memmap.Rows
    labels: np.ndarray

    def floats(self) -> np.ndarray:
        """All inputs as a network takes them; see `floats`."""
        return floats(self.inputs[:])

    def take(self, chosen: np.ndarray) -> "Split":
        """The examples of these indices, in their order."""
        if isinstance(self.inputs, memmap.Rows):
            return Split(self.inputs.take(chosen), self.labels[chosen])
        return Split(self.inputs[chosen], self.labels[chosen])

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
class Splits:
    """Training, validation and test examples; no example is in two of them.

    Attributes:
        tokenizer: Of texts, the `tokenizers.Tokenizer` that made the ids; else None.
    """

    train: Split
    validation: Split
    test: Split
    tokenizer: Any = None

    def fingerprint(self) -> str:
        """SHA-256 over all inputs and labels, in order, and the tokenizer."""
        sha = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for start in range(0, len(split.labels), HASHED):
                piece = split.inputs[start : start + HASHED]
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """What all sets share. A set has `_examples`: training, and test if it has one.

    Attributes:
        kind: Of the inputs: `images` or `texts`.
        input_shape: Of one input.
        vocabulary: Number of different ids in texts; None for images.
        train_examples: Keep this many training examples, drawn by class; the
            validation split is carved from them. `None` keeps all.
        validation_fraction: Share of the training examples that is set aside
            for validation, drawn by class.
        validation_examples: Make the validation split this large, with examples that
            `train_examples` leaves out, drawn by class: few examples to learn from,
            and enough to choose by. `None` adds none.
        test_fraction: Share that becomes the test split, drawn by class, in a
            set without one of its own.
        split_seed: Decides who goes where; apart from the run's seed, so that
            runs of different seeds are measured on the same test split.

    Raises:
        ValueError: If an option is out of its range.
    """

    only_with: ClassVar[dict[str, str]] = {"validation_examples": "train_examples"}
    kind: ClassVar[str] = "images"
    vocabulary: ClassVar[int | None] = None
    input_shape: ClassVar[tuple[int, ...]]
    num_classes: ClassVar[int]
    class_names: ClassVar[tuple[str, ...]]

    train_examples: int | None = None
    validation_fraction: float = 0.1
    validation_examples: int | None = None
    test_fraction: float = 0.2
    split_seed: int = 0

    def __post_init__(self):
        """Refuses splits that cannot be drawn."""
        for name in ("validation_fraction", "test_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be between 0 and 1. Received: {getattr(self, name)}"
                )
        self._check_train_examples()
        if self.validation_examples is not None and self.train_examples is None:
            raise ValueError(
                "`validation_examples` must be absent without `train_examples`, which "
                f"leaves some out. Received: {self.validation_examples}"
            )
        if self.split_seed < 0:
            raise ValueError(
                f"`split_seed` must be at least 0. Received: {self.split_seed}"
            )

    def check_effects(self):
        """Refuses a share of what is not drawn."""
        unset = self.test_fraction == type(self).test_fraction
        if not unset and not self.draws_test:
            raise ValueError(
                "`test_fraction` must be left out: the set has a test split of its "
                f"own, which is kept whole. Received: {self.test_fraction}"
            )

    @property
    def draws_test(self) -> bool:
        """Whether the test split is drawn, for the set has none of its own."""
        return True

    def _check_train_examples(self):
        if self.train_examples is None:
            return  # To count the classes may mean to read a file.
        least = 2 * self.num_classes
        if self.train_examples < least:
            raise ValueError(
                f"`train_examples` must be at least {least}, two for each class. "
                f"Received: {self.train_examples}"
            )

    def load(self) -> Splits:
        """Reads the set and draws its splits.

        Raises:
            DataError: If the set is not there, or too small for its options.
        """
        train, test = self._examples()
        if test is None:
            train, test = self._draw(train, "test_fraction", self.test_fraction)
        # Places are drawn, not examples, which are then read once, in their order.
        places = Split(np.arange(len(train.labels)), train.labels)
        kept, left = self._fewer(places)
        kept, aside = self._draw(kept, "validation_fraction", self.validation_fraction)
        validation = train.take(self._larger(aside, left))
        return Splits(train.take(kept.inputs), validation, test)

    def _examples(self) -> tuple[Split, Split | None]:
        raise NotImplementedError

    def _fewer(self, places):
        """Those that are kept to train and validate with, and those left out."""
        there, wanted = len(places.labels), self.train_examples
        if wanted is None or wanted == there:
            return places, places.take(slice(0))
        return self._draw(places, "train_examples", there - wanted)

    def _larger(self, aside, left):
        """Places of the validation split: those set aside, and some of those left."""
        wanted, least = self.validation_examples, len(aside.labels)
        if wanted is None:
            return aside.inputs
        most = least + len(left.labels)
        if not least < wanted <= most:
            raise errors.DataError(
                f"`validation_examples` must be above {least}, which "
                f"`validation_fraction` sets aside, and at most {most}, with all that "
                f"`train_examples` leaves out. Received: {wanted}"
            )
        if wanted < most:
            _, left = self._draw(left, "validation_examples", wanted - least)
        return np.sort(np.concatenate([aside.inputs, left.inputs]))

    def _draw(self, split, name, aside):
        """Sets a share or a number aside, by class: `(kept, aside)`."""
        from sklearn import model_selection

        try:
            kept, aside = model_selection.train_test_split(
                np.arange(len(split.labels)),
                test_size=aside,
                random_state=self.split_seed,
                stratify=split.labels,
            )
        except ValueError as error:
            raise errors.DataError(
                f"`{name}` = {getattr(self, name)} cannot be drawn from "
                f"{len(split.labels)} examples: {error}"
            ) from None
        return split.take(np.sort(kept)), split.take(np.sort(aside))
