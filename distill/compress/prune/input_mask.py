"""A mask of input pixels: which are zero, and the network behind the mask."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.prune import projection, responses, schedule
from distill.compress.twin import calls

NAME = "input_mask"


class InputMask(tf_keras.layers.Layer):
    """Multiplies images by a mask of zeros and ones, which changes in training."""

    def build(self, shape):
        """Creates the mask: one number for each pixel, for all its channels."""
        self.pixels = self.add_weight(
            "pixels", (*shape[1:-1], 1), initializer="ones", trainable=False
        )

    def call(self, inputs):
        """Images of the same shape."""
        return inputs * self.pixels


def add_mask(model: tf_keras.Model) -> tf_keras.Model:
    """A copy behind an `InputMask`."""
    return _copy_behind(model, InputMask(name=NAME))


def add_fixed_mask(model: tf_keras.Model, pixels: np.ndarray) -> tf_keras.Model:
    """A copy behind a mask that does not change.

    Args:
        model: A functional tf_keras model of images.
        pixels: `(height, width, 1)`, zeros and ones.
    """
    return _copy_behind(model, tf_keras.layers.Rescaling(pixels.tolist(), name=NAME))


def fix_mask(model: tf_keras.Model) -> tf_keras.Model:
    """A copy of a trained model of `add_mask`, with a mask of `add_fixed_mask`."""
    layer = model.get_layer(NAME)
    unmasked = tf_keras.Model(layer.output, model.output)
    return add_fixed_mask(unmasked, layer.pixels.numpy())


def get_arrays(model: tf_keras.Model) -> dict[str, np.ndarray]:
    """All weights of a model in order, and its fixed mask if it has one, by name."""
    weights = {f"arr_{i}": array for i, array in enumerate(model.get_weights())}
    pixels = find_pixels(model)
    return weights if pixels is None else {**weights, NAME: pixels}


def set_arrays(model: tf_keras.Model, arrays: dict[str, np.ndarray]) -> tf_keras.Model:
    """The model with the arrays of `get_arrays`, behind their mask if there is one."""
    pixels = arrays.get(NAME)
    weights = [array for name, array in arrays.items() if name != NAME]
    model.set_weights(weights)
    return model if pixels is None else add_fixed_mask(model, pixels)


def find_pixels(model: tf_keras.Model) -> np.ndarray | None:
    """The mask of a model of `add_fixed_mask`; None for any other model."""
    found = [layer for layer in model.layers if layer.name == NAME]
    return np.asarray(found[0].scale, np.float32) if found else None


def _copy_behind(model, first):
    """Copies of all layers, behind a new one."""

    def call(layer, *args, **options):
        copy = copies.setdefault(
            layer.name, type(layer).from_config(layer.get_config())
        )
        outputs = copy(*args, **options)
        copy.set_weights(layer.get_weights())
        return outputs

    copies: dict[str, tf_keras.layers.Layer] = {}
    images = tf_keras.Input(model.input_shape[1:], name="images")
    return tf_keras.Model(
        images, calls.run(model, first(images), call), name=model.name
    )


def make_choice(
    model: tf_keras.Model,
    pixels: schedule.Kernel,
    keep: float,
    images: responses.Images,
) -> Callable[[int, float], np.ndarray]:
    """A function from step and `schedule.remaining_cut` to True where a pixel stays.

    Those pixels become zero whose removal raises the loss least, to second order: the
    mask is scored like a weight, by `m^2 E[(dL/dm)^2] / 2`.

    Args:
        model: A model of `add_mask`.
        pixels: Its mask, as a kernel that is pruned.
        keep: Final share of the pixels that stay.
        images: Training images.

    Source:
        The mask, which is exported: Yang et al., "Energy-Constrained Compression for
        Deep Neural Networks via Weighted Sparse Projection and Layer Input Masking",
        ICLR 2019, section 3.2. There a separate optimizer changes the mask.
    """

    @tf.function
    def score(inputs, taught, seed):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = responses.loss(responses.run(model, inputs), taught, seed)
        slopes = tape.gradient(loss, inputs) * inputs
        return tf.reduce_sum(tf.reduce_sum(slopes, -1, keepdims=True) ** 2, 0)

    def choose(step, remaining):
        scores = sum(score(*batch).numpy() for batch in images.batches(step))
        share = keep + (1 - keep) * remaining
        return projection.keep_share(pixels.with_scores(scores), share)

    return choose


def describe(pixels: np.ndarray) -> str:
    """The number of pixels that count, and the borders that can be cropped."""
    rows, columns = pixels[..., 0].any(1), pixels[..., 0].any(0)
    empty = {
        "top": rows.argmax(),
        "bottom": rows[::-1].argmax(),
        "left": columns.argmax(),
        "right": columns[::-1].argmax(),
    }
    borders = ", ".join(
        f"{count} at the {side}" for side, count in empty.items() if count
    )
    text = f"input mask: {np.count_nonzero(pixels)} of {pixels.size} pixels count"
    return f"{text}; rows and columns to crop: {borders}" if borders else text
