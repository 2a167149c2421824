"""A network that is asked for the answers that are kept."""

import json
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager

import keras

from distill.runtime import hashes
from distill.teach.hardware import fused

# Parts of a serialized network that differ between processes: the counters in Keras'
# names, and memory addresses.
_PROCESS_DEPENDENT = re.compile(r'_\d+(?=")|"shared_object_id": \d+')


class Network:
    """A teacher that is a network; see `answering.asked.Asked`.

    Args:
        teacher: The network, under the contract of `students`.
        names: The outputs that are kept.
    """

    def __init__(self, teacher: keras.Model, names: Sequence[str]):
        outputs = {name: teacher.output[name] for name in names}
        self._network = keras.Model(teacher.inputs, outputs, name="answering")

    @property
    def identity(self) -> str:
        """Its layers and weights."""
        plain = keras.saving.serialize_keras_object(self._network)
        text = _PROCESS_DEPENDENT.sub("", json.dumps(plain, sort_keys=True))
        return text + hashes.weights_hash(self._network)

    def answer(self, split, indices, inputs):
        """See `Asked`."""
        answers = self._network.predict_on_batch(inputs)
        return {name: values.astype("float32") for name, values in answers.items()}

    def ready(self) -> AbstractContextManager:
        """See `Asked`."""
        return fused.for_training(self._network)
