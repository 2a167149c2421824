"""Residual networks for small images, at any depth 6n + 2."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

from students import layers, residual
from students.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNet(Network):
    """A ResNet of three sections that returns its representations.

    A teacher is a deeper student: two ResNets of equal `width` have
    representations of equal shape at every depth.

    Attributes:
        depth: Number of weight layers, `6n + 2`, such as 8, 20, 56 or 110.
        width: Channels of the first section; doubled at each later one.
        shortcut: Where a section widens: `projection`, a 1 x 1 convolution
            (option B); or `zero_pad`, the identity with channels of zeros
            (option A).
        activation_order: `post`: norm and ReLU follow a convolution; or `pre`:
            they precede it, and nothing stands on the shortcuts.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
        section 4.2. https://arxiv.org/abs/1512.03385; for `pre`, "Identity
        Mappings in Deep Residual Networks", ECCV 2016.
        https://arxiv.org/abs/1603.05027
    """

    depth: int
    width: int = 16
    shortcut: Literal["projection", "zero_pad"] = "projection"
    activation_order: Literal["post", "pre"] = "post"

    def __post_init__(self):
        """Refuses options that are out of range."""
        super().__post_init__()
        self._check_depth(self.depth, 6, 2)
        self._check("width", self.width >= 1, "at least 1")

    def _plan(self):
        return [(self.width, 1), *((self.width * 2**i, 1 + (i > 0)) for i in range(3))]

    def _stem(self, x):
        post = self.activation_order == "post"
        stem = layers.conv_bn_relu if post else layers.conv
        return stem(x, self.width, 3, 1, self.weight_decay, name="stem_")

    def _section(self, x, index, name):
        post = self.activation_order == "post"
        # Two convolutions per block, three sections, stem and head: 6n + 2.
        block = residual.post_activation if post else residual.pre_activation
        block = functools.partial(
            block, decay=self.weight_decay, shortcut=self.shortcut
        )
        return residual.section(
            block, x, (self.depth - 2) // 6, self._plan()[index], name
        )

    def _head(self, x, num_classes):
        # Pre-activation blocks end with a sum, so the last norm and ReLU are here.
        if self.activation_order == "pre":
            x = layers.norm_relu(x, name="head_")
        return super()._head(x, num_classes)
