"""Compares the logits of a file with those of the model before conversion."""

import pathlib
import tempfile
from typing import Any

import numpy as np

from distill.measure import interpreter


def compare(model: Any, file: bytes, images: np.ndarray) -> dict[str, float]:
    """Compares logits before and after conversion, on the same inputs.

    Args:
        model: A model of Keras 3 or tf_keras, from images to logits or a dict with
            them.
        file: The `.tflite` file made from it.
        images: Real images, `(n, height, width, channels)`.

    Returns:
        `examples`, the number of images; `max` and `mean` of the absolute differences
        of logits; `most`, which is exceeded on less than one image in a hundred;
        `scale`, the largest absolute logit of `model`.
    """
    outputs = model(images, training=False)
    outputs = outputs["logits"] if isinstance(outputs, dict) else outputs
    expected = np.asarray(outputs)
    difference = np.abs(predict(file, images) - expected)
    return {
        "examples": len(images),
        "max": float(difference.max()),
        "most": float(np.quantile(difference.max(-1), 0.99, method="higher")),
        "mean": float(difference.mean()),
        "scale": float(np.abs(expected).max()),
    }


def predict(file: bytes, images: np.ndarray) -> np.ndarray:
    """The logits of a file in memory; see `interpreter.predict`."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "made.tflite"
        path.write_bytes(file)
        return interpreter.predict(path, images)
