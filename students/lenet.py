"""LeNet: two convolutions and three dense layers."""

from __future__ import annotations

import dataclasses

from students import layers
from students.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeNet(Network):
    """Two convolutions that each halve the image, and three dense layers.

    Unlike the original it has ReLU, maximum pooling and zero-padded convolutions, so
    that it takes images of 8 x 8 to 64 x 64 pixels. No BatchNormalization.

    Attributes:
        width_multiplier: Multiplies the 6 and 16 channels and the 120 and 84
            hidden units.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        LeCun et al., "Gradient-Based Learning Applied to Document Recognition",
        1998, section II.B.
    """

    width_multiplier: float = 1.0

    def __post_init__(self):
        """Refuses options that are out of range."""
        super().__post_init__()
        self._check("width_multiplier", self.width_multiplier > 0, "positive")

    def _plan(self):
        return [(self._widened(channels), 2) for channels in (6, 16)]

    def _widened(self, units):
        return max(1, round(units * self.width_multiplier))

    def _stem(self, x):
        return self._block(x, 0, "stem_")

    def _section(self, x, index, name):
        return self._block(x, index, f"{name}_")

    def _block(self, x, index, name):
        import keras

        channels, stride = self._plan()[index]
        x = layers.conv(x, channels, 5, 1, self.weight_decay, name=name, use_bias=True)
        x = keras.layers.ReLU(name=f"{name}relu")(x)
        return keras.layers.MaxPooling2D(2, stride, "same", name=f"{name}pool")(x)

    def _head(self, x, num_classes):
        units, more = map(self._widened, (120, 84))
        return layers.dense_head(x, units, more, num_classes, self.weight_decay)
