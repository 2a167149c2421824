"""Small ONNX models, made by hand."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def tensor(name="w", shape=(3, 2)):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def sound(nodes=None, weights=None, functions=(), shape=("n", 3)):
    """A model from `x` to `y`, a product unless other nodes are given."""
    graph = helper.make_graph(
        nodes or [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [tensor()] if weights is None else weights,
    )
    return helper.make_model(
        graph,
        functions=functions,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)],
        ir_version=9,
    )
