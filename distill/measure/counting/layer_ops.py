"""Estimates the number of TFLite ops that a call of a layer becomes."""

from typing import Any

from distill.measure.counting import calls


def count(layer: Any, shape: calls.Shape) -> int:
    """The approximate number of ops of a file for one call.

    Args:
        layer: A built layer or operation of Keras 3.
        shape: Shape of the call's input; the first if there are several.
    """
    names = [kind.__name__ for kind in type(layer).__mro__]
    if "TimeDistributed" in names:  # Unrolled: each step is a slice and the layer.
        return 3 + (shape[1] or 1) * (1 + count(layer.layer, (shape[0], *shape[2:])))
    if "Bidirectional" in names:
        parts = (layer.forward_layer, layer.backward_layer)
        return 4 + sum(count(part, shape) for part in parts)
    own = next((_OPS[name] for name in names if name in _OPS), 1)
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return own + (activation not in _FUSED and "RNN" not in names)


_FUSED = ("linear", "relu", "relu6")  # Part of the op before them.
# Ops of each class as counted in files, where it is not one. A norm of channels is
# folded into the kernel before it; a recurrent layer becomes a loop.
_OPS = {
    **dict.fromkeys(["BatchNormalization", "ReLU", "Dropout", "Activation"], 0),
    **dict.fromkeys(["GaussianNoise", "BaseImagePreprocessingLayer", "Identity"], 0),
    **dict.fromkeys(["SeparableConv2D", "Rescaling"], 2),
    **dict.fromkeys(["Conv1D", "DepthwiseConv1D", "Conv1DTranspose", "EinsumDense"], 3),
    **dict.fromkeys(["SeparableConv1D", "Embedding"], 4),
    "LayerNormalization": 11,
    "GroupNormalization": 14,
    "MultiHeadAttention": 16,
    "GroupedQueryAttention": 20,
    "SimpleRNN": 14,
    "LSTM": 25,
    "GRU": 32,
    "ConvLSTM": 31,
    "RNN": 35,
}
