"""Quantization-aware training with TF-MOT."""

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
    """Tells TF-MOT to quantize nothing in a layer that keeps its input's scale."""

    def get_weights_and_quantizers(self, layer):
        """No weights, activations or outputs."""
        return []

    get_activations_and_quantizers = get_weights_and_quantizers
    get_output_quantizers = get_weights_and_quantizers

    def set_quantize_weights(self, layer, quantize_weights):
        """Does nothing, since nothing is quantized."""

    set_quantize_activations = set_quantize_weights

    def get_config(self):
        """No options."""
        return {}


def simulate(
    model: tf_keras.Model, *, zeros: bool = False, clusters: bool = False
) -> tf_keras.Model:
    """A copy of a model that simulates eight bits in training, by TF-MOT.

    In a model of texts, everything behind the table of embeddings is quantized:
    TF-MOT would quantize the ids in front of it. The table is not trained and keeps
    its zeros. Its outputs are quantized, and thereby the table itself in the file.

    Args:
        model: A functional tf_keras model without nested models.
        zeros: Whether zeros of the kernels stay zero.
        clusters: Whether equal weights of a kernel stay equal.

    Returns:
        A model with the same inputs and outputs.

    Raises:
        ValueError: If TF-MOT does not support a layer.
    """
    model, owners = calls.split_calls(model)
    for name in owners.values():
        if model.get_layer(name).weights:
            raise ValueError(f"`{name}`: {SHARED}")
    model = folding.make_quantizable(model)
    tables = [x for x in model.layers if isinstance(x, tf_keras.layers.Embedding)]

    def annotate(layer):
        if layer in tables:
            # An identity that TF-MOT knows, whose output it quantizes.
            layer = tf_keras.layers.Dropout(0.0, name=layer.name)
        config = Untouched() if isinstance(layer, moves.Move) else None
        return quantization.quantize_annotate_layer(layer, config)

    # The copy starts behind the table: TF-MOT never sees the ids.
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
    """Sets what TF-MOT has no option for; refuses a kernel that it leaves in float.

    Preserving clusters, TF-MOT adds the gradients of a cluster; see
    `clustering.averaging`. Some layers it accepts without quantizing their kernels.
    """
    # TF-MOT's schemes fix the sum of gradients in their registry.
    for _, _, state in wrapper._weight_vars:
        if "clst_impl" in state:
            state["clst_impl"].cluster_gradient_aggregation = clustering.averaging()
    rounded = [weight.name for weight, _, _ in wrapper._weight_vars]
    for weight in calls.kernels(wrapper.layer):
        if weight.name not in rounded:
            raise ValueError(
                f"TF-MOT leaves the kernel of `{wrapper.layer.name}` in float"
            )


def _scheme(zeros, clusters):
    """TF-MOT's option for what must be preserved."""
    if clusters:
        return {"scheme": combine.Default8BitClusterPreserveQuantizeScheme(zeros)}
    return {"scheme": combine.Default8BitPrunePreserveQuantizeScheme()} if zeros else {}
