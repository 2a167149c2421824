"""Generators -> numbers: how like real images what they make is, and what they cost."""

import pathlib
from collections.abc import Sequence

import keras
import numpy as np

from distill import data
from distill.compress import convert
from distill.measure import accuracy, cost, features, interpreter, quality
from distill.runtime import files
from distill.studies.generate import translation

CLOSE = 1e-3  # Of pixels in [0, 1]: as near as an exported file must come.
CHECKED = 32  # Images on which a file is compared with its network.
FEWEST = {"test": 4, "train": 2}  # Images of a class: two of each half, two in all.
SCORES = ("frechet_classifier", "classifier_score", "class_accuracy")


class Judge:
    """Compares what is made with test images that it was not made of.

    One half of the test split is turned into other classes, the other half is what
    that is compared with, class by class, in a classifier's features: who gives the
    images back as they were is then far from every class.

    Args:
        classifier: Trained on the real training images, under the contract of
            `students`.
        splits: The data; see `check`.
        measured: Test images, at most, that are turned into every class but their own.
    """

    def __init__(self, classifier: keras.Model, splits: data.Splits, measured: int):
        self._seer, self.features = features.feature_model(classifier)
        self._train = _drawn(splits.train, features.LARGEST)
        given, kept = _halves(splits.test)
        self._given, kept = _drawn(given, measured), _drawn(kept, features.LARGEST)
        self.inputs, self.reference = len(self._given.labels), len(kept.labels)
        self._real, self._labels = self._seen(kept.floats())["features"], kept.labels

    def scores(self, network: keras.Model, num_classes: int) -> dict[str, float]:
        """The numbers of `SCORES` of what a generator makes.

        Args:
            network: Under the contract of `gan.translators`.
            num_classes: Each is made once of every image of another.

        Returns:
            `frechet_classifier`, the mean over classes of the squared Fréchet distance
            from what is made into a class of images of the others to test images of
            that class, in the classifier's features (an FID with another network than
            Inception's), `classifier_score`, the formula of the Inception score with
            this classifier, and `class_accuracy`, the percent of the made images that
            it takes for the wanted class.

        Source:
            Miyato and Koyama, "cGANs with Projection Discriminator", ICLR 2018, its
            intra FID. https://arxiv.org/abs/1802.05637
        """
        made = []
        for label in range(num_classes):
            others = self._given.take(self._given.labels != label).floats()
            made.append(self._seen(translation.translate(network, others, label)))
        return self._compared(made)

    def real_scores(self) -> dict[str, float]:
        """The same numbers of the real training images: what can be had."""
        seen, labels = self._seen(self._train.floats()), self._train.labels
        return self._compared(
            [
                {name: values[labels == label] for name, values in seen.items()}
                for label in np.unique(self._labels)
            ]
        )

    def _compared(self, seen):
        """The numbers of what is, or is to be, of each class."""
        distances = [
            quality.frechet_distance(
                self._real[self._labels == label], made["features"]
            )
            for label, made in enumerate(seen)
        ]
        answers = [made["logits"] for made in seen]
        right = [accuracy.classes(each) == label for label, each in enumerate(answers)]
        scores = quality.classifier_scores(np.concatenate(answers))
        return {
            "frechet_classifier": float(np.mean(distances)),
            "classifier_score": float(scores[0]),
            "class_accuracy": 100 * float(np.mean(np.concatenate(right))),
        }

    def _seen(self, images):
        return self._seer.predict(images, batch_size=accuracy.BATCH, verbose=0)


def check(splits: data.Splits, class_names: Sequence[str]) -> None:
    """Refuses splits of which a class cannot be compared.

    Args:
        splits: The data.
        class_names: One a class.

    Raises:
        DataError: If a class has too few images.
    """
    for split, fewest in FEWEST.items():
        labels = getattr(splits, split).labels
        counts = np.bincount(labels, minlength=len(class_names))
        for name, count in zip(class_names, counts, strict=True):
            if count < fewest:
                raise data.DataError(
                    f"the {split} split must have at least {fewest} images of each "
                    f"class, to be compared by class. Received: {count} of {name}"
                )


def _halves(split):
    """Two parts of a split, each with half of every class; drawn by class."""
    order = np.random.default_rng(0).permutation(len(split.labels))
    parts: list[list] = [[], []]
    for label in np.unique(split.labels):
        own = order[split.labels[order] == label]
        parts[0] += list(own[::2])
        parts[1] += list(own[1::2])
    return tuple(split.take(np.sort(part)) for part in parts)


def _drawn(split, most):
    """So many examples at most, of every class, the same ones for every generator."""
    return split.sample(most, 0)


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
