"""Discriminators that also classify: each entry's `build` returns one `keras.Model`.

The contract: one functional model from examples to a dict of `"score"`, shape
`(batch,)`, high where the discriminator believes an example to be real, and
`"logits"`, shape `(batch, classes)`, of the auxiliary classifier. The outputs for an
example do not depend on the rest of the batch.
"""

from __future__ import annotations

import dataclasses
import typing

from gan import sizes

if typing.TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvClassifier:
    """Strided convolutions, until about 4 x 4 pixels are left.

    Attributes:
        width: Channels at full size; doubled at each halving.
        dropout: Share of each convolution's outputs that is dropped in training.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Odena et al., "Conditional Image Synthesis with Auxiliary Classifier
        GANs", ICML 2017, appendix A.
    """

    width: int = 32
    dropout: float = 0.3

    def __post_init__(self):
        """Refuses options that are out of range."""
        sizes.check_positive(width=self.width)
        sizes.check_dropout(self.dropout)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuses examples of a shape that the network cannot take.

        Raises:
            ValueError: If these are not images of at least 8 pixels a side.
        """
        sizes.halvings(shape)

    def build(self, shape: tuple[int, ...], num_classes: int) -> keras.Model:
        """Builds the network.

        Args:
            shape: `(height, width, channels)` of one image.
            num_classes: Number of classes.

        Returns:
            A model under the contract of `gan.conditional`.

        Raises:
            ValueError: If these are not images of at least 8 pixels a side.
        """
        import keras

        inputs = x = keras.Input(shape, name="examples")
        for index in range(len(sizes.halvings(shape))):
            layer = keras.layers.Conv2D(
                self.width * 2**index,
                3,
                1 + (index > 0),  # The first convolution keeps the size.
                padding="same",
                name=f"conv{index + 1}",
            )
            # No BatchNormalization, which would mix the examples of a batch: the
            # contract forbids it, and the R1 penalty is on each example's gradient.
            x = _activate(layer(x), self.dropout, layer.name)
        x = keras.layers.Flatten(name="flat")(x)
        return _build_heads(inputs, x, num_classes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseClassifier:
    """Dense hidden layers: for feature vectors, or small images.

    Attributes:
        units: Units of each hidden layer.
        dropout: Share of each hidden layer's outputs that is dropped in training.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Liu et al., "Teacher-Student Compression with Generative Adversarial
        Networks", 2018, section 4.2: one hidden layer.
    """

    units: tuple[int, ...] = (50,)
    dropout: float = 0.0

    def __post_init__(self):
        """Refuses options that are out of range."""
        sizes.check_units(self.units)
        sizes.check_dropout(self.dropout)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Accepts examples of any shape."""

    def build(self, shape: tuple[int, ...], num_classes: int) -> keras.Model:
        """Builds the network.

        Args:
            shape: Shape of one example, such as `(features,)`.
            num_classes: Number of classes.

        Returns:
            A model under the contract of `gan.conditional`.
        """
        import keras

        inputs = keras.Input(shape, name="examples")
        x = keras.layers.Flatten(name="flat")(inputs)
        for index, units in enumerate(self.units, start=1):
            name = f"hidden{index}"
            x = _activate(keras.layers.Dense(units, name=name)(x), self.dropout, name)
        return _build_heads(inputs, x, num_classes)


Classifier = ConvClassifier | DenseClassifier  # All entries, for annotations.

DISCRIMINATORS = {
    "conv": ConvClassifier,
    "dense": DenseClassifier,
}


def _activate(x, dropout, name):
    import keras

    x = keras.layers.LeakyReLU(sizes.SLOPE, name=f"{name}_relu")(x)
    return keras.layers.Dropout(dropout, name=f"{name}_drop")(x) if dropout else x


def _build_heads(inputs, x, num_classes):
    import keras

    score = keras.layers.Dense(1, name="score_head")(x)
    outputs = {
        # From (batch, 1) to (batch,): one number for each example.
        "score": keras.layers.Reshape((), name="score")(score),
        "logits": keras.layers.Dense(num_classes, name="logits")(x),
    }
    return keras.Model(inputs, outputs, name="discriminator")
