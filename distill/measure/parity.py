"""Whether a file answers as the model did that it was made of."""

import pathlib
import tempfile
from typing import Any

import numpy as np

from distill.measure import interpreter


def compare(model: Any, file: bytes, images: np.ndarray) -> dict[str, float]:
    """Answers before conversion and after it, on the same inputs.

    Args:
        model: Of Keras 3 or tf_keras, from images to logits or a dict with them.
        file: The `.tflite` file that was made of it.
        images: Real ones, `(n, height, width, channels)`.

    Returns:
        `examples`, their number; `max` and `mean` of the absolute differences of
        the logits; `scale`, the largest absolute logit of `model`.
    """
    outputs = model(images, training=False)
    outputs = outputs["logits"] if isinstance(outputs, dict) else outputs
    wanted = np.asarray(outputs)
    difference = np.abs(answers(file, images) - wanted)
    return {
        "examples": len(images),
        "max": float(difference.max()),
        "mean": float(difference.mean()),
        "scale": float(np.abs(wanted).max()),
    }


def answers(file: bytes, images: np.ndarray) -> np.ndarray:
    """As `interpreter.predict`, of a file that has no place yet."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "made.tflite"
        path.write_bytes(file)
        return interpreter.predict(path, images)
