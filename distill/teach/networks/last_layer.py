"""The end of a network: whether it returns probabilities, and how it would not."""

import keras

# Activations, layers and operations that return probabilities.
_PROBABILISTIC = ("softmax", "sigmoid", "hard_sigmoid", "hardsigmoid")


def _find_output(network):
    """The logits of a model, a symbolic tensor."""
    output = network.output
    if isinstance(output, dict):
        return output["logits"]
    return keras.tree.flatten(output)[0]


def is_squashed(network: keras.Model) -> bool:
    """Whether a sigmoid or a softmax follows the last weights on some way."""
    found, pending = set(), [_find_output(network)]
    while pending:
        layer, node, _ = pending.pop()._keras_history
        if isinstance(layer, keras.Model):
            pending.append(_find_output(layer))
        elif layer not in found:
            found.add(layer)
            if _function(layer) in _PROBABILISTIC:
                return True
            if not getattr(layer, "weights", ()):
                pending += layer._inbound_nodes[node].input_tensors
    return False


def _function(layer):
    """The name of a layer's activation, or of its class in lower case."""
    if hasattr(layer, "activation"):
        return layer.activation.__name__
    return type(layer).__name__.lower()


def _find_last_layer(network, place="model"):
    """The layer that returns the logits, and Python code for it."""
    layer = _find_output(network)._keras_history.operation
    place = f"{place}.get_layer('{layer.name}')"
    if isinstance(layer, keras.Model):
        return _find_last_layer(layer, place)
    return layer, place


def describe_fix(network: keras.Model, total: int) -> str:
    """Python code that changes the model to return logits.

    Args:
        network: The network.
        total: What its outputs sum to: 1, 100, or 0 for sigmoids.
    """
    layer, place = _find_last_layer(network)
    if hasattr(layer, "activation") and _function(layer) in _PROBABILISTIC:
        change = f"set `{place}.activation = keras.activations.linear`"
        return f"Open it as `model`, {change}, and save it"
    # Logits from probabilities; log(0) is not finite.
    outputs = "model.outputs[0]" + (f" / {total}" if total > 1 else "")
    clip = f"p = keras.ops.clip({outputs}, 1e-7, 1 - 1e-7)"
    logits = "keras.ops.log(p)" if total else "keras.ops.log(p / (1 - p))"
    change = f"write `{clip}; model = keras.Model(model.inputs, {logits})`"
    return f"Open it as `model`, {change}, and save it"
