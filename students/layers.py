"""Building blocks of networks: layers with He-normal kernels and an L2 penalty.

Names of layers begin with their section and are therefore unique in a network: on
PyTorch, Keras does not clear the gradients of a variable that shares its path with
another one.

Source:
    He et al., "Delving Deep into Rectifiers", ICCV 2015, section 2.2, for the
    initial weights.
"""

# BatchNormalization's statistics are averages over about 1 / (1 - 0.9) = 10 steps.
# Keras' default of 0.99 needs hundreds of steps to forget the initial values.
NORM_MOMENTUM = 0.9


def conv(x, channels, kernel_size, stride, decay, *, name, **options):
    """Convolution, zero-padded and without bias unless `options` say otherwise."""
    import keras

    return keras.layers.Conv2D(
        channels,
        kernel_size,
        stride,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(decay),
        name=f"{name}conv",
        **{"padding": "same", "use_bias": False, **options},
    )(x)


def depthwise(x, kernel_size, stride, decay, *, name):
    """Depthwise convolution without bias."""
    import keras

    return keras.layers.DepthwiseConv2D(
        kernel_size,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        depthwise_regularizer=keras.regularizers.L2(decay),
        name=f"{name}conv",
    )(x)


def norm(x, *, name):
    """BatchNormalization with statistics of about the last ten steps."""
    import keras

    return keras.layers.BatchNormalization(momentum=NORM_MOMENTUM, name=f"{name}norm")(
        x
    )


def conv_bn(x, channels, kernel_size, stride, decay, *, name, **options):
    """Convolution, then BatchNormalization."""
    kernel = channels, kernel_size, stride, decay
    return norm(conv(x, *kernel, name=name, **options), name=name)


def conv_bn_relu(x, channels, kernel_size, stride, decay, *, name, **options):
    """Convolution, BatchNormalization, ReLU."""
    import keras

    kernel = channels, kernel_size, stride, decay
    x = conv_bn(x, *kernel, name=name, **options)
    return keras.layers.ReLU(name=f"{name}relu")(x)


def norm_relu(x, *, name):
    """BatchNormalization and ReLU, which come before a pre-activation convolution."""
    import keras

    return keras.layers.ReLU(name=f"{name}relu")(norm(x, name=name))


def dense(x, units, decay, *, name, initializer="glorot_uniform"):
    """Dense layer with bias; by default initialized as usual before a softmax."""
    import keras

    return keras.layers.Dense(
        units,
        kernel_initializer=initializer,
        kernel_regularizer=keras.regularizers.L2(decay),
        name=name,
    )(x)


def dense_head(x, units, more, num_classes, decay):
    """Three dense layers on a whole map, with ReLU between them, up to the logits.

    Args:
        x: Shape `(batch, height, width, channels)`.
        units: Units of the first layer.
        more: Units of the second layer.
        num_classes: Units of the third layer.
        decay: L2 penalty of each kernel.
    """
    import keras

    # The first dense layer is a convolution over the whole map, as in LeCun's paper.
    # A TFLite file with it can be resized to any batch; one that flattens its map
    # cannot.
    kernel = units, x.shape[1:3], 1, decay
    x = conv(x, *kernel, name="dense1_", padding="valid", use_bias=True)
    x = keras.layers.ReLU(name="dense1_relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = dense(x, more, decay, name="dense2", initializer="he_normal")
    x = keras.layers.ReLU(name="dense2_relu")(x)
    return dense(x, num_classes, decay, name="head")
