"""What a file does to each layer of the float student, on the same inputs."""

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
from distill.runtime import quiet

EXAMPLES = 64  # More change no number that a reader acts on.
_TOGETHER = 8  # So many examples' activations are held at a time.
_LIKE = 0.5  # Less in common, of name and weights, and it is another layer's kernel.
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
# What an op does at once to what its kernel makes.
_ACTIVATIONS = {
    "NONE": lambda x: x,
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
    "RELU_N1_TO_1": lambda x: np.clip(x, -1, 1),
}


class Reference:
    """The float student, its norms folded into kernels as the converter does.

    Args:
        twin: Its tf_keras twin.
        inputs: Real ones, `(n, ...)`; `EXAMPLES` of them are enough.
    """

    def __init__(self, twin: tf_keras.Model, inputs: np.ndarray):
        model = folding.fold(twin)
        layers = {
            layer.name: layer
            for layer in model.layers
            if type(layer) in _STORED and len(layer.inbound_nodes) == 1
        }
        self._inputs = inputs
        self._given = tf_keras.Model(
            model.inputs, {name: layer.input for name, layer in layers.items()}
        )
        self._layers = {name: _linear(layer) for name, layer in layers.items()}
        self._kernels = {
            name: _STORED[type(layer)](layer.get_weights()[0])
            for name, layer in layers.items()
        }

    def errors(self, file: bytes) -> list[dict]:
        """How far each layer of a file is from the student's.

        Errors are root mean squares over all examples, as a share of that of what
        the student has in its place; None where that is zero throughout.

        Args:
            file: A `.tflite` file, of this student.

        Returns:
            One mapping for each layer with a kernel of the student's shape, in the
            order in which the file computes them: `layer`, its name;
            `weight_error`, of the kernel with its norm; `own_error`, of the output
            that the layer makes of what the file gives it, which is what this layer
            adds; `output_error`, of the output, with all that the layers before
            have added.
        """
        graph = graphs.Graph(file)
        places = self._places(graph)
        with _runner(file) as run:
            sums = [np.zeros((2, 2)) for _ in places]
            for start in range(0, len(self._inputs), _TOGETHER):
                inputs = self._inputs[start : start + _TOGETHER]
                self._add(inputs, graph, places, run, sums)
        return [
            {
                "layer": name,
                "weight_error": _share(
                    *_squares(weights, self._kernels[name].reshape(weights.shape))
                ),
                "own_error": _share(*own),
                "output_error": _share(*all_),
            }
            for (name, _, weights), (own, all_) in zip(places, sums, strict=True)
            if own.any() or all_.any()
        ]

    def _places(self, graph):
        """Name of the layer, op and kernel of each op with one that is the student's.

        A tensor's name tells the layer in most files, but not in all, and Keras 3
        may give one layer the name of another: weights tell the rest.
        """
        ops = [op for op in graph.ops if graph.name(op) in graphs.WEIGHTED]
        found = [graph.values(graph.constant(op.inputs[graphs.KERNEL])) for op in ops]
        names = list(self._layers)
        likeness = np.array(
            [
                [
                    _likeness(kernel, self._kernels[name], name in _names(graph, op))
                    for name in names
                ]
                for op, kernel in zip(ops, found, strict=True)
            ]
        ).reshape(len(ops), len(names))
        pairs = zip(*optimize.linear_sum_assignment(-likeness), strict=True)
        return [
            (names[column], ops[row], found[row])
            for row, column in pairs
            if likeness[row, column] >= _LIKE
        ]

    def _add(self, inputs, graph, places, run, sums):
        """Adds the squares of error and signal of some examples to the sums."""
        given = self._given(inputs, training=False)
        tensors = [(op.inputs[0], op.outputs[0]) for _, op, _ in places]
        seen = run(inputs, [index for pair in tensors for index in pair])
        for (name, op, _), (before, after), pair in zip(
            places, tensors, sums, strict=True
        ):
            wanted = given[name].numpy()
            if seen[before].size != wanted.size:
                continue
            activation = _ACTIVATIONS[graph.activation(op)]
            got = graph.real(after, seen[after])
            own = graph.real(before, seen[before]).reshape(wanted.shape)
            for square, start in zip(pair, (own, wanted), strict=True):
                answer = activation(self._layers[name](start).numpy())
                square += _squares(got, answer.reshape(got.shape))


def _linear(layer):
    """The layer without its activation, which in a file may be an op of its own."""
    options = {**layer.get_config(), "activation": None}
    copy = type(layer).from_config(options)
    copy.build(layer.input_shape)
    copy.set_weights(layer.get_weights())
    return copy


def _likeness(kernel, other, named):
    """Cosine of two kernels, and more for the name; 0 where they differ in shape."""
    if kernel.size != other.size or kernel.shape[0] != other.shape[0]:
        return 0.0
    size = np.linalg.norm(kernel) * np.linalg.norm(other)
    cosine = float(np.vdot(kernel, other)) / size if size else 0.0
    return max(0.0, cosine) + (_LIKE if named else 0.0)


def _names(graph, op):
    """Every name of a layer that the tensors of an op may bear."""
    labels = [graph.label(index) for index in (op.inputs[graphs.KERNEL], op.outputs[0])]
    parts = {
        part.removeprefix("quant_")
        for label in labels
        for piece in label.split(";")
        for part in piece.split("/")
    }
    return parts | {_SUFFIX.sub("", part) for part in parts}


@contextlib.contextmanager
def _runner(file):
    """A function from inputs and indices of tensors to these, for all inputs."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That to keep all tensors takes memory.
        path = pathlib.Path(folder) / "made.tflite"
        path.write_bytes(file)
        with quiet.native():
            model = interpreter.Interpreter(
                str(path), experimental_preserve_all_tensors=True
            )
            model.allocate_tensors()
        given = model.get_input_details()[0]

        def run(inputs, indices):
            kept = {index: [] for index in indices}
            for one in runner.quantized(inputs, given):
                model.set_tensor(given["index"], one[None])
                model.invoke()
                for index, values in kept.items():
                    values.append(model.get_tensor(index))
            return {index: np.concatenate(values) for index, values in kept.items()}

        yield run


def _squares(got, wanted):
    """Sum of the squared differences, and of the squares of what was wanted."""
    return np.array([np.square(got - wanted).sum(), np.square(wanted).sum()], float)


def _share(error, signal):
    return float(np.sqrt(error / signal)) if signal else None
