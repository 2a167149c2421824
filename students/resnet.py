"""Residual networks for small images, at any depth 6n + 2."""

from __future__ import annotations

import dataclasses
import typing

if typing.TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNet:
    """A post-activation ResNet of three sections that shows its representations.

    A teacher is a deeper student: two ResNets of one `width` have
    representations of equal shape at every depth.

    Attributes:
        depth: Number of weight layers, `6n + 2`, such as 8, 20, 56 or 110.
        width: Channels of the first section; doubled at each later one.
        weight_decay: L2 penalty per squared weight of each convolution and of
            the head. An SGD `weight_decay` of `w` is `w / 2` here.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
        section 4.2, with the projection shortcut (option B) where a section
        widens. https://arxiv.org/abs/1512.03385
    """

    depth: int
    width: int = 16
    weight_decay: float = 5e-5

    def __post_init__(self):
        """Refuses what cannot be built."""
        blocks, remainder = divmod(self.depth - 2, 6)
        if blocks < 1 or remainder:
            near = 6 * max(1, round(blocks + remainder / 6)) + 2
            raise ValueError(
                f"`depth` must be 6n + 2, such as {near}. Received: {self.depth}"
            )
        if self.width < 1:
            raise ValueError(f"`width` must be at least 1. Received: {self.width}")
        if not 0 <= self.weight_decay < 1:
            raise ValueError(
                f"`weight_decay` must be in [0, 1). Received: {self.weight_decay}"
            )

    def shapes(self, image_shape: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
        """Shapes of the representations, without building anything.

        Args:
            image_shape: `(height, width, channels)` of one image.

        Returns:
            Name of each representation, in order, to `(height, width, channels)`.
        """
        height, width, _ = image_shape
        shapes: dict[str, tuple[int, ...]] = {"stem": (height, width, self.width)}
        for index in range(3):
            if index:
                height, width = (height + 1) // 2, (width + 1) // 2
            shapes[f"section{index + 1}"] = (height, width, self.width * 2**index)
        return shapes

    def build(self, image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
        """Builds the network.

        Args:
            image_shape: `(height, width, channels)` of one image.
            num_classes: Number of classes.

        Returns:
            A model from images `(batch, height, width, channels)` in [0, 1] to
            a dict of `"logits"`, shape `(batch, num_classes)`, and the
            representations of `shapes`.
        """
        import keras

        decay = keras.regularizers.L2(self.weight_decay)
        images = keras.Input(image_shape, name="images")
        x = _conv_bn(images, self.width, 1, decay, name="stem_")
        x = keras.layers.ReLU(name="stem")(x)
        outputs = {"stem": x}
        for index in range(3):
            name = f"section{index + 1}"
            channels = self.width * 2**index
            blocks = (self.depth - 2) // 6
            x = _section(x.shape[1:], channels, blocks, 1 + (index > 0), decay, name)(x)
            outputs[name] = x
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        head = keras.layers.Dense(num_classes, kernel_regularizer=decay, name="head")
        outputs["logits"] = head(x)
        return keras.Model(images, outputs, name=f"resnet{self.depth}")


def _section(shape, channels, blocks, stride, decay, name):
    """A run of residual blocks; the first one widens and takes the stride."""
    import keras

    inputs = x = keras.Input(shape, name="given")
    for index in range(blocks):
        # With the section in it: on PyTorch, Keras forgets to clear the gradients of
        # a variable whose path another one has.
        block = f"{name}_block{index + 1}_"
        y = _conv_bn(x, channels, stride, decay, name=f"{block}1_")
        y = keras.layers.ReLU(name=f"{block}1_relu")(y)
        y = _conv_bn(y, channels, 1, decay, name=f"{block}2_")
        if x.shape[-1] != channels or stride > 1:
            x = _conv_bn(x, channels, stride, decay, 1, name=f"{block}shortcut_")
        x = keras.layers.Add(name=f"{block}add")([x, y])
        x = keras.layers.ReLU(name=f"{block}relu")(x)
        stride = 1
    return keras.Model(inputs, x, name=name)


def _conv_bn(x, channels, stride, decay, kernel_size=3, *, name):
    """Convolution without bias, then BatchNormalization."""
    import keras

    x = keras.layers.Conv2D(
        channels,
        kernel_size,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=decay,
        name=f"{name}conv",
    )(x)
    return keras.layers.BatchNormalization(momentum=0.9, name=f"{name}norm")(x)
