"""Error of each layer of a file against the float student, on the same inputs."""

import contextlib
import pathlib
import re
import tempfile
import warnings

import numpy as np
import tf_keras
from ai_edge_litert import interpreter
from scipy import optimize

from distill.compress.twin import folding
from distill.measure import graph as graphs
from distill.measure import interpreter as runner
from distill.measure import lut
from distill.runtime import quiet

EXAMPLES = 64  # More change no number that a reader acts on.
_BATCH = 8  # Examples whose activations are in memory at a time.
_SIMILAR = 0.5  # Similarity of name and weights below which two kernels differ.
_SUFFIX = re.compile(r"_\d+$")  # Keras 3 adds one to every name in a graph.

# Layer with a kernel -> that kernel as a file holds it, `(out, ..., in)`.
_STORED = {
    tf_keras.layers.Conv2D: lambda kernel: kernel.transpose(3, 0, 1, 2),
    tf_keras.layers.Conv1D: lambda kernel: kernel.transpose(2, 0, 1)[:, None],
    tf_keras.layers.DepthwiseConv2D: lambda kernel: kernel.reshape(
        1, *kernel.shape[:2], -1
    ),
    tf_keras.layers.Dense: np.transpose,
}
# Fused activation of an op -> the function.
_ACTIVATIONS = {
    "NONE": lambda x: x,
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
    "RELU_N1_TO_1": lambda x: np.clip(x, -1, 1),
}


class Reference:
    """The float student, its norms folded into kernels as the converter does.

    Args:
        twin: The student's tf_keras twin.
        inputs: Real inputs, `(n, ...)`; `EXAMPLES` of them are enough.
    """

    def __init__(self, twin: tf_keras.Model, inputs: np.ndarray):
        model = folding.fold(twin)
        layers = {
            layer.name: layer
            for layer in model.layers
            if type(layer) in _STORED and len(layer.inbound_nodes) == 1
        }
        self._inputs = inputs
        self._layer_inputs = tf_keras.Model(
            model.inputs, {name: layer.input for name, layer in layers.items()}
        )
        self._layers = {name: _linear(layer) for name, layer in layers.items()}
        self._kernels = {
            name: _STORED[type(layer)](layer.get_weights()[0])
            for name, layer in layers.items()
        }

    def errors(self, file: bytes) -> list[dict]:
        """Measures the error of each layer of a file.

        An error is a root mean square over all examples, relative to that of the
        student's own values; None if these are all zero.

        Args:
            file: A `.tflite` file of this student.

        Returns:
            One mapping for each layer with a kernel of the student's shape, in the
            order in which the file computes them: `layer`, its name;
            `weight_error`, of the kernel with its norm; `own_error`, of the output
            for the file's own input of the layer, so that only this layer's error
            counts; `output_error`, of the output, with the errors of all layers
            before.
        """
        file = lut.expand(file)
        graph = graphs.Graph(file)
        matches = self._match(graph)
        with _runner(file) as run:
            sums = [np.zeros((2, 2)) for _ in matches]
            for start in range(0, len(self._inputs), _BATCH):
                inputs = self._inputs[start : start + _BATCH]
                self._add(inputs, graph, matches, run, sums)
        return [
            {
                "layer": name,
                "weight_error": _share(
                    *_squares(weights, self._kernels[name].reshape(weights.shape))
                ),
                "own_error": _share(*own),
                "output_error": _share(*all_),
            }
            for (name, _, weights), (own, all_) in zip(matches, sums, strict=True)
            if own.any() or all_.any()
        ]

    def _match(self, graph):
        """Matches ops with layers of the student: name of the layer, op and kernel.

        A tensor's name contains the layer's in most files, but not in all, and Keras 3
        may give one layer the name of another. Weights decide in those cases.
        """
        ops = [op for op in graph.ops if graph.name(op) in graphs.WEIGHTED]
        kernels = [graph.values(graph.constant(op.inputs[graphs.KERNEL])) for op in ops]
        names = list(self._layers)
        similarities = np.array(
            [
                [
                    _similarity(kernel, self._kernels[name], name in _names(graph, op))
                    for name in names
                ]
                for op, kernel in zip(ops, kernels, strict=True)
            ]
        ).reshape(len(ops), len(names))
        # Each layer has at most one op: assigned by the largest total similarity.
        pairs = zip(*optimize.linear_sum_assignment(-similarities), strict=True)
        return [
            (names[column], ops[row], kernels[row])
            for row, column in pairs
            if similarities[row, column] >= _SIMILAR
        ]

    def _add(self, inputs, graph, matches, run, sums):
        """Adds the squares of error and signal of some examples to the sums."""
        references = self._layer_inputs(inputs, training=False)
        tensors = [(op.inputs[0], op.outputs[0]) for _, op, _ in matches]
        measured = run(inputs, [index for pair in tensors for index in pair])
        for (name, op, _), (before, after), pair in zip(
            matches, tensors, sums, strict=True
        ):
            reference = references[name].numpy()
            # The op's input is another one, such as one that another op has padded.
            if measured[before].size != reference.size:
                continue
            activation = _ACTIVATIONS[graph.activation(op)]
            output = graph.dequantize(after, measured[after])
            own = graph.dequantize(before, measured[before]).reshape(reference.shape)
            for square, start in zip(pair, (own, reference), strict=True):
                expected = activation(self._layers[name](start).numpy())
                square += _squares(output, expected.reshape(output.shape))


def _linear(layer):
    """A copy of a layer without its activation, which a file may have as its own op."""
    options = {**layer.get_config(), "activation": None}
    copy = type(layer).from_config(options)
    copy.build(layer.input_shape)
    copy.set_weights(layer.get_weights())
    return copy


def _similarity(kernel, other, named):
    """Cosine of two kernels, plus a bonus for the name; 0 if their shapes differ."""
    if kernel.size != other.size or kernel.shape[0] != other.shape[0]:
        return 0.0
    size = np.linalg.norm(kernel) * np.linalg.norm(other)
    cosine = float(np.vdot(kernel, other)) / size if size else 0.0
    return max(0.0, cosine) + (_SIMILAR if named else 0.0)


def _names(graph, op):
    """Every name of a layer that is part of the names of an op's tensors.

    The converter joins the names of fused ops with `;`, and scopes with `/`.
    """
    indices = (op.inputs[graphs.KERNEL], op.outputs[0])
    parts = {
        part.removeprefix("quant_")
        for index in indices
        for piece in graph.tensor_name(index).split(";")
        for part in piece.split("/")
    }
    return parts | {_SUFFIX.sub("", part) for part in parts}


@contextlib.contextmanager
def _runner(file):
    """A function from inputs and indices of tensors to their values for all inputs."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # LiteRT warns that keeping all tensors needs memory.
        warnings.simplefilter("ignore")
        path = pathlib.Path(folder) / "made.tflite"
        path.write_bytes(file)
        with quiet.native():
            model = interpreter.Interpreter(
                str(path), experimental_preserve_all_tensors=True
            )
            model.allocate_tensors()
        details = model.get_input_details()[0]

        def run(inputs, indices):
            tensors = {index: [] for index in indices}
            for example in runner.quantize(inputs, details):
                model.reset_all_variables()  # See `interpreter.Runner`.
                model.set_tensor(details["index"], example[None])
                model.invoke()
                for index, values in tensors.items():
                    values.append(model.get_tensor(index))
            return {index: np.concatenate(values) for index, values in tensors.items()}

        yield run


def _squares(output, expected):
    """Sum of the squared differences, and of the squares of the expected values."""
    difference = output - expected
    return np.array([np.square(difference).sum(), np.square(expected).sum()], float)


def _share(error, signal):
    return float(np.sqrt(error / signal)) if signal else None
