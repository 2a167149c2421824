"""ResNeXt: residual networks with grouped convolutions."""

from __future__ import annotations

import dataclasses
from typing import Literal

from students import layers, residual
from students.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNeXt(Network):
    """A ResNeXt of three sections of blocks with grouped convolutions.

    The paper has only bottleneck blocks, since summed paths of two layers are
    equivalent to one wide dense block (its section 3.3). A `basic` block here has
    groups in both of its layers, so that paths meet only at the sum with the shortcut
    and at projections. It exists for depths that three layers per block do not
    permit, such as 32 and 44 of Koratana et al., "LIT", who do not state their block.

    Attributes:
        depth: Number of weight layers without shortcuts: `9n + 2`, such as 20,
            29, 56 or 110; with `block: basic`, `6n + 2`.
        width: Channels of the stem; the sections have 4, 8 and 16 times as
            many, with `block: basic` 1, 2 and 4 times. The paper has 64.
        cardinality: Number of paths, that is groups of the 3 x 3
            convolutions. The paper has 8 or 16.
        bottleneck_width: Channels of a path in the first section; doubled at
            each later one. The paper has 64.
        block: `bottleneck`, a grouped 3 x 3 convolution between two of 1 x 1; or
            `basic`, two grouped 3 x 3 convolutions.

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
    block: Literal["bottleneck", "basic"] = "bottleneck"

    def __post_init__(self):
        """Refuses options that are out of range."""
        super().__post_init__()
        self._check_depth(self.depth, 3 * self._layers_per_block, 2)
        for name in ("width", "cardinality", "bottleneck_width"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        self._check(
            "width",
            self.block == "bottleneck" or self.width % self.cardinality == 0,
            f"a multiple of `cardinality` = {self.cardinality} with `block: basic`",
        )

    @property
    def _layers_per_block(self):
        """Weight layers of a block."""
        return 3 if self.block == "bottleneck" else 2

    @property
    def _first_channels(self):
        """Output channels of the first section."""
        return 4 * self.width if self.block == "bottleneck" else self.width

    def _plan(self):
        # The first section keeps the size of the stem.
        sections = [(self._first_channels * 2**i, 1 + (i > 0)) for i in range(3)]
        return [(self.width, 1), *sections]

    def _stem(self, x):
        return layers.conv_bn_relu(x, self.width, 3, 1, self.weight_decay, name="stem_")

    def _section(self, x, index, name):
        blocks = (self.depth - 2) // (3 * self._layers_per_block)
        return residual.section(self._block, x, blocks, self._plan()[index], name)

    def _block(self, x, channels, stride, name):
        import keras

        decay, paths = self.weight_decay, self.cardinality
        # `bottleneck_width` channels per path in the first section, then doubled.
        inner = paths * self.bottleneck_width * channels // self._first_channels
        if self.block == "bottleneck":
            y = layers.conv_bn_relu(x, inner, 1, 1, decay, name=f"{name}1_")
            y = layers.conv_bn_relu(
                y, inner, 3, stride, decay, name=f"{name}2_", groups=paths
            )
            # No ReLU here: it comes after the sum.
            y = layers.conv_bn(y, channels, 1, 1, decay, name=f"{name}3_")
        else:
            y = layers.conv_bn_relu(
                x, inner, 3, stride, decay, name=f"{name}1_", groups=paths
            )
            y = layers.conv_bn(y, channels, 3, 1, decay, name=f"{name}2_", groups=paths)
        if x.shape[-1] != channels or stride > 1:
            x = layers.conv_bn(x, channels, 1, stride, decay, name=f"{name}shortcut_")
        x = keras.layers.Add(name=f"{name}add")([x, y])
        return keras.layers.ReLU(name=f"{name}relu")(x)
