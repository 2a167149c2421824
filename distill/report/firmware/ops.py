"""What TFLite Micro calls the ops of a file, and what it cannot run."""

from distill.measure import graph

# Ops with a kernel, without those of variables, which the bundle does not set up.
_NAMES = """
    ABS ADD ADD_N ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND
    BROADCAST_ARGS BROADCAST_TO CAST CEIL CONCATENATION CONV_2D COS CUMSUM
    DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU
    EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD
    FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF
    L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT
    LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG
    NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6
    RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2
    SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE
    SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV
    UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK WHILE ZEROS_LIKE
    """
KNOWN = frozenset(_NAMES.split())
_STATEFUL = {"UNIDIRECTIONAL_SEQUENCE_LSTM", "SVDF"}
_DECODE = "CUSTOM TFLM_DECODE"  # Unpacks weights; see `finishers.tabled`.
_SPELLED = {  # Those whose function is not the op's name in camel case.
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
    _DECODE: "Decode",
}


def adders(part: graph.Graph) -> list[str]:
    """The functions of `MicroMutableOpResolver` that register a file's ops.

    Args:
        part: The file.

    Returns:
        Names such as `AddConv2D`, each once, in alphabetical order.

    Raises:
        ValueError: Names all ops that TFLite Micro lacks, and types that it does not
            compute with.

    Source:
        tflite-micro, tensorflow/lite/micro/micro_mutable_op_resolver.h.
    """
    names = {inner.full_name(op) for inner, op in part.walk()}
    lacking = sorted(names - KNOWN - {_DECODE})
    reasons = [f"no kernel for {', '.join(lacking)}"] if lacking else []
    reasons += _unsupported_types(part)
    if reasons:
        raise ValueError(f"TFLite Micro cannot run it: {'; '.join(reasons)}")
    return sorted(map(_adder, names))


def keeps_state(part: graph.Graph) -> bool:
    """Whether a file has an op whose state lasts from one call to the next."""
    return any(inner.full_name(op) in _STATEFUL for inner, op in part.walk())


def _adder(name):
    """`CONV_2D` -> `AddConv2D`."""
    words = (
        word if word[0].isdigit() else word.capitalize() for word in name.split("_")
    )
    return f"Add{_SPELLED.get(name) or ''.join(words)}"


def _unsupported_types(part):
    """One line for each type of weights that no kernel computes with."""
    lines = {}
    for inner, op in part.walk():
        if (
            inner.full_name(op) == "DEQUANTIZE"
            and inner.end(op.inputs[0]).dtype == "float16"
        ):
            lines["float16 weights"] = "give the float32 or an int8 file"
        if inner.full_name(op) in graph.WEIGHTED:
            taken, kernel = (inner.end(index).dtype for index in op.inputs[:2])
            if taken == "float32" != kernel:
                lines[f"{kernel} weights with float activations"] = "give an int8 file"
    return [f"{what}: {cure}" for what, cure in lines.items()]
