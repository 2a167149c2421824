"""What networks are made of: He-normal kernels with a penalty.

A layer's name says in which section it is: on PyTorch, Keras forgets to clear
the gradients of a variable whose path another one has.

Source:
    He et al., "Delving Deep into Rectifiers", ICCV 2015, section 2.2, for the
    initial weights.
"""

NORM_MOMENTUM = 0.9  # What a step leaves of BatchNormalization's statistics.


def conv(x, channels, kernel_size, stride, decay, *, name, **options):
    """Convolution with zeros around its input and no bias, unless `options` differ."""
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
    """Convolution of each channel alone, without bias."""
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
    """BatchNormalization whose statistics are those of about the last ten steps."""
    import keras

    return keras.layers.BatchNormalization(momentum=NORM_MOMENTUM, name=f"{name}norm")(
        x
    )


def conv_bn(x, channels, kernel_size, stride, decay, *, name, **options):
    """Convolution, then BatchNormalization."""
    kernel = channels, kernel_size, stride, decay
    return norm(conv(x, *kernel, name=name, **options), name=name)


def conv_bn_relu(x, channels, kernel_size, stride, decay, *, name, **options):
    """Convolution, BatchNormalization, rectifier."""
    import keras

    kernel = channels, kernel_size, stride, decay
    x = conv_bn(x, *kernel, name=name, **options)
    return keras.layers.ReLU(name=f"{name}relu")(x)


def norm_relu(x, *, name):
    """BatchNormalization, then a rectifier: what comes before the convolution."""
    import keras

    return keras.layers.ReLU(name=f"{name}relu")(norm(x, name=name))


def dense(x, units, decay, *, name, initializer="glorot_uniform"):
    """Dense layer with bias; its initial weights are those before a softmax."""
    import keras

    return keras.layers.Dense(
        units,
        kernel_initializer=initializer,
        kernel_regularizer=keras.regularizers.L2(decay),
        name=name,
    )(x)


def dense_head(x, units, more, num_classes, decay):
    """Three dense layers on a whole map, rectifiers between them: the logits.

    Args:
        x: Shape `(batch, height, width, channels)`.
        units: Of the first layer.
        more: Units of the second.
        num_classes: Units of the third.
        decay: Of each kernel.
    """
    import keras

    # The first dense layer as a convolution of the whole map, as in LeCun's paper: a
    # file with it takes batches of any size, one that flattens takes its own.
    kernel = units, x.shape[1:3], 1, decay
    x = conv(x, *kernel, name="dense1_", padding="valid", use_bias=True)
    x = keras.layers.ReLU(name="dense1_relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = dense(x, more, decay, name="dense2", initializer="he_normal")
    x = keras.layers.ReLU(name="dense2_relu")(x)
    return dense(x, num_classes, decay, name="head")
