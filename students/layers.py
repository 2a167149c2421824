"""What networks are made of: He-normal kernels with a penalty.

A layer's name says in which section it is: on PyTorch, Keras forgets to clear
the gradients of a variable whose path another one has.

Source:
    He et al., "Delving Deep into Rectifiers", ICCV 2015, section 2.2, for the
    initial weights.
"""


def conv(x, channels, kernel_size, stride, decay, *, name, **options):
    """Convolution; its output is the input's size over the stride, rounded up."""
    import keras

    return keras.layers.Conv2D(
        channels,
        kernel_size,
        stride,
        padding="same",
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(decay),
        name=f"{name}conv",
        **options,
    )(x)


def norm(x, *, name):
    """BatchNormalization whose statistics are those of about the last ten steps."""
    import keras

    return keras.layers.BatchNormalization(momentum=0.9, name=f"{name}norm")(x)


def conv_bn(x, channels, kernel_size, stride, decay, *, name, **options):
    """Convolution without bias, then BatchNormalization."""
    kernel = channels, kernel_size, stride, decay
    return norm(conv(x, *kernel, name=name, use_bias=False, **options), name=name)


def dense(x, units, decay, *, name, initializer="glorot_uniform"):
    """Dense layer with bias; its initial weights are those before a softmax."""
    import keras

    return keras.layers.Dense(
        units,
        kernel_initializer=initializer,
        kernel_regularizer=keras.regularizers.L2(decay),
        name=name,
    )(x)
