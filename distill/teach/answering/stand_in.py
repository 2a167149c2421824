"""A network of the right shapes in the place of a teacher that only answers."""

import keras

from distill import config
from distill.teach.answering.answerer import open_answerer
from distill.teach.answering.asked import Answerer


class _Answers(keras.layers.Layer):
    """Has the outputs of a teacher as symbols, which cannot be computed."""

    def __init__(self, answerer: Answerer):
        super().__init__(name="answers", trainable=False)
        self.answerer = answerer

    def compute_output_spec(self, inputs):
        """Name of each output to a symbol of its shape."""
        return {
            name: keras.KerasTensor((None, *shape), "float32")
            for name, shape in self.answerer.shapes.items()
        }

    def call(self, inputs):
        """Refused: whoever calls it would have to ask for the answers."""
        raise NotImplementedError("a teacher that only answers has no network to run")


def build(run: config.Run) -> keras.Model:
    """Builds the stand-in for a run's teacher, under the contract of `students`.

    Args:
        run: A run whose teacher only answers.

    Raises:
        ConfigError, Untrusted: As `answerer.open_answerer`.
    """
    kind = "float32" if run.data.kind == "images" else "int32"
    inputs = keras.Input(run.data.input_shape, dtype=kind)
    outputs = _Answers(open_answerer(run))(inputs)
    return keras.Model(inputs, outputs, name="teacher")


def answerer_of(network: keras.Model) -> Answerer | None:
    """What answers in the place of a network; None for one that can be run."""
    layer = network.layers[-1]
    return layer.answerer if isinstance(layer, _Answers) else None


def is_stand_in(network: keras.Model) -> bool:
    """Whether a teacher only answers, and this network cannot be run."""
    return answerer_of(network) is not None
