"""The base of all networks: options, shapes, and how one is built."""

from __future__ import annotations

import dataclasses
import typing
from typing import ClassVar

from students import layers

if typing.TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A stem, sections and a head, under the contract of `students`.

    A subclass defines `_plan`, `_stem` and `_section`, and `_head` if it has its own.

    Attributes:
        takes: Kinds of inputs that it can be built for: `images`, `texts`.
        weight_decay: L2 penalty per squared weight of each kernel. SGD with a
            `weight_decay` of `w` corresponds to `w / 2` here.

    Raises:
        ValueError: If an option is out of its range.
    """

    takes: ClassVar[tuple[str, ...]] = ("images",)

    weight_decay: float = 5e-5

    def __post_init__(self):
        """Refuses options that are out of range."""
        self._check("weight_decay", 0 <= self.weight_decay < 1, "in [0, 1)")

    def shapes(self, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]] | None:
        """Shapes of the representations, without building anything.

        Args:
            input_shape: `(height, width, channels)` of one image, or `(length,)`
                of one text.

        Returns:
            Name of each representation, in order, to `(height, width, channels)`;
            None if they are known only once the network is built.
        """
        height, width, _ = input_shape
        shapes: dict[str, tuple[int, ...]] = {}
        for index, (channels, stride) in enumerate(self._plan()):
            height, width = -(-height // stride), -(-width // stride)  # Rounded up.
            shapes[f"section{index}" if index else "stem"] = (height, width, channels)
        return shapes

    def build(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        vocabulary: int | None = None,
    ) -> keras.Model:
        """Builds the network.

        Args:
            input_shape: As in `shapes`.
            num_classes: Number of classes.
            vocabulary: Number of different ids in a text; None for images.

        Returns:
            A model from images `(batch, height, width, channels)` in [0, 1], or
            texts, int32 ids `(batch, length)`, to a dict of `"logits"`, shape
            `(batch, num_classes)`, and the representations of `shapes`.
        """
        import keras

        inputs, x = self._entry(input_shape, vocabulary)
        x = self._stem(x)
        outputs = {"stem": x}
        for index in range(1, len(self._plan())):
            name = f"section{index}"
            # A nested model, so that the section can be called by itself: LIT calls it
            # on the teacher's representation.
            section_input = keras.Input(x.shape[1:], name="given")
            section = self._section(section_input, index, name)
            x = keras.Model(section_input, section, name=name)(x)
            outputs[name] = x
        outputs["logits"] = self._head(x, num_classes)
        return keras.Model(inputs, outputs, name=type(self).__name__.lower())

    def _plan(self) -> list[tuple[int, int]]:
        """Channels and stride of the stem and of each section."""
        raise NotImplementedError

    def _entry(self, input_shape, vocabulary):
        """The network's input, and the input of the stem."""
        import keras

        images = keras.Input(input_shape, name="images")
        return images, images

    def _stem(self, x):
        """From images, or a text's embedding, to the first representation."""
        raise NotImplementedError

    def _section(self, x, index, name):
        """From one representation to the next; names of layers start with `name`."""
        raise NotImplementedError

    def _head(self, x, num_classes):
        """From the last representation to the logits."""
        import keras

        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        return layers.dense(x, num_classes, self.weight_decay, name="head")

    def _check(self, name, valid, rule):
        if not valid:
            received = getattr(self, name)
            raise ValueError(f"`{name}` must be {rule}. Received: {received}")

    def _check_depth(self, depth, per_block, others):
        """Refuses depths that are not `per_block * n + others` for a whole n."""
        # The message suggests the nearest depth that can be built.
        blocks, remainder = divmod(depth - others, per_block)
        nearest = per_block * max(1, round(blocks + remainder / per_block)) + others
        rule = f"{per_block}n + {others}, such as {nearest}"
        self._check("depth", blocks >= 1 and not remainder, rule)
