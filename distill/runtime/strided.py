"""Strided convolutions of one pixel without their stride, while one trains.

oneDNN's gradient of their weights writes where it should not, and kills a process or
spoils what it computes (https://github.com/uxlfoundation/oneDNN/issues/6035). Where a
kernel has one pixel, a stride only chooses the pixels that it sees: chosen before, they
need none. In a transposed convolution it puts zeros between them.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from distill.runtime import onednn


@contextlib.contextmanager
def unstrided(layers: Iterable[Any]) -> Iterator[None]:
    """Lets no layer meet that gradient, and gives all back as they were.

    Whatever they compute stays the same, up to rounding; nothing of it is left in a
    saved or exported network. Where oneDNN does not compute it does nothing.

    Args:
        layers: Of Keras on TensorFlow or of tf_keras, those within others too.
            Functions traced inside must not be used outside.
    """
    found = [layer for layer in layers if _needs_mending(layer)]
    for layer in found:
        setattr(layer, _method(layer), _without_stride(layer))
    try:
        yield
    finally:
        for layer in found:
            delattr(layer, _method(layer))


def without(x: Any, kernel_size: Sequence[int], strides: Sequence[int]) -> tuple:
    """Inputs and strides of a convolution with the same outputs, none of them strided.

    Args:
        x: Tensor `(..., pixels, channels)`, with as many axes of pixels as `strides`.
        kernel_size: Along each of these axes.
        strides: Likewise.

    Returns:
        Both as given, where oneDNN has nothing to spoil.
    """
    if not _is_miscomputed(kernel_size, strides):
        return x, strides
    return _select_pixels(x, strides), (1,) * len(strides)


def without_transposed(
    x: Any,
    kernel_size: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int] | None,
) -> tuple:
    """As `without`, for a transposed convolution.

    Args:
        x: As there.
        kernel_size: As there.
        strides: As there.
        padding: Its `output_padding`.

    Returns:
        Both as given, where oneDNN has nothing to spoil.
    """
    if not _is_miscomputed(kernel_size, strides):
        return x, strides
    return _spread_pixels(x, strides, padding, True), (1,) * len(strides)


def _is_miscomputed(kernel_size, strides):
    one_pixel = set(kernel_size) == {1} and max(strides) > 1
    return one_pixel and onednn.is_computing()


def _needs_mending(layer):
    """Whether its gradient is miscomputed, and not mended yet: models share layers."""
    own = vars(layer)
    known = "kernel_size" in own and "strides" in own and _method(layer) not in own
    return known and _is_miscomputed(layer.kernel_size, layer.strides)


def _method(layer):
    """Name of what convolves; the cell of a ConvLSTM does more with its inputs."""
    return "input_conv" if hasattr(layer, "input_conv") else "call"


def _without_stride(layer):
    method = getattr(type(layer), _method(layer))

    def call(inputs, *arguments, **options):
        # The layer itself keeps its stride: another thread may call it, or save it.
        like = object.__new__(type(layer))
        vars(like).update(vars(layer), strides=(1,) * len(layer.strides))
        last = layer.data_format == "channels_last"
        if hasattr(layer, "output_padding"):
            like.output_padding = None
            inputs = _spread_pixels(inputs, layer.strides, layer.output_padding, last)
        else:
            inputs = _select_pixels(inputs, layer.strides, last)
        return method(like, inputs, *arguments, **options)

    return call


def _select_pixels(x, strides, last=True):
    """The pixels that a kernel of one sees."""
    import tensorflow as tf

    if last and len(strides) < 3 and len(x.shape) == len(strides) + 2:
        # The mean of one pixel: TensorFlow's slices take three times as long.
        return tf.nn.avg_pool(x, 1, strides, "VALID")
    pixels = [slice(None, None, stride) for stride in strides]
    return x[(..., *pixels, slice(None))] if last else x[(..., *pixels)]


def _spread_pixels(x, strides, padding, last):
    """Zeros behind each pixel; behind the last only as many as `padding` says."""
    import tensorflow as tf

    first = len(x.shape) - len(strides) - last
    for number, stride in enumerate(strides):
        axis = first + number
        shape = [size or tf.shape(x)[i] for i, size in enumerate(x.shape)]
        around = [[0, 0]] * (len(shape) + 1)
        around[axis + 1] = [0, stride - 1]
        x = tf.pad(tf.expand_dims(x, axis + 1), around)
        shape[axis] *= stride
        surplus = 0 if padding is None else stride - 1 - padding[number]
        pixels = slice(None, shape[axis] - surplus)
        x = tf.reshape(x, shape)[(*[slice(None)] * axis, pixels)]
    return x
