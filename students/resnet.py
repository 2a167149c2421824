"""Residual networks for small images, at any depth 6n + 2."""

from __future__ import annotations

import dataclasses

from students import layers
from students.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNet(Network):
    """A post-activation ResNet of three sections that shows its representations.

    A teacher is a deeper student: two ResNets of one `width` have
    representations of equal shape at every depth.

    Attributes:
        depth: Number of weight layers, `6n + 2`, such as 8, 20, 56 or 110.
        width: Channels of the first section; doubled at each later one.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
        section 4.2, with the projection shortcut (option B) where a section
        widens. https://arxiv.org/abs/1512.03385
    """

    depth: int
    width: int = 16

    def __post_init__(self):
        """Refuses what cannot be built."""
        super().__post_init__()
        self._check_depth(self.depth, 6, 2)
        self._check("width", self.width >= 1, "at least 1")

    def _plan(self):
        return [(self.width, 1), *((self.width * 2**i, 1 + (i > 0)) for i in range(3))]

    def _stem(self, x, channels, stride):
        import keras

        x = layers.conv_bn(x, channels, 3, stride, self.weight_decay, name="stem_")
        return keras.layers.ReLU(name="stem")(x)

    def _section(self, x, channels, stride, name):
        import keras

        decay = self.weight_decay
        for index in range((self.depth - 2) // 6):
            block = f"{name}_block{index + 1}_"
            y = layers.conv_bn(x, channels, 3, stride, decay, name=f"{block}1_")
            y = keras.layers.ReLU(name=f"{block}1_relu")(y)
            y = layers.conv_bn(y, channels, 3, 1, decay, name=f"{block}2_")
            if x.shape[-1] != channels or stride > 1:
                x = layers.conv_bn(
                    x, channels, 1, stride, decay, name=f"{block}shortcut_"
                )
            x = keras.layers.Add(name=f"{block}add")([x, y])
            x = keras.layers.ReLU(name=f"{block}relu")(x)
            stride = 1
        return x
