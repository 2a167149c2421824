"""Discriminators that tell a teacher's outputs from a student's."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping

from gan import sizes

if typing.TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class Discriminator:
    """A small network from outputs, and what they belong to, to one score.

    Logits go into dense layers; a representation passes a strided convolution
    and is averaged over its pixels first.

    Attributes:
        units: Of the hidden dense layers.
        dropout: Share of the first hidden layer's units that are left out.
        spectral_normalization: Whether every kernel is kept at spectral norm 1.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        What belongs to what is judged by an inner product: Miyato and Koyama,
        "cGANs with Projection Discriminator", ICLR 2018, section 3. Spectral
        normalization: Miyato et al., ICLR 2018, section 2.1.
    """

    units: tuple[int, ...] = (128, 128)
    dropout: float = 0.0
    spectral_normalization: bool = False

    def __post_init__(self):
        """Refuses what cannot be built."""
        sizes.check_units(self.units)
        sizes.check_dropout(self.dropout)

    def build(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        condition: tuple[int, ...] | None = None,
    ) -> keras.Model:
        """Builds the network.

        Args:
            shapes: Name of each output that it sees to the shape for one example:
                `(classes,)` or `(height, width, channels)`.
            condition: Shape of what the outputs belong to, `(height, width,
                channels)` or `(features,)`; None if it is not told.

        Returns:
            A model from a dict of the outputs, and `"condition"` if there is
            one, to scores of shape `(batch, 1)`. Its layer `judge` does the
            same from `"condition"` as its layer `condition_encoder` has read it,
            for who shows several outputs that belong to one input.
        """
        import keras

        inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
        told = dict(inputs)
        if condition is not None:
            inputs["condition"] = keras.Input(condition, name="condition")
            told["condition"] = self._encoder(condition)(inputs["condition"])
        judge = self._judge({name: x.shape[1:] for name, x in told.items()})
        return keras.Model(inputs, judge(told), name="discriminator")

    def _judge(self, shapes):
        import keras

        inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
        seen = [self._vector(name, x) for name, x in inputs.items()]
        x = seen[0] if len(seen) == 1 else keras.layers.Concatenate(name="seen")(seen)
        for index, units in enumerate(self.units):
            name = f"hidden{index + 1}"
            x = self._weighted(keras.layers.Dense(units, name=name))(x)
            x = keras.layers.LeakyReLU(sizes.SLOPE, name=f"{name}_relu")(x)
            if not index and self.dropout:
                x = keras.layers.Dropout(self.dropout, name="dropout")(x)
        score = self._weighted(keras.layers.Dense(1, name="score"))(x)
        if "condition" in inputs:
            belongs = keras.layers.Dense(self.units[-1], use_bias=False, name="belongs")
            wanted = self._weighted(belongs)(inputs["condition"])
            fit = keras.layers.Dot(-1, name="fit")([wanted, x])
            score = keras.layers.Add(name="score_and_fit")([score, fit])
        return keras.Model(inputs, score, name="judge")

    def _encoder(self, shape):
        import keras

        inputs = x = keras.Input(shape, name="condition")
        if len(shape) > 1:
            for index, channels in enumerate((32, 64)):
                name = f"read{index + 1}"
                layer = keras.layers.Conv2D(
                    channels, 3, 1 + index, padding="same", name=name
                )
                x = keras.layers.LeakyReLU(sizes.SLOPE, name=f"{name}_relu")(
                    self._weighted(layer)(x)
                )
            x = keras.layers.Flatten(name="flat")(x)
        x = self._weighted(keras.layers.Dense(self.units[-1], name="read"))(x)
        x = keras.layers.LeakyReLU(sizes.SLOPE, name="read_relu")(x)
        return keras.Model(inputs, x, name="condition_encoder")

    def _vector(self, name, x):
        import keras

        if len(x.shape) == 2:
            return x
        layer = keras.layers.Conv2D(
            self.units[0], 3, 2, padding="same", name=f"{name}_convolution"
        )
        x = keras.layers.LeakyReLU(sizes.SLOPE, name=f"{name}_relu")(
            self._weighted(layer)(x)
        )
        return keras.layers.GlobalAveragePooling2D(name=f"{name}_pool")(x)

    def _weighted(self, layer):
        import keras

        if not self.spectral_normalization:
            return layer
        return keras.layers.SpectralNormalization(layer, name=f"{layer.name}_bounded")
