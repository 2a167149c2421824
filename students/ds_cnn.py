"""A network of depthwise-separable convolutions, for keywords in spectrograms."""

from __future__ import annotations

import dataclasses

from students import layers
from students.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class DSCNN(Network):
    """A DS-CNN: one wide convolution, then blocks of a depthwise and a 1 x 1 one.

    Its images are spectrograms: time, frequency, one channel. Each block is a section.
    The defaults are the network of MLPerf Tiny's keyword spotting.

    Attributes:
        width: Channels of every convolution.
        blocks: Number of blocks.
        kernel: `[time, frequency]`, the size of the first kernel.
        dropout: Share of the stem's outputs that is set to zero in training; of the
            head's inputs it is twice as much.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017, section
        3. https://arxiv.org/abs/1711.07128; options as in Banbury et al., "MLPerf Tiny
        Benchmark", 2021. https://arxiv.org/abs/2106.07597
    """

    width: int = 64
    blocks: int = 4
    kernel: tuple[int, ...] = (10, 4)
    dropout: float = 0.2

    def __post_init__(self):
        """Refuses options that are out of range."""
        super().__post_init__()
        self._check("width", self.width >= 1, "at least 1")
        self._check("blocks", self.blocks >= 1, "at least 1")
        valid = len(self.kernel) == 2 and min(self.kernel) >= 1
        self._check("kernel", valid, "[time, frequency], each at least 1")
        self._check("dropout", 0 <= self.dropout < 0.5, "in [0, 0.5)")

    def _plan(self):
        return [(self.width, 2), *((self.width, 1) for _ in range(self.blocks))]

    def _stem(self, x):
        kernel = self.width, self.kernel, 2, self.weight_decay
        x = layers.conv_bn_relu(x, *kernel, name="stem_")
        return _drop(x, self.dropout, "stem_dropout")

    def _section(self, x, index, name):
        import keras

        decay, depthwise = self.weight_decay, f"{name}_depthwise_"
        x = layers.depthwise(x, 3, 1, decay, name=depthwise)
        x = keras.layers.ReLU(name=f"{depthwise}relu")(layers.norm(x, name=depthwise))
        return layers.conv_bn_relu(x, self.width, 1, 1, decay, name=f"{name}_point_")

    def _head(self, x, num_classes):
        return super()._head(_drop(x, 2 * self.dropout, "head_dropout"), num_classes)


def _drop(x, rate, name):
    import keras

    return keras.layers.Dropout(rate, name=name)(x) if rate else x
