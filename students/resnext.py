"""Residual networks whose blocks are many narrow paths."""

from __future__ import annotations

import dataclasses

from students import layers, residual
from students.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNeXt(Network):
    """A ResNeXt of three sections of bottleneck blocks with grouped convolutions.

    Attributes:
        depth: Number of weight layers without shortcuts, `9n + 2`, such as 20,
            29, 56 or 110.
        width: Channels of the stem; the sections put out 4, 8 and 16 times as
            many. The paper has 64.
        cardinality: Number of paths, which is of groups of the 3 x 3
            convolutions. The paper has 8 or 16.
        bottleneck_width: Channels of a path in the first section; doubled at
            each later one. The paper has 64.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Xie et al., "Aggregated Residual Transformations for Deep Neural
        Networks", CVPR 2017, sections 3 and 5.3, in the form of figure 3c, with
        projection shortcuts. https://arxiv.org/abs/1611.05431
    """

    depth: int
    width: int = 16
    cardinality: int = 8
    bottleneck_width: int = 4

    def __post_init__(self):
        """Refuses what cannot be built."""
        super().__post_init__()
        self._check_depth(self.depth, 9, 2)
        for name in ("width", "cardinality", "bottleneck_width"):
            self._check(name, getattr(self, name) >= 1, "at least 1")

    def _plan(self):
        sections = [(4 * self.width * 2**i, 1 + (i > 0)) for i in range(3)]
        return [(self.width, 1), *sections]

    def _stem(self, x):
        return layers.conv_bn_relu(x, self.width, 3, 1, self.weight_decay, name="stem_")

    def _section(self, x, index, name):
        blocks = (self.depth - 2) // 9
        return residual.section(self._block, x, blocks, self._plan()[index], name)

    def _block(self, x, channels, stride, name):
        import keras

        decay, paths = self.weight_decay, self.cardinality
        inner = paths * self.bottleneck_width * channels // (4 * self.width)
        y = layers.conv_bn_relu(x, inner, 1, 1, decay, name=f"{name}1_")
        y = layers.conv_bn_relu(
            y, inner, 3, stride, decay, name=f"{name}2_", groups=paths
        )
        y = layers.conv_bn(y, channels, 1, 1, decay, name=f"{name}3_")
        if x.shape[-1] != channels or stride > 1:
            x = layers.conv_bn(x, channels, 1, stride, decay, name=f"{name}shortcut_")
        x = keras.layers.Add(name=f"{name}add")([x, y])
        return keras.layers.ReLU(name=f"{name}relu")(x)
