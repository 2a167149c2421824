"""A call of a layer -> about how many ops of a TFLite file it becomes."""

from typing import Any

from distill.measure.counting import calls


def count(layer: Any, given: calls.Shape) -> int:
    """About how many ops stand in a file for one call.

    Args:
        layer: A built layer or operation of Keras 3.
        given: Shape of what the call is given, of several the first.
    """
    names = [kind.__name__ for kind in type(layer).__mro__]
    if "TimeDistributed" in names:  # Step by step: cut out, done, put together.
        return 3 + (given[1] or 1) * (1 + count(layer.layer, (given[0], *given[2:])))
    if "Bidirectional" in names:
        parts = (layer.forward_layer, layer.backward_layer)
        return 4 + sum(count(part, given) for part in parts)
    own = next((_OPS[name] for name in names if name in _OPS), 1)
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return own + (activation not in _FUSED and "RNN" not in names)


_FUSED = ("linear", "relu", "relu6")  # Part of the op before.
# As counted in files, where it is not one. A norm of channels goes into the kernel
# before it; a recurrent layer is a loop.
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
