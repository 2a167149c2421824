"""Class-conditional generators: each entry's `build` returns one `keras.Model`.

The contract of a generator: one functional model from a dict of `"noise"`, float32
`(batch, noise)`, standard normal, and `"label"`, int `(batch,)`, to examples of
the requested shape. In inference mode, the example for one noise and label does not
depend on the rest of the batch.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Literal

from gan import sizes

if typing.TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvGenerator:
    """Images in [0, 1] by convolutions, from about 4 x 4 pixels, doubled each time.

    Attributes:
        noise: Length of the noise.
        width: Channels at full size; doubled at each halving.
        class_deviation: Standard deviation of the initial class embedding; the noise
            has 1. At 1 the class outweighs the noise and may collapse to a few
            examples; 0.1 weighs about as much as a one-hot code.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Odena et al., "Conditional Image Synthesis with Auxiliary Classifier
        GANs", ICML 2017, appendix A, with nearest-neighbour upsampling for its
        transposed convolutions (Odena et al., "Deconvolution and Checkerboard
        Artifacts", Distill 2016). BatchNormalization: Radford et al., 2016,
        section 3: without it, what a class has in common outweighs the noise.
    """

    noise: int = 110
    width: int = 32
    class_deviation: float = 0.1

    def __post_init__(self):
        """Refuses options that are out of range."""
        sizes.check_positive(noise=self.noise, width=self.width)
        sizes.check_deviation(self.class_deviation)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuses examples of a shape that the network cannot make.

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
            A model under the contract of `gan.generators`.

        Raises:
            ValueError: If these are not images of at least 8 pixels a side.
        """
        import keras

        steps = sizes.halvings(shape)
        channels = self.width * 2 ** (len(steps) - 1)
        inputs, x = _build_inputs(self.noise, num_classes, self.class_deviation)
        x = keras.layers.Dense(math.prod(steps[-1]) * channels, name="spread")(x)
        x = keras.layers.Reshape((*steps[-1], channels), name="smallest")(x)
        x = _activate(x, "smallest")
        for height, width in reversed(steps[:-1]):
            channels //= 2
            name = f"{height}x{width}"
            x = keras.layers.UpSampling2D(name=f"{name}_up")(x)
            # `halvings` rounds up, so doubling to an odd size gives one pixel too many.
            excess = (x.shape[1] - height, x.shape[2] - width)
            if any(excess):
                crop = [(0, pixels) for pixels in excess]
                x = keras.layers.Cropping2D(crop, name=f"{name}_crop")(x)
            x = keras.layers.Conv2D(channels, 3, padding="same", name=name)(x)
            x = _activate(x, name)
        x = keras.layers.Conv2D(
            shape[-1], 3, padding="same", activation="sigmoid", name="examples"
        )(x)
        return keras.Model(inputs, x, name="generator")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseGenerator:
    """Feature vectors, or small images, by dense hidden layers.

    Attributes:
        noise: Length of the noise.
        units: Units of each hidden layer.
        activation: Activation of the output: `sigmoid` for values in [0, 1], such as
            pixels; `linear` for standardised features.
        class_deviation: Standard deviation of the initial class embedding; the noise
            has 1. At 1 the class outweighs the noise and may collapse to a few
            examples; 0.1 weighs about as much as a one-hot code.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Liu et al., "Teacher-Student Compression with Generative Adversarial
        Networks", 2018, section 4.2: one hidden layer.
    """

    noise: int = 100
    units: tuple[int, ...] = (50,)
    activation: Literal["sigmoid", "linear"] = "sigmoid"
    class_deviation: float = 0.1

    def __post_init__(self):
        """Refuses options that are out of range."""
        sizes.check_positive(noise=self.noise)
        sizes.check_deviation(self.class_deviation)
        sizes.check_units(self.units)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuses examples of a shape that the network cannot make.

        Raises:
            ValueError: If these are images and the output is unbounded.
        """
        if len(shape) == 3 and self.activation == "linear":
            raise ValueError(
                "`activation` must be sigmoid for images, which lie in [0, 1]. "
                "Received: 'linear'"
            )

    def build(self, shape: tuple[int, ...], num_classes: int) -> keras.Model:
        """Builds the network.

        Args:
            shape: Shape of one example, such as `(features,)`.
            num_classes: Number of classes.

        Returns:
            A model under the contract of `gan.generators`.
        """
        import keras

        inputs, x = _build_inputs(self.noise, num_classes, self.class_deviation)
        for index, units in enumerate(self.units, start=1):
            x = keras.layers.Dense(units, activation="relu", name=f"hidden{index}")(x)
        output = keras.layers.Dense(
            math.prod(shape), activation=self.activation, name="values"
        )
        x = keras.layers.Reshape(shape, name="examples")(output(x))
        return keras.Model(inputs, x, name="generator")


Generator = ConvGenerator | DenseGenerator  # All entries, for annotations.

GENERATORS = {
    "conv": ConvGenerator,
    "dense": DenseGenerator,
}


def _build_inputs(noise, num_classes, deviation):
    """Returns the inputs, and noise and class embedding as one vector."""
    import keras

    inputs = {
        "noise": keras.Input((noise,), name="noise"),
        "label": keras.Input((), name="label", dtype="int32"),
    }
    classes = keras.layers.Embedding(
        num_classes,
        noise,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=deviation),
        name="classes",
    )
    vectors = [inputs["noise"], classes(inputs["label"])]
    return inputs, keras.layers.Concatenate(name="given")(vectors)


def _activate(x, name):
    import keras

    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return keras.layers.LeakyReLU(sizes.SLOPE, name=f"{name}_relu")(x)
