"""A network that was built and saved elsewhere."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
from typing import ClassVar

from students.keras_models.model import KerasModel

# A first layer with a smaller scale divides its inputs by about 255: it expects bytes.
_LEAST_SCALE = 0.02


@dataclasses.dataclass(frozen=True, kw_only=True)
class KerasFile(KerasModel):
    """The functional model of a `.keras` file, with its weights.

    Its input is that of the data set, images in [0, 1] or ids of texts, and its output
    the logits of the data set's classes; a softmax at its end is removed. Nested models
    are inlined. All its layers are trained, also those that were frozen when it was
    saved.

    Attributes:
        path: The file.
        sha256: SHA-256 hash of the file; another file is refused.

    Raises:
        ValueError: If an option is out of its range.
    """

    takes: ClassVar[tuple[str, ...]] = ("images", "texts")

    path: str
    sha256: str | None = None

    def __post_init__(self):
        """Refuses a file that does not exist."""
        super().__post_init__()
        self._check("path", pathlib.Path(self.path).expanduser().exists(), "there")
        digits = self.sha256 is None or re.fullmatch("[0-9a-fA-F]{64}", self.sha256)
        self._check("sha256", digits, "64 hexadecimal digits")

    @property
    def file(self):
        """The file, and its hash if it is pinned."""
        return self.path, self.sha256

    def whole(self, input_shape, num_classes, opened, vocabulary=None):
        """The model of the file, without nested models."""
        from students.keras_models import flat

        ids = None if vocabulary is None else "int32"
        network = flat.flatten(opened(*self.file), input_shape, ids)
        if vocabulary is not None:
            _check_ids(network, vocabulary)
        shape = tuple(network.output.shape[1:])
        if shape != (num_classes,):
            raise ValueError(
                f"must map an input to {num_classes} classes. Received: a network that "
                f"makes {shape} of it"
            )
        # The first layer of a functional model is its input.
        first = network.layers[1]
        scale = getattr(first, "scale", 1.0)
        if isinstance(scale, float) and abs(scale) < _LEAST_SCALE:
            raise ValueError(
                "must take images in [0, 1]. Received: a network whose first layer, "
                f"{first.name}, multiplies them by {scale:.3g}, as if they were bytes: "
                "save it again behind a `keras.layers.Rescaling(255)`"
            )
        flat.decay(network, self.weight_decay)
        return network


def _check_ids(network, vocabulary):
    """Refuses a network whose table of embeddings is too small for the data's ids."""
    import keras

    (ids,) = network.inputs
    for node in itertools.chain(*network._nodes_by_depth.values()):
        layer = node.operation
        if not isinstance(layer, keras.layers.Embedding):
            continue
        if layer.input_dim < vocabulary and node.input_tensors[0] is ids:
            raise ValueError(
                f"must look up the {vocabulary} ids that the data's tokenizer makes. "
                f"Received: {layer.name}, which has {layer.input_dim}: give the data a "
                "smaller vocabulary, or the network a larger one"
            )
