"""MobileNetV2 for small images: depthwise convolutions between narrow layers."""

from __future__ import annotations

import dataclasses

from students import layers
from students.network import Network

# Expansion, channels, blocks and stride of each section: table 2 of the paper, where
# the stem and the second row have stride 2. They have stride 1 here, since images
# are small.
_ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MobileNet(Network):
    """A MobileNetV2 that halves images three times instead of five times.

    Each row of the paper's table 2 is a section.

    Attributes:
        width_multiplier: Multiplies all channels, rounded to a multiple of 8;
            the last layer never has fewer than its 1280.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Sandler et al., "MobileNetV2: Inverted Residuals and Linear
        Bottlenecks", CVPR 2018, section 4. https://arxiv.org/abs/1801.04381
    """

    width_multiplier: float = 1.0

    def __post_init__(self):
        """Refuses options that are out of range."""
        super().__post_init__()
        self._check("width_multiplier", self.width_multiplier > 0, "positive")

    def _plan(self):
        rows = [(_rounded(row[1] * self.width_multiplier), row[3]) for row in _ROWS]
        return [(_rounded(32 * self.width_multiplier), 1), *rows]

    def _stem(self, x):
        channels, stride = self._plan()[0]
        return _conv_bn_relu6(x, channels, 3, stride, self.weight_decay, "stem_")

    def _section(self, x, index, name):
        channels, stride = self._plan()[index]
        expansion, _, blocks, _ = _ROWS[index - 1]
        for block in range(blocks):
            prefix = f"{name}_block{block + 1}_"
            x = self._block(x, channels, 1 if block else stride, expansion, prefix)
        return x

    def _block(self, x, channels, stride, expansion, name):
        """Inverted residual: expand, depthwise convolution, project, add the input."""
        import keras

        decay, y = self.weight_decay, x
        # The first row has expansion 1: it needs no 1 x 1 convolution before.
        if expansion > 1:
            wide = expansion * x.shape[-1]
            y = _conv_bn_relu6(y, wide, 1, 1, decay, f"{name}expand_")
        y = layers.depthwise(y, 3, stride, decay, name=f"{name}depthwise_")
        y = layers.norm(y, name=f"{name}depthwise_")
        y = keras.layers.ReLU(6.0, name=f"{name}depthwise_relu")(y)
        # Linear bottleneck: no ReLU, which would lose information in few channels.
        y = layers.conv_bn(y, channels, 1, 1, decay, name=f"{name}project_")
        if stride > 1 or x.shape[-1] != channels:
            return y
        return keras.layers.Add(name=f"{name}add")([x, y])

    def _head(self, x, num_classes):
        channels = _rounded(1280 * max(1.0, self.width_multiplier))
        x = _conv_bn_relu6(x, channels, 1, 1, self.weight_decay, "head_")
        return super()._head(x, num_classes)


def _conv_bn_relu6(x, channels, kernel_size, stride, decay, name):
    import keras

    kernel = channels, kernel_size, stride, decay
    x = layers.conv_bn(x, *kernel, name=name)
    return keras.layers.ReLU(6.0, name=f"{name}relu")(x)


def _rounded(channels):
    """Rounds to a multiple of 8, at most 10 % below; as in the authors' code."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
