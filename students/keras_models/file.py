"""A network that someone else has built and saved."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
from typing import ClassVar

from students.keras_models.model import KerasModel

_LEAST_SCALE = 0.02  # Below it, a network divides its inputs by something like 255.


@dataclasses.dataclass(frozen=True, kw_only=True)
class KerasFile(KerasModel):
    """The functional model of a `.keras` file, with its weights.

    It takes what the data set gives, which is images in [0, 1] or the ids of texts, and
    returns logits of the data set's classes; a softmax at its end is left out. Models
    inside it are inlined. All its layers are trained, whatever was frozen when it was
    saved.

    Attributes:
        path: The file.
        sha256: What its bytes must hash to; pins it.

    Raises:
        ValueError: If an option is out of its range.
    """

    takes: ClassVar[tuple[str, ...]] = ("images", "texts")

    path: str
    sha256: str | None = None

    def __post_init__(self):
        """Refuses a file that is not there."""
        super().__post_init__()
        self._check("path", pathlib.Path(self.path).expanduser().exists(), "there")
        digits = self.sha256 is None or re.fullmatch("[0-9a-fA-F]{64}", self.sha256)
        self._check("sha256", digits, "64 hexadecimal digits")

    @property
    def file(self):
        """The file, and its hash if it is pinned."""
        return self.path, self.sha256

    def whole(self, input_shape, num_classes, opened, vocabulary=None):
        """The file's model, flat."""
        from students.keras_models import flat

        ids = None if vocabulary is None else "int32"
        network = flat.flatten(opened(*self.file), input_shape, ids)
        if vocabulary is not None:
            _check_ids(network, vocabulary)
        made = tuple(network.output.shape[1:])
        if made != (num_classes,):
            raise ValueError(
                f"must map an input to {num_classes} classes. Received: a network that "
                f"makes {made} of it"
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
    """Refuses a network that cannot look up every id of the data."""
    import keras

    (given,) = network.inputs
    for node in itertools.chain(*network._nodes_by_depth.values()):
        layer = node.operation
        if not isinstance(layer, keras.layers.Embedding):
            continue
        if layer.input_dim < vocabulary and node.input_tensors[0] is given:
            raise ValueError(
                f"must look up the {vocabulary} ids that the data's tokenizer makes. "
                f"Received: {layer.name}, which has {layer.input_dim}: give the data a "
                "smaller vocabulary, or the network a larger one"
            )
