"""What a translator makes of images, in arrays: to measure and to look at."""

import keras
import numpy as np

from distill import data
from gan import translators

PART = 100  # Images at once: their planes take more memory than they do.
COLUMNS = 8  # Of a sheet: images that are turned into every class.


def with_label(images: np.ndarray, label: int, num_classes: int) -> np.ndarray:
    """The input of a translator: images, all to become of one class.

    Args:
        images: float32 in [0, 1], `(n, height, width, channels)`.
        label: The wanted class.
        num_classes: Number of classes.

    Returns:
        float32, `(n, height, width, channels + num_classes)`.
    """
    labels = np.full(len(images), label, "int32")
    planes = translators.add_class_planes(images, labels, num_classes)
    return keras.ops.convert_to_numpy(planes)


def translate(network: keras.Model, images: np.ndarray, label: int) -> np.ndarray:
    """Images as of a class, float32 in [0, 1], shaped as they are.

    Args:
        network: Under the contract of `gan.translators`.
        images: float32 in [0, 1], `(n, height, width, channels)`.
        label: The wanted class.
    """
    classes = network.input.shape[-1] - images.shape[-1]
    return np.concatenate(
        [
            keras.ops.convert_to_numpy(
                network(with_label(images[start : start + PART], label, classes))[
                    "images"
                ]
            )
            for start in range(0, len(images), PART)
        ]
    )


def samples(network: keras.Model, split: data.Split) -> np.ndarray:
    """Images to look at: a row of eight, then a row of them as of each class.

    Args:
        network: Under the contract of `gan.translators`.
        split: Its first eight images are shown.

    Returns:
        `((1 + classes) * 8, height, width, channels)`.
    """
    images = split.take(slice(COLUMNS)).floats()
    classes = network.input.shape[-1] - images.shape[-1]
    made = [translate(network, images, label) for label in range(classes)]
    return np.concatenate([images, *made])
