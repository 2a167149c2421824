"""Generators -> numbers: how like real images what they make is, and what they cost."""

import pathlib

import keras
import numpy as np

from distill import data
from distill.compress import convert
from distill.measure import accuracy, cost, features, interpreter, quality
from distill.runtime import files
from distill.studies.generate import translation

CLOSE = 1e-3  # Of pixels in [0, 1]: as near as an exported file must come.
CHECKED = 32  # Images on which a file is compared with its network.
SCORES = ("frechet_classifier", "classifier_score", "class_accuracy")


class Judge:
    """Compares what is made with the test split, in a classifier's features.

    Args:
        classifier: Trained on the real training images, under the contract of
            `students`.
        splits: The data.
        measured: Test images, at most, that are turned into every class.
    """

    def __init__(self, classifier: keras.Model, splits: data.Splits, measured: int):
        self._seer, self.features = features.feature_model(classifier)
        self._splits = splits
        rng = np.random.default_rng(0)  # The same ones for every generator.
        order = rng.permutation(len(splits.test.labels))
        self._given = splits.test.take(np.sort(order[:measured])).floats()
        self._real = self._seen(
            splits.test.take(np.sort(order[: features.LARGEST])).floats()
        )

    @property
    def inputs(self) -> int:
        """Number of test images that are turned into every class."""
        return len(self._given)

    def scores(self, network: keras.Model, num_classes: int) -> dict[str, float]:
        """The numbers of `SCORES` of what a generator makes.

        Args:
            network: Under the contract of `gan.translators`.
            num_classes: Every test image becomes each of them once.

        Returns:
            `frechet_classifier`, the squared Fréchet distance to the test images in
            the classifier's features (an FID with another network than Inception's),
            `classifier_score`, the formula of the Inception score with this
            classifier, and `class_accuracy`, the percent of the made images that it
            takes for the wanted class.
        """
        seen, right = [], []
        for label in range(num_classes):
            made = translation.translate(network, self._given, label)
            seen.append(self._seen(made))
            right.append(seen[-1]["logits"].argmax(-1) == label)
        both = {name: np.concatenate([s[name] for s in seen]) for name in seen[0]}
        return self._compared(both, np.concatenate(right))

    def real_scores(self) -> dict[str, float]:
        """The same numbers of the real training images: what can be had."""
        train = self._splits.train.take(slice(features.LARGEST))
        seen = self._seen(train.floats())
        return self._compared(seen, seen["logits"].argmax(-1) == train.labels)

    def _compared(self, seen, right):
        return {
            "frechet_classifier": quality.frechet_distance(
                self._real["features"], seen["features"]
            ),
            "classifier_score": float(quality.classifier_scores(seen["logits"])[0]),
            "class_accuracy": 100 * float(np.mean(right)),
        }

    def _seen(self, images):
        return self._seer.predict(images, batch_size=accuracy.BATCH, verbose=0)


def costs(network: keras.Model) -> dict[str, int]:
    """Convolutions, parameters and multiply-accumulates for one image."""
    found = cost.count(network)
    return {
        "depth": found.layers,
        "parameters": found.parameters,
        "macs": found.macs,
    }


def export_and_measure(
    network: keras.Model, path: pathlib.Path, split: data.Split
) -> dict:
    """Writes a generator as a TFLite file of floats, and measures the file.

    Its input is `(1, height, width, channels + classes)`, as
    `gan.translators.with_planes` makes it; its output the images.

    Args:
        network: Under the contract of `gan.translators`; on TensorFlow.
        path: Of the file.
        split: Images to run both on.

    Returns:
        `file`, `bytes`, `latency_ms`, and `largest_difference` of a pixel between
        the file and the network.
    """
    shown = keras.Model(network.input, network.output["images"])
    files.atomic_write(path, convert.to_tflite(shown, "float32"))
    images = split.take(slice(CHECKED)).floats()
    classes = network.input.shape[-1] - images.shape[-1]
    given = translation.with_label(images, classes - 1, classes)
    wanted = keras.ops.convert_to_numpy(shown(given))
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "latency_ms": interpreter.latency(path, given[:1]),
        "largest_difference": float(
            np.abs(interpreter.predict(path, given) - wanted).max()
        ),
    }
