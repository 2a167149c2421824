"""VDCNN: very deep convolutional networks for text."""

from __future__ import annotations

import dataclasses
import functools
from typing import ClassVar

from students import layers, residual
from students.network import Network

# Depth -> convolutions of each section: table 2 of the paper. The stem is one more.
_CONVOLUTIONS = {
    9: (2, 2, 2, 2),
    17: (4, 4, 4, 4),
    29: (10, 10, 4, 4),
    49: (16, 16, 10, 6),
}

# A text is an image one pixel wide. With Conv1D the same network would have no pruned
# and no integer file: TF-MOT handles only Conv2D, which a Conv1D becomes in TFLite.
_KERNEL, _WINDOW, _STRIDE = (3, 1), (3, 1), (2, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VDCNN(Network):
    """A VDCNN of four sections that returns its representations.

    The stem is the first convolution alone, without norm or ReLU. A section
    has blocks of two convolutions; from the second section on it begins with a maximum
    pooling that halves the text. The head takes the `k` largest values of each channel
    (k-max pooling), sorted by size and not by position, into three dense layers. Two
    VDCNNs of equal `width` have representations of equal shape at every depth.

    Attributes:
        depth: Number of convolutions: 9, 17, 29 or 49.
        width: Channels of the first section, 64 in the paper; doubled at each
            later one.
        embedding: Dimensions of the embedding of an id.
        shortcut: Whether blocks are residual. In the paper it helps only at
            depth 49.
        k: Values that are kept of each channel.
        units: Units of the two hidden dense layers. None means `32 * width`, which is
            the paper's 2048 at full width.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Conneau et al., "Very Deep Convolutional Networks for Text
        Classification", EACL 2017, section 3. https://arxiv.org/abs/1606.01781
    """

    takes: ClassVar[tuple[str, ...]] = ("texts",)

    depth: int
    width: int = 64
    embedding: int = 16
    shortcut: bool = False
    k: int = 8
    units: int | None = None

    def __post_init__(self):
        """Refuses options that are out of range."""
        super().__post_init__()
        allowed = ", ".join(map(str, _CONVOLUTIONS))
        self._check("depth", self.depth in _CONVOLUTIONS, f"one of {allowed}")
        for name in ("width", "embedding", "k"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        self._check("units", self.units is None or self.units >= 1, "at least 1")

    def shapes(self, input_shape):
        """Shapes of the representations, `(positions, 1, channels)` each.

        Args:
            input_shape: `(length,)` of one text.

        Raises:
            ValueError: If the last section has fewer than `k` positions.
        """
        shapes = super().shapes((*input_shape, 1, 1))
        assert shapes is not None
        positions = shapes["section4"][0]
        if positions < self.k:
            raise ValueError(
                f"`k` must be at most {positions}, the positions that a text of "
                f"length {input_shape[0]} has in the last section. Received: {self.k}"
            )
        return shapes

    def _plan(self):
        return [(self.width, 1), *((self.width * 2**i, 1 + (i > 0)) for i in range(4))]

    def _entry(self, input_shape, vocabulary):
        import keras

        ids = keras.Input(input_shape, dtype="int32", name="ids")
        x = keras.layers.Embedding(vocabulary, self.embedding, name="embedding")(ids)
        column = (*input_shape, 1, self.embedding)
        return ids, keras.layers.Reshape(column, name="column")(x)

    def _stem(self, x):
        kernel = self.width, _KERNEL, 1, self.weight_decay
        return layers.conv(x, *kernel, name="stem_", use_bias=True)

    def _section(self, x, index, name):
        import keras

        channels, stride = self._plan()[index]
        if stride > 1:
            pool = keras.layers.MaxPooling2D(
                _WINDOW, _STRIDE, "same", name=f"{name}_pool"
            )
            x = pool(x)
        block = functools.partial(
            residual.post_activation, shortcut="projection", kernel_size=_KERNEL
        )
        block = functools.partial(
            block if self.shortcut else _plain, decay=self.weight_decay
        )
        blocks = _CONVOLUTIONS[self.depth][index - 1] // 2
        return residual.section(block, x, blocks, (channels, 1), name)

    def _head(self, x, num_classes):
        import keras

        # `top_k` acts on the last axis, which must be the positions.
        x = keras.layers.Permute((3, 2, 1), name="positions_last")(x)
        x, _ = keras.ops.top_k(x, self.k)
        # An operation is not named by its caller: Keras would number it by all that the
        # process has made before, and the exported file would contain that number.
        x._keras_history.operation.name = "k_max"
        units = self.units or 32 * self.width
        return layers.dense_head(x, units, units, num_classes, self.weight_decay)


def _plain(x, channels, stride, name, *, decay):
    """Block of two times convolution, norm and ReLU, without a shortcut."""
    kernel = channels, _KERNEL, stride, decay
    x = layers.conv_bn_relu(x, *kernel, name=f"{name}1_")
    return layers.conv_bn_relu(x, *kernel, name=f"{name}2_")
