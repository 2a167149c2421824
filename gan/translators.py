"""Generators from images to images: each `build` returns one `keras.Model`.

The contract of a translator: one functional model from images in [0, 1] that carry a
plane for each class, float32 `(batch, height, width, channels + classes)`, as
`add_class_planes` returns them, to a dict of `"images"`, the images translated to the
target class, float32 in [0, 1], and of its representations `"stem"` and `"section1"`.
The section is also a nested model of that name. The output for one image does not
depend on the rest of the batch.
"""

from __future__ import annotations

import dataclasses
import typing

from gan import sizes

if typing.TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualTranslator:
    """Down-sampling convolutions, residual blocks, up-sampling convolutions.

    A teacher has more blocks than its student: two translators of equal `width` and
    `halvings` have representations of equal shape.

    Every norm is an instance norm, `GroupNormalization` with one channel per group: it
    has no state, so the network is the same in training and after it, and TFLite has
    its ops. It subtracts the mean of a channel, and with it everything that a constant
    class plane adds, except at the border, where zero padding meets the plane.
    Therefore the convolutions must be padded with zeros.

    Attributes:
        blocks: Residual blocks, of two convolutions each, in `section1`.
        width: Channels at full size; doubled at each halving.
        halvings: Convolutions of stride 2 before the blocks; as many upsamplings after.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Choi et al., "StarGAN: Unified Generative Adversarial Networks for
        Multi-Domain Image-to-Image Translation", CVPR 2018, table 4, whose 18
        convolutions are 6 blocks of `width` 64, with nearest-neighbour upsampling
        for its transposed convolutions (Odena et al., "Deconvolution and
        Checkerboard Artifacts", Distill 2016), and pixels in [0, 1].
        https://arxiv.org/abs/1711.09020
    """

    blocks: int = 6
    width: int = 64
    halvings: int = 2

    def __post_init__(self):
        """Refuses options that are out of range."""
        sizes.check_positive(
            blocks=self.blocks, width=self.width, halvings=self.halvings
        )

    @property
    def depth(self) -> int:
        """Number of convolutions, such as 18."""
        return 2 * (1 + self.halvings + self.blocks)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuses images that cannot be halved `halvings` times.

        Args:
            shape: `(height, width, channels)` of one image.

        Raises:
            ValueError: Names the shape.
        """
        factor = 2**self.halvings
        if len(shape) != 3 or any(size % factor for size in shape[:2]):
            raise ValueError(
                f"`halvings` must be so few that height and width are multiples of "
                f"2 ** {self.halvings}. Received: images {tuple(shape)}"
            )

    def shapes(self, input_shape: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
        """Shapes of the representations, without building anything.

        Args:
            input_shape: `(height, width, channels)` of one image.

        Returns:
            Name of each representation, in order, to `(height, width, channels)`.
        """
        factor = 2**self.halvings
        height, width = (size // factor for size in input_shape[:2])
        shape = (height, width, factor * self.width)
        return {"stem": shape, "section1": shape}

    def build(self, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
        """Builds the network.

        Args:
            input_shape: `(height, width, channels)` of one image.
            num_classes: Number of classes.

        Returns:
            A model under the contract of `gan.translators`.

        Raises:
            ValueError: If the images cannot be halved `halvings` times.
        """
        import keras

        self.check_shape(input_shape)
        *size, channels = input_shape
        inputs = x = keras.Input((*size, channels + num_classes), name="given")
        x = stem = self._stem(x)
        section_input = keras.Input(x.shape[1:], name="given")
        section = self._section(section_input)
        x = keras.Model(section_input, section, name="section1")(x)
        outputs = {"stem": stem, "section1": x, "images": self._head(x, channels)}
        return keras.Model(inputs, outputs, name="generator")

    def _stem(self, x):
        x = _conv_relu(x, self.width, 7, 1, "stem_full_")
        for index in range(1, self.halvings + 1):
            x = _conv_relu(x, self.width * 2**index, 4, 2, f"stem_down{index}_")
        return x

    def _section(self, x):
        import keras

        channels = x.shape[-1]
        for index in range(1, self.blocks + 1):
            name = f"section1_block{index}_"
            y = _conv_relu(x, channels, 3, 1, f"{name}1_")
            y = _conv(y, channels, 3, 1, f"{name}2_")
            x = keras.layers.Add(name=f"{name}add")([x, y])
        return x

    def _head(self, x, channels):
        import keras

        for index in range(1, self.halvings + 1):
            name = f"head_up{index}_"
            x = keras.layers.UpSampling2D(name=f"{name}twice")(x)
            x = _conv_relu(x, self.width * 2 ** (self.halvings - index), 3, 1, name)
        return keras.layers.Conv2D(
            channels, 7, padding="same", activation="sigmoid", name="head_images"
        )(x)


def add_class_planes(images, labels, num_classes: int):
    """Appends one plane per class to images: ones for the target class, else zeros.

    Args:
        images: `(batch, height, width, channels)`.
        labels: The target classes, int, `(batch,)`.
        num_classes: Number of classes.

    Returns:
        float32, `(batch, height, width, channels + num_classes)`.

    Source:
        Choi et al., 2018, section 3.1: the target label, "spatially replicated".
    """
    from keras import ops

    images = ops.cast(images, "float32")
    targets = ops.one_hot(labels, num_classes)[:, None, None, :]
    planes = targets * ops.ones_like(images[..., :1])
    return ops.concatenate([images, planes], axis=-1)


def _conv(x, channels, kernel_size, stride, name):
    """Zero-padded convolution without bias, which the instance norm would cancel."""
    import keras

    x = keras.layers.Conv2D(
        channels,
        kernel_size,
        stride,
        padding="same",
        use_bias=False,
        name=f"{name}conv",
    )(x)
    # -1 groups: as many as channels, which makes it an instance norm.
    return keras.layers.GroupNormalization(-1, epsilon=1e-5, name=f"{name}norm")(x)


def _conv_relu(x, channels, kernel_size, stride, name):
    import keras

    x = _conv(x, channels, kernel_size, stride, name)
    return keras.layers.ReLU(name=f"{name}relu")(x)
