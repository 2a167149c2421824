"""Runs a translator on arrays of images, for measurement and for sheets."""

import keras
import numpy as np

from distill import data
from gan import translators

PART = 100  # Images in a batch: their class planes take more memory than they do.
COLUMNS = 8  # Images of a sheet that are translated to every class.


def add_label(images: np.ndarray, label: int, num_classes: int) -> np.ndarray:
    """The input of a translator: images, all with the same target class.

    Args:
        images: float32 in [0, 1], `(n, height, width, channels)`.
        label: The target class.
        num_classes: Number of classes.

    Returns:
        float32, `(n, height, width, channels + num_classes)`.
    """
    labels = np.full(len(images), label, "int32")
    planes = translators.add_class_planes(images, labels, num_classes)
    return keras.ops.convert_to_numpy(planes)


def translate(network: keras.Model, images: np.ndarray, label: int) -> np.ndarray:
    """Translates images to a class; the result has their shape, float32 in [0, 1].

    Args:
        network: A generator under the contract of `gan.translators`.
        images: float32 in [0, 1], `(n, height, width, channels)`.
        label: The target class.
    """
    # The contract: an input has a plane for each class behind the channels.
    classes = network.input.shape[-1] - images.shape[-1]
    return np.concatenate(
        [
            keras.ops.convert_to_numpy(
                network(add_label(images[start : start + PART], label, classes))[
                    "images"
                ]
            )
            for start in range(0, len(images), PART)
        ]
    )


def samples(network: keras.Model, split: data.Split) -> np.ndarray:
    """The images of a sheet: a row of eight, then their translations to each class.

    Args:
        network: A generator under the contract of `gan.translators`.
        split: The split; eight of its images are used, of as many classes.

    Returns:
        `((1 + classes) * 8, height, width, channels)`.
    """
    images = split.sample(COLUMNS, 0).floats()
    classes = network.input.shape[-1] - images.shape[-1]
    translated = [translate(network, images, label) for label in range(classes)]
    return np.concatenate([images, *translated])
