"""Quantization in training as TF-MOT simulates it."""

import tf_keras
from tensorflow_model_optimization.experimental import combine
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_wrapper,
)
from tensorflow_model_optimization.quantization import keras as quantization

from distill.compress.quantize import clustering
from distill.compress.twin import calls, folding, moves

SHARED = "TF-MOT has one range for all calls of a layer"


class Untouched(quantization.QuantizeConfig):
    """Tells TF-MOT of a layer that it keeps the scale of what it is given."""

    def get_weights_and_quantizers(self, layer):
        """None."""
        return []

    get_activations_and_quantizers = get_weights_and_quantizers
    get_output_quantizers = get_weights_and_quantizers

    def set_quantize_weights(self, layer, quantize_weights):
        """Nothing to set."""

    set_quantize_activations = set_quantize_weights

    def get_config(self):
        """Without options."""
        return {}


def simulate(
    model: tf_keras.Model, *, zeros: bool = False, clusters: bool = False
) -> tf_keras.Model:
    """A model that trains while it computes as with eight bits, made by TF-MOT.

    Of a model of texts that is all behind the table in which ids are looked up:
    TF-MOT would quantize the ids. The table stays as it is, also its zeros; what is
    read from it is quantized, and so it is itself in the file.

    Args:
        model: As for `quantizable`.
        zeros: Whether zeros of the kernels stay zero.
        clusters: Whether equal weights of a kernel stay equal.

    Returns:
        A model of the same inputs and outputs.

    Raises:
        ValueError: If TF-MOT has no means for what it would have to do.
    """
    model, owners = calls.apart(model)
    for name in owners.values():
        if model.get_layer(name).weights:
            raise ValueError(f"`{name}`: {SHARED}")
    model = folding.make_quantizable(model)
    tables = [x for x in model.layers if isinstance(x, tf_keras.layers.Embedding)]

    def annotate(layer):
        if layer in tables:
            layer = tf_keras.layers.Dropout(0.0, name=layer.name)  # The identity.
        known = Untouched() if isinstance(layer, moves.Move) else None
        return quantization.quantize_annotate_layer(layer, known)

    start = [tf_keras.Input(table.output.shape[1:], name="read") for table in tables]
    with quantization.quantize_scope({**moves.KINDS, "Untouched": Untouched}):
        copy = tf_keras.models.clone_model(model, start or None, annotate)
        copy = quantization.quantize_apply(copy, **_scheme(zeros, clusters))
    for layer in copy.submodules:
        if isinstance(layer, quantize_wrapper.QuantizeWrapper):
            _complete(layer)
    if not tables:
        return copy
    (table,) = tables
    table.trainable = False
    ids = tf_keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype, name="ids")
    return tf_keras.Model(ids, copy(table(ids)), name=model.name)


def _complete(wrapper):
    """Sets what TF-MOT gives no choice of; refuses what it leaves in float."""
    for _, _, kept in wrapper._weight_vars:
        if "clst_impl" in kept:
            kept["clst_impl"].cluster_gradient_aggregation = clustering.averaging()
    rounded = [weight.name for weight, _, _ in wrapper._weight_vars]
    for weight in calls.kernels(wrapper.layer):
        if weight.name not in rounded:
            raise ValueError(
                f"TF-MOT leaves the kernel of `{wrapper.layer.name}` in float"
            )


def _scheme(zeros, clusters):
    """What TF-MOT is told; nothing where nothing is to be kept."""
    if clusters:
        return {"scheme": combine.Default8BitClusterPreserveQuantizeScheme(zeros)}
    return {"scheme": combine.Default8BitPrunePreserveQuantizeScheme()} if zeros else {}
