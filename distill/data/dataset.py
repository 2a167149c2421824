"""The base of all data sets: labelled images or texts in three disjoint splits."""

import dataclasses
import pathlib
from collections.abc import Set
from typing import ClassVar

import numpy as np

from distill.data import checks, split_file
from distill.data.splits import NAMES, Parts, Split, Splits
from distill.data.unlabelled import Unlabelled
from distill.runtime.errors import DataError, check


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """The options and the drawing of splits that all data sets share.

    A data set implements `_examples`.

    Attributes:
        kind: Kind of the inputs: `images` or `texts`.
        input_shape: Shape of one input.
        vocabulary: Number of different ids in texts; None for images.
        train_examples: Number of training examples to keep, stratified by class. If
            the set has no validation split, that split is drawn from them. `None`
            keeps all.
        validation_fraction: Share of the training examples that becomes the
            validation split, stratified by class, if the set has none.
        validation_examples: Size of the validation split if the set has none: examples
            that `train_examples` leaves out are added to it, stratified by class. So a
            small training set can have a validation split large enough to select by.
            `None` adds none.
        test_fraction: Share of the training examples that becomes the test split,
            stratified by class, if the set has none.
        split_seed: Seed of the drawing of splits; separate from the run's seed, so
            that runs of different seeds are measured on the same test split.
        splits: A `.csv` file that lists the examples of each split, in the columns
            `split` (train, validation, test or unlabelled) and `example`; every run
            writes such a file. Examples that it does not list are left out; a split
            that it does not list is drawn from `train`.
        unlabelled: Further training examples without labels; see
            docs/unlabelled.md.

    Raises:
        ValueError: If an option is out of its range.
    """

    only_with: ClassVar[dict[str, str]] = {"validation_examples": "train_examples"}
    omitted_when_absent: ClassVar[tuple[str, ...]] = ("unlabelled",)
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
    splits: str | None = None
    unlabelled: Unlabelled | None = None

    def __post_init__(self):
        """Refuses options by which no splits can be drawn."""
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
        if self.splits is not None and not self._split_file.is_file():
            raise ValueError(
                f"`splits` must be a file that exists. Received: {self.splits}"
            )
        check(
            self.train_examples or self.splits or not self._drops_labels,
            "unlabelled.examples",
            "absent without `train_examples` or `splits`, which leave examples out",
            self.unlabelled and self.unlabelled.examples,
        )

    def check_effects(self):
        """Refuses the share of a split that is not drawn."""
        if self.splits is not None:
            return
        for split in sorted(self.own_splits - {"train"}):
            name = f"{split}_fraction"
            if getattr(self, name) != getattr(type(self), name):
                raise ValueError(
                    f"`{name}` must be left out: the set has a {split} split of its "
                    f"own, which is kept whole. Received: {getattr(self, name)}"
                )

    @property
    def read_shape(self) -> tuple[int, ...]:
        """Shape of an example as it is read; of resized images, before that."""
        return self.input_shape

    @property
    def own_splits(self) -> Set[str]:
        """The splits that the set comes with; the others are drawn."""
        return {"train"}

    @property
    def labelled(self) -> Set[str]:
        """The splits whose examples have labels."""
        return frozenset(NAMES)

    def _check_train_examples(self):
        if self.train_examples is None:
            return  # Counting the classes may require reading a file.
        least = 2 * self.num_classes
        if self.train_examples < least:
            raise ValueError(
                f"`train_examples` must be at least {least}, two for each class. "
                f"Received: {self.train_examples}"
            )

    def load(self) -> Splits:
        """Reads the set and draws its splits.

        Raises:
            DataError: If the set is missing, damaged or too small for its options.
        """
        parts = self._examples()
        own_names = {name: part.names for name, part in parts.by_name().items()}
        if self.unlabelled is not None and not self._drops_labels:
            parts = dataclasses.replace(parts, unlabelled=self._read_unlabelled())
        if self.splits is not None:
            parts = split_file.assign(
                self._split_file, parts, unlabelled=self.unlabelled is not None
            )
        checks.check(parts.by_name(), self.class_names)
        train, validation, test = parts.train, parts.validation, parts.test
        # The test split comes first, so that it does not depend on `train_examples`.
        if test is None:
            train, test = self._draw(train, "test_fraction", self.test_fraction)
        drawn = parts.test is None
        train, validation, rest = self._split_validation(train, validation)
        unlabelled = parts.unlabelled
        if self._drops_labels:
            left_out = rest if unlabelled is None else unlabelled
            unlabelled = self.unlabelled.draw(left_out, self.split_seed)
        splits = Splits(train, validation, test, drawn=drawn, unlabelled=unlabelled)
        return dataclasses.replace(
            splits,
            warnings=checks.warnings(splits, self.class_names),
            own_names=own_names,
        )

    @property
    def _drops_labels(self):
        """Whether unlabelled examples are labelled ones of the set."""
        return self.unlabelled is not None and self.unlabelled.path is None

    def _read_unlabelled(self):
        return self.unlabelled.read(self.read_shape)

    @property
    def _split_file(self):
        return pathlib.Path(self.splits).expanduser()

    def _examples(self) -> Parts:
        raise NotImplementedError

    def _split_validation(self, train, validation):
        """Selects training examples, and draws a validation split if there is none.

        Returns training and validation examples, and those that are in neither.
        """
        # Indices are drawn instead of examples, which are then read once, in order.
        indices = Split(np.arange(len(train.labels)), train.labels)
        kept, rest = self._split_train(indices)
        if validation is None:
            share = self.validation_fraction
            kept, aside = self._draw(kept, "validation_fraction", share)
            chosen, rest = self._validation_indices(aside, rest)
            validation = train.take(chosen)
        elif self.validation_examples is not None:
            raise DataError(
                "`validation_examples` must be absent if the set has a validation "
                f"split. Received: {self.validation_examples}"
            )
        return train.take(kept.inputs), validation, train.take(rest.inputs)

    def _split_train(self, indices):
        """Splits indices into `train_examples`, validation included, and the rest."""
        available, size = len(indices.labels), self.train_examples
        if size is None or size == available:
            return indices, indices.take(slice(0))
        if size > available:
            raise DataError(
                f"`train_examples` must be absent, or at most {available}, the number "
                f"of examples. Received: {size}"
            )
        return self._draw(indices, "train_examples", available - size)

    def _validation_indices(self, aside, rest):
        """Indices of the validation split, from those set aside and some of the rest.

        Returns them, and those of the rest that are left.
        """
        size, least = self.validation_examples, len(aside.labels)
        if size is None:
            return aside.inputs, rest
        maximum = least + len(rest.labels)
        if not least < size <= maximum:
            raise DataError(
                f"`validation_examples` must be above {least}, which "
                f"`validation_fraction` sets aside, and at most {maximum}, with all "
                f"that `train_examples` leaves out. Received: {size}"
            )
        more, left = rest, rest.take(slice(0))
        if size < maximum:
            left, more = self._draw(rest, "validation_examples", size - least)
        return np.sort(np.concatenate([aside.inputs, more.inputs])), left

    def _draw(self, split, name, aside):
        """Sets a share or a number aside, stratified by class: `(kept, aside)`."""
        # Not at the top: reading a config must stay fast.
        from sklearn import model_selection

        try:
            kept, aside = model_selection.train_test_split(
                np.arange(len(split.labels)),
                test_size=aside,
                random_state=self.split_seed,
                stratify=split.labels,
            )
        except ValueError:
            counts = np.unique(split.labels, return_counts=True)[1]
            raise DataError(
                f"`{name}` = {getattr(self, name)} cannot be drawn from "
                f"{len(split.labels)} examples of {len(counts)} classes, of which the "
                f"smallest has {min(counts, default=0)}: each class needs two, and "
                f"either part at least {len(counts)} in all"
            ) from None
        return split.take(np.sort(kept)), split.take(np.sort(aside))
