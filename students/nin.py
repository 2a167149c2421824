"""Network in Network: convolutions followed by 1 x 1 convolutions."""

from __future__ import annotations

import dataclasses

from students import layers
from students.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class NIN(Network):
    """Three convolutions, each followed by two 1 x 1 convolutions, and pooling.

    The stem is the first three layers and a maximum pooling, `section1` the next
    three and an average pooling, `section2` two more. The ninth layer comes after
    the global average pooling and not before it, and has no ReLU: so it is a dense
    layer with the same weights, and logits may be negative. BatchNormalization
    replaces the dropout.

    Attributes:
        width_multiplier: Multiplies the 192, 160 and 96 channels.
        batch_norm: Whether BatchNormalization follows each convolution. Without
            it, training is as hard to start as it was in 2014.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Lin et al., "Network In Network", ICLR 2014, sections 3 and 4.1.
        https://arxiv.org/abs/1312.4400
    """

    width_multiplier: float = 1.0
    batch_norm: bool = True

    def __post_init__(self):
        """Refuses options that are out of range."""
        super().__post_init__()
        self._check("width_multiplier", self.width_multiplier > 0, "positive")

    def _plan(self):
        return [
            (self._widened(96), 2),
            (self._widened(192), 2),
            (self._widened(192), 1),
        ]

    def _widened(self, channels):
        return max(1, round(channels * self.width_multiplier))

    def _stem(self, x):
        import keras

        x = self._convs(x, [(192, 5), (160, 1), (96, 1)], "stem_")
        return keras.layers.MaxPooling2D(3, 2, "same", name="stem_pool")(x)

    def _section(self, x, index, name):
        import keras

        # The last section has no pooling of its own; the head pools over all pixels.
        if index == 2:
            return self._convs(x, [(192, 3), (192, 1)], f"{name}_")
        x = self._convs(x, [(192, 5), (192, 1), (192, 1)], f"{name}_")
        return keras.layers.AveragePooling2D(3, 2, "same", name=f"{name}_pool")(x)

    def _convs(self, x, sizes, prefix):
        import keras

        for index, (channels, kernel_size) in enumerate(sizes, start=1):
            name = f"{prefix}{index}_"
            kernel = self._widened(channels), kernel_size, 1, self.weight_decay
            if self.batch_norm:
                x = layers.conv_bn_relu(x, *kernel, name=name)
            else:
                x = layers.conv(x, *kernel, name=name, use_bias=True)
                x = keras.layers.ReLU(name=f"{name}relu")(x)
        return x
