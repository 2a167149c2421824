"""Wide residual networks: fewer layers, more channels."""

from __future__ import annotations

import dataclasses
import functools

from students import layers, residual
from students.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class WideResNet(Network):
    """A pre-activation ResNet of three sections, `widen_factor` times as wide.

    Attributes:
        depth: `6n + 4`, such as 10, 16, 28 or 40: the number of convolutions,
            including the three projection shortcuts, without the head.
        widen_factor: Multiplies the 16, 32 and 64 channels of the sections. The
            stem has 16.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016, section 2,
        without dropout. https://arxiv.org/abs/1605.07146
    """

    depth: int
    widen_factor: int = 1

    def __post_init__(self):
        """Refuses options that are out of range."""
        super().__post_init__()
        self._check_depth(self.depth, 6, 4)
        self._check("widen_factor", self.widen_factor >= 1, "at least 1")

    def _plan(self):
        sections = [(16 * 2**i * self.widen_factor, 1 + (i > 0)) for i in range(3)]
        return [(16, 1), *sections]

    def _stem(self, x):
        return layers.conv(x, 16, 3, 1, self.weight_decay, name="stem_")

    def _section(self, x, index, name):
        # Two convolutions per block in three sections, the stem and the projections of
        # the three sections: 6n + 4.
        block = functools.partial(
            residual.pre_activation, decay=self.weight_decay, shortcut="projection"
        )
        return residual.section(
            block, x, (self.depth - 4) // 6, self._plan()[index], name
        )

    def _head(self, x, num_classes):
        # Pre-activation blocks end with a sum, so the last norm and ReLU are here.
        return super()._head(layers.norm_relu(x, name="head_"), num_classes)
