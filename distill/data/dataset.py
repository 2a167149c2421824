"""What a data set is: labelled images or texts in three disjoint splits."""

import dataclasses
import pathlib
from collections.abc import Set
from typing import ClassVar

import numpy as np

from distill.data import checks, split_file
from distill.data.splits import Parts, Split, Splits
from distill.runtime.errors import DataError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """What all sets share. A set has `_examples`.

    Attributes:
        kind: Of the inputs: `images` or `texts`.
        input_shape: Of one input.
        vocabulary: Number of different ids in texts; None for images.
        train_examples: Keep this many training examples, drawn by class; the
            validation split, where none is given, is carved from them. `None` keeps
            all.
        validation_fraction: Share of the training examples that is set aside
            for validation, drawn by class, in a set without such a split.
        validation_examples: Make the validation split that is drawn this large, with
            examples that `train_examples` leaves out, drawn by class: few examples to
            learn from, and enough to choose by. `None` adds none.
        test_fraction: Share that becomes the test split, drawn by class, in a
            set without one of its own.
        split_seed: Decides who goes where; apart from the run's seed, so that
            runs of different seeds are measured on the same test split.
        splits: A `.csv` file with the columns `split` (train, validation or test) and
            `example`, as every run writes it: who goes where. Who is not in it is left
            out; a split that is not in it is drawn from `train`.

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
    splits: str | None = None

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
        if self.splits is not None and not self._split_file.is_file():
            raise ValueError(
                f"`splits` must be a file that exists. Received: {self.splits}"
            )

    def check_effects(self):
        """Refuses a share of what is not drawn."""
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
    def own_splits(self) -> Set[str]:
        """The splits that the set comes with; the others are drawn."""
        return {"train"}

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
            DataError: If the set is not there, damaged, or too small for its options.
        """
        parts = self._examples()
        if self.splits is not None:
            parts = split_file.dealt(self._split_file, parts)
        checks.check(parts.named(), self.class_names)
        train, validation, test = parts.train, parts.validation, parts.test
        if test is None:
            train, test = self._draw(train, "test_fraction", self.test_fraction)
        train, validation = self._validated(train, validation)
        made = Splits(train, validation, test, drawn=parts.test is None)
        return dataclasses.replace(
            made, warnings=checks.warnings(made.named(), self.class_names)
        )

    @property
    def _split_file(self):
        return pathlib.Path(self.splits).expanduser()

    def _examples(self) -> Parts:
        raise NotImplementedError

    def _validated(self, train, validation):
        """The training examples that are kept, and the validation split."""
        # Places are drawn, not examples, which are then read once, in their order.
        places = Split(np.arange(len(train.labels)), train.labels)
        kept, left = self._fewer(places)
        if validation is None:
            share = self.validation_fraction
            kept, aside = self._draw(kept, "validation_fraction", share)
            validation = train.take(self._larger(aside, left))
        elif self.validation_examples is not None:
            raise DataError(
                "`validation_examples` must be absent where the validation split is "
                f"given. Received: {self.validation_examples}"
            )
        return train.take(kept.inputs), validation

    def _fewer(self, places):
        """Those that are kept to train and validate with, and those left out."""
        there, wanted = len(places.labels), self.train_examples
        if wanted is None or wanted == there:
            return places, places.take(slice(0))
        if wanted > there:
            raise DataError(
                f"`train_examples` must be absent, or at most {there}, which are all "
                f"there are. Received: {wanted}"
            )
        return self._draw(places, "train_examples", there - wanted)

    def _larger(self, aside, left):
        """Places of the validation split: those set aside, and some of those left."""
        wanted, least = self.validation_examples, len(aside.labels)
        if wanted is None:
            return aside.inputs
        most = least + len(left.labels)
        if not least < wanted <= most:
            raise DataError(
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
            raise DataError(
                f"`{name}` = {getattr(self, name)} cannot be drawn from "
                f"{len(split.labels)} examples: {error}"
            ) from None
        return split.take(np.sort(kept)), split.take(np.sort(aside))
