"""Statistics of kernels' inputs and gradients in one pass over training images.

Norms use the statistics of each batch, not their moving averages: these lag behind a
kernel that has just been cut, whose weights would then get scores that are too low, so
that still more of them would become zero.

Logits are divided by `TEMPERATURE`: a network that has learnt its training images by
heart would have gradients on one or two of them alone, and the neurons of all other
classes would lose their weights.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress import material as materials
from distill.compress.prune.scores import Response
from distill.compress.twin import calls
from distill.runtime import seeds

EXAMPLES = (
    1024  # Most images of a pass; with few, scores of the first kernel are noise.
)
TEMPERATURE = 4.0
_BATCH = 128
_PLACES = 4  # Most positions in an image at which patches are taken.
_LAYERS = tf_keras.layers


class Images(NamedTuple):
    """Training images of a pass.

    Attributes:
        inputs: The images.
        taught: The teacher's logits of them; None without a teacher.
        seed: Seed of the labels, which are drawn from the teacher's softened
            probabilities; or, without a teacher, from the model's.
    """

    inputs: np.ndarray
    taught: np.ndarray | None
    seed: int

    def batches(self, step: int) -> Iterator[tuple]:
        """Yields images, the teacher's logits or None, and the seed of the labels.

        Args:
            step: With the seed, determines the labels.
        """
        count = len(self.inputs)
        parts = -(-count // _BATCH)  # Of equal size: norms need more than a few.
        ends = [count * part // parts for part in range(parts + 1)]
        for start, end in itertools.pairwise(ends):
            taught = None if self.taught is None else self.taught[start:end]
            seed = tf.constant([(self.seed + start) % 2**31, step])
            yield tf.constant(self.inputs[start:end]), taught, seed


def draw_images(material: materials.Material) -> Images:
    """Training images of a run, stratified by class."""
    sample = material.sample(EXAMPLES, "responses")
    inputs, targets = material.add_targets(sample.floats(), sample.labels)
    taught = targets[:, 1:] if targets.shape[1] > 1 else None
    return Images(inputs, taught, seeds.seed_of(material.seed, "responses labels"))


def loss(logits: tf.Tensor, taught: tf.Tensor | None, seed: tf.Tensor) -> tf.Tensor:
    """The sum of all images' losses on drawn labels; see `Images`."""
    known = tf.stop_gradient(logits if taught is None else taught)
    labels = tf.random.stateless_categorical(known / TEMPERATURE, 1, seed)[:, 0]
    softened = logits / TEMPERATURE
    return tf.reduce_sum(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, softened)
    )


def _call(layer, *args, **options):
    return layer(*args, **options)


def run(model: tf_keras.Model, inputs: tf.Tensor, call: Callable = _call) -> tf.Tensor:
    """The logits of a model whose norms use the statistics of these inputs.

    Args:
        model: A functional tf_keras model.
        inputs: A batch.
        call: As for `calls.run`, for all other layers.
    """

    def call_layer(layer, *args, **options):
        if isinstance(layer, _LAYERS.BatchNormalization):
            return _normalize(layer, args[0])
        return call(layer, *args, **options)

    return calls.run(model, inputs, call_layer)


def _normalize(norm, inputs):
    """The output of a norm in training, whose moving averages do not change."""
    kept = [axis % len(inputs.shape) for axis in norm.axis]
    others = [axis for axis in range(len(inputs.shape)) if axis not in kept]
    shape = [size if axis in kept else 1 for axis, size in enumerate(inputs.shape)]
    mean, variance = tf.nn.moments(inputs, others, keepdims=True)
    shift, scale = (
        None if weight is None else tf.reshape(weight, shape)
        for weight in (norm.beta, norm.gamma)
    )
    return tf.nn.batch_normalization(inputs, mean, variance, shift, scale, norm.epsilon)


class Pass:
    """Gathers the responses of a model with its present weights, at each call.

    Args:
        model: A functional tf_keras model, from inputs to logits.
        layers: The layers with a kernel whose responses are gathered.
        images: Training images.
        patches: Whether patches are gathered too.
    """

    def __init__(
        self,
        model: tf_keras.Model,
        layers: Sequence[Any],
        images: Images,
        *,
        patches: bool = False,
    ):
        self._model, self._layers, self._patches = model, list(layers), patches
        self._images = images
        self._batch = tf.function(self._gather)

    def __call__(self, step: int) -> list[Response]:
        """The responses of each layer, in order.

        Args:
            step: See `Images.batches`.
        """
        batches = [
            tf.nest.map_structure(lambda x: x.numpy(), self._batch(*batch))
            for batch in self._images.batches(step)
        ]
        count = len(self._images.inputs)
        return [
            Response(
                sum(inputs for inputs, _, _ in parts) / count,
                sum(gradients for _, gradients, _ in parts) / count,
                np.concatenate([patches for _, _, patches in parts]),
            )
            for parts in zip(*batches, strict=True)
        ]

    def _gather(self, inputs, taught, seed):
        """For each layer, sums over the images of one batch, and patches."""
        ends: dict[str, list[tuple]] = {layer.name: [] for layer in self._layers}

        def call(layer, *args, **options):
            if layer.name not in ends:
                return layer(*args, **options)
            outputs = _linear(layer, args[0])
            ends[layer.name].append((args[0], outputs))
            return getattr(layer, "activation", tf.identity)(outputs)

        with tf.GradientTape() as tape:
            logits = run(self._model, inputs, call)
            total = loss(logits, taught, seed)
        outputs = [[after for _, after in ends[layer.name]] for layer in self._layers]
        slopes = tape.gradient(total, outputs)
        return [
            (
                tf.add_n([_squares(layer, before) for before, _ in ends[layer.name]]),
                tf.reduce_mean([_by_channel(one) for one in slope], 0),
                self._unfold(layer, ends[layer.name]),
            )
            for layer, slope in zip(self._layers, slopes, strict=True)
        ]

    def _unfold(self, layer, ends):
        if not self._patches:
            return tf.zeros((1, 0))
        return tf.concat([extract_patches(layer, before) for before, _ in ends], 0)


def _linear(layer, inputs):
    """The outputs of a layer before its activation."""
    fused = getattr(layer, "activation", None)
    if fused is None:
        return layer(inputs)
    layer.activation = tf_keras.activations.linear
    try:
        return layer(inputs)
    finally:
        layer.activation = fused


def _squares(layer, inputs):
    """Squares of the inputs of each weight, summed over positions and images.

    That is the gradient of the layer's outputs for squared inputs, which is correct for
    any strides, padding and groups.
    """
    with tf.GradientTape() as tape:
        outputs = tf.reduce_sum(_linear(layer, tf.square(inputs)))
    return tape.gradient(outputs, layer.kernel)


def _by_channel(slope):
    """Squares of a batch's gradients, mean over positions, summed over images."""
    places = range(1, len(slope.shape) - 1)
    return tf.reduce_sum(tf.reduce_mean(tf.square(slope), list(places)), 0)


def extract_patches(layer: Any, inputs: tf.Tensor) -> tf.Tensor:
    """What a neuron reads at a few positions in each input: `(n, weights)`."""
    if isinstance(layer, _LAYERS.Dense):
        flat = tf.reshape(inputs, [tf.shape(inputs)[0], -1, inputs.shape[-1]])
        return _subsample(flat)
    size, strides, rates = layer.kernel_size, layer.strides, layer.dilation_rate
    if len(size) == 1:  # A sequence is an image of one row.
        inputs = inputs[:, None]
        size, strides, rates = (1, *size), (1, *strides), (1, *rates)
    padding = layer.padding.upper()
    if padding == "CAUSAL":
        before = (size[1] - 1) * rates[1]
        inputs = tf.pad(inputs, [[0, 0], [0, 0], [before, 0], [0, 0]])
        padding = "VALID"
    found = tf.image.extract_patches(
        inputs, (1, *size, 1), (1, *strides, 1), (1, *rates, 1), padding
    )
    return _subsample(tf.reshape(found, [tf.shape(found)[0], -1, found.shape[-1]]))


def _subsample(rows):
    """At most `_PLACES` evenly spaced rows of each image, flattened.

    Args:
        rows: `(images, positions, weights)`.

    Returns:
        `(n, weights)`.
    """
    step = -(-tf.shape(rows)[1] // _PLACES)
    return tf.reshape(rows[:, ::step], [-1, rows.shape[-1]])
