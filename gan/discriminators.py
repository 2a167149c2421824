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
    """A small network from outputs, and optionally their condition, to one score.

    Logits go into dense layers. A representation first goes through a strided
    convolution and is averaged over its pixels.

    Attributes:
        units: Units of each hidden dense layer.
        dropout: Share of the first hidden layer's units that are dropped.
        spectral_normalization: Whether every kernel is kept at spectral norm 1.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        The condition enters as an inner product: Miyato and Koyama,
        "cGANs with Projection Discriminator", ICLR 2018, section 3. Spectral
        normalization: Miyato et al., ICLR 2018, section 2.1.
    """

    units: tuple[int, ...] = (128, 128)
    dropout: float = 0.0
    spectral_normalization: bool = False

    def __post_init__(self):
        """Refuses options that are out of range."""
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
            condition: Shape of the condition, `(height, width, channels)` or
                `(features,)`; None without one.

        Returns:
            A model from a dict of the outputs, and `"condition"` if there is
            one, to scores of shape `(batch, 1)`. Its layer `judge` does the
            same from a `"condition"` that the layer `condition_encoder` has encoded:
            so several outputs for one input need it encoded once.
        """
        import keras

        inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
        encoded = dict(inputs)
        if condition is not None:
            inputs["condition"] = keras.Input(condition, name="condition")
            encoded["condition"] = self._build_encoder(condition)(inputs["condition"])
        # Two nested models, not one: see `Returns`.
        judge = self._build_judge({name: x.shape[1:] for name, x in encoded.items()})
        return keras.Model(inputs, judge(encoded), name="discriminator")

    def _build_judge(self, shapes):
        import keras

        inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
        seen = [self._flatten_map(name, x) for name, x in inputs.items()]
        x = seen[0] if len(seen) == 1 else keras.layers.Concatenate(name="seen")(seen)
        for index, units in enumerate(self.units):
            name = f"hidden{index + 1}"
            x = self._normalize_kernel(keras.layers.Dense(units, name=name))(x)
            x = keras.layers.LeakyReLU(sizes.SLOPE, name=f"{name}_relu")(x)
            if not index and self.dropout:
                x = keras.layers.Dropout(self.dropout, name="dropout")(x)
        score = self._normalize_kernel(keras.layers.Dense(1, name="score"))(x)
        if "condition" in inputs:
            # The projection discriminator: the score grows by the inner product of
            # the features and a linear map of the condition.
            layer = keras.layers.Dense(self.units[-1], use_bias=False, name="belongs")
            projected = self._normalize_kernel(layer)(inputs["condition"])
            fit = keras.layers.Dot(-1, name="fit")([projected, x])
            score = keras.layers.Add(name="score_and_fit")([score, fit])
        return keras.Model(inputs, score, name="judge")

    def _build_encoder(self, shape):
        import keras

        inputs = x = keras.Input(shape, name="condition")
        # A vector, such as a one-hot label, needs no convolutions.
        if len(shape) > 1:
            for index, channels in enumerate((32, 64)):
                name = f"read{index + 1}"
                layer = keras.layers.Conv2D(
                    channels, 3, 1 + index, padding="same", name=name
                )
                x = keras.layers.LeakyReLU(sizes.SLOPE, name=f"{name}_relu")(
                    self._normalize_kernel(layer)(x)
                )
            x = keras.layers.Flatten(name="flat")(x)
        x = self._normalize_kernel(keras.layers.Dense(self.units[-1], name="read"))(x)
        x = keras.layers.LeakyReLU(sizes.SLOPE, name="read_relu")(x)
        return keras.Model(inputs, x, name="condition_encoder")

    def _flatten_map(self, name, x):
        import keras

        if len(x.shape) == 2:
            return x
        layer = keras.layers.Conv2D(
            self.units[0], 3, 2, padding="same", name=f"{name}_convolution"
        )
        x = keras.layers.LeakyReLU(sizes.SLOPE, name=f"{name}_relu")(
            self._normalize_kernel(layer)(x)
        )
        return keras.layers.GlobalAveragePooling2D(name=f"{name}_pool")(x)

    def _normalize_kernel(self, layer):
        import keras

        if not self.spectral_normalization:
            return layer
        return keras.layers.SpectralNormalization(layer, name=f"{layer.name}_bounded")
