"""The base of networks that were not written under the contract of `students`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from typing import Literal

from students.network import Network

if typing.TYPE_CHECKING:
    import keras

Opener = Callable[[str, "str | None"], "keras.Model"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class KerasModel(Network):
    """A functional Keras model, cut into sections at some of its layers.

    Attributes:
        sections: Layers whose outputs are the representations, in order: the first
            is the `stem`, the next `section1`, and so on. `auto` takes those that
            pair with the other network's; see `teach.networks.cuts`. With an empty
            list there are only logits, which is enough for `kd`.

    Raises:
        ValueError: If an option is out of its range.
    """

    sections: tuple[str, ...] | Literal["auto"] = "auto"

    def __post_init__(self):
        """Refuses a layer that is named twice."""
        super().__post_init__()
        if self.sections == "auto":
            return
        names = list(self.sections)
        self._check("sections", len(set(names)) == len(names), "of different names")

    @property
    def file(self) -> tuple[str, str | None] | None:
        """Path and SHA-256 (or None) of the network's file; None without a file."""
        return None

    def shapes(self, input_shape):
        """None: the shapes are known only once the network is built."""
        return None

    def whole(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        opened: Opener,
        vocabulary: int | None = None,
    ) -> keras.Model:
        """Builds the network, flat and without sections.

        Args:
            input_shape: Shape of one example.
            num_classes: Number of classes.
            opened: A function that opens the `.keras` file of a path and its SHA-256.
            vocabulary: Number of different ids in a text; None for images.

        Returns:
            A model as `students.keras_models.flat.flatten` returns it.

        Raises:
            ValueError: If the network does not fit the data; the message says why.
        """
        raise NotImplementedError

    def build(self, input_shape, num_classes, vocabulary=None):
        """Raises an error: the sections depend on the other network."""
        raise TypeError("`distill.teach.networks.build` builds networks with sections")
