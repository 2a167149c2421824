"""Residual blocks of two convolutions, with their shortcuts."""

from students import layers


def section(block, x, blocks, size, name):
    """Builds a section of blocks; the first one has the stride and changes channels.

    Args:
        block: A function of the input, channels, stride and prefix of names.
        x: Shape `(batch, height, width, channels)`.
        blocks: Number of blocks.
        size: Output channels of each block, and stride of the first.
        name: Name of the section; names of its layers begin with it.
    """
    # Only the first block changes the size: behind it all shortcuts are the identity.
    channels, stride = size
    for index in range(blocks):
        x = block(x, channels, 1 if index else stride, f"{name}_block{index + 1}_")
    return x


def post_activation(x, channels, stride, name, *, decay, shortcut, kernel_size=3):
    """Block of convolution, norm and ReLU; the last ReLU comes after the sum.

    Source:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
        section 3. https://arxiv.org/abs/1512.03385
    """
    import keras

    y = layers.conv_bn_relu(x, channels, kernel_size, stride, decay, name=f"{name}1_")
    y = layers.conv_bn(y, channels, kernel_size, 1, decay, name=f"{name}2_")
    if _changes(x, channels, stride):
        x = (
            zero_pad(x, channels, stride, name=f"{name}shortcut_")
            if shortcut == "zero_pad"
            else layers.conv_bn(x, channels, 1, stride, decay, name=f"{name}shortcut_")
        )
    x = keras.layers.Add(name=f"{name}add")([x, y])
    return keras.layers.ReLU(name=f"{name}relu")(x)


def pre_activation(x, channels, stride, name, *, decay, shortcut):
    """Block of norm, ReLU and convolution; nothing comes after the sum.

    Where channels or size change, a projection has the same input as the first
    convolution; a zero-padded shortcut takes the block's input itself.

    Source:
        He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016,
        section 4. https://arxiv.org/abs/1603.05027
    """
    import keras

    y = layers.norm_relu(x, name=f"{name}1_")
    if _changes(x, channels, stride):
        x = (
            zero_pad(x, channels, stride, name=f"{name}shortcut_")
            if shortcut == "zero_pad"
            else layers.conv(y, channels, 1, stride, decay, name=f"{name}shortcut_")
        )
    y = layers.conv(y, channels, 3, stride, decay, name=f"{name}1_")
    y = layers.norm_relu(y, name=f"{name}2_")
    y = layers.conv(y, channels, 3, 1, decay, name=f"{name}2_")
    return keras.layers.Add(name=f"{name}add")([x, y])


def zero_pad(x, channels, stride, *, name):
    """Option A: takes every `stride`-th pixel and pads channels with zeros."""
    import keras

    # Pooling over windows of one pixel only skips pixels.
    x = keras.layers.MaxPooling2D(1, stride, name=f"{name}pool")(x)
    more = channels - x.shape[-1]
    sides = (more // 2, more - more // 2), (0, 0)
    # Keras pads rows and columns only, so the channels are moved there and back.
    x = keras.layers.Permute((3, 1, 2), name=f"{name}channels_first")(x)
    x = keras.layers.ZeroPadding2D(sides, name=f"{name}pad")(x)
    return keras.layers.Permute((2, 3, 1), name=f"{name}channels_last")(x)


def _changes(x, channels, stride):
    return x.shape[-1] != channels or stride > 1
