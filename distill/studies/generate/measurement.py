"""Measures generators: how realistic their images are, and what they cost."""

import pathlib
from collections.abc import Sequence

import keras
import numpy as np

from distill import data
from distill.compress import convert
from distill.measure import accuracy, cost, features, interpreter, quality
from distill.runtime import files
from distill.studies.generate import translation

CLOSE = 1e-3  # The largest difference of a pixel in [0, 1] between file and network.
CHECKED = 32  # Images on which a file is compared with its network.
# The fewest images of a class. A covariance needs two; the test split is halved first.
FEWEST = {"test": 4, "train": 2}
SCORES = ("frechet_classifier", "classifier_score", "class_accuracy")


class Judge:
    """Compares generated images with real test images of the same class.

    One half of the test split is translated to other classes. The results are compared
    with the other half, class by class, in a classifier's features. So a generator
    that returns its input unchanged is far from every class.

    Args:
        classifier: A network trained on the real training images, under the contract
            of `students`.
        splits: The data; see `check`.
        measured: The most test images that are translated to every class but their
            own.
    """

    def __init__(self, classifier: keras.Model, splits: data.Splits, measured: int):
        self._feature_model, self.features = features.feature_model(classifier)
        self._train = _sample(splits.train, features.LARGEST)
        inputs, reference = _halves(splits.test)
        self._to_translate = _sample(inputs, measured)
        reference = _sample(reference, features.LARGEST)
        self.inputs, self.reference = (
            len(self._to_translate.labels),
            len(reference.labels),
        )
        self._real = self._predict(reference.floats())["features"]
        self._labels = reference.labels

    def scores(self, network: keras.Model, num_classes: int) -> dict[str, float]:
        """The numbers of `SCORES` for a generator.

        Args:
            network: A generator under the contract of `gan.translators`.
            num_classes: Number of classes. Every image is translated to each other
                class once.

        Returns:
            `frechet_classifier`, the mean over classes of the squared Fréchet distance
            from images translated to a class to test images of that class, in the
            classifier's features (an FID with another network than Inception);
            `classifier_score`, the formula of the Inception score with this
            classifier; and `class_accuracy`, the percentage of translated images that
            the classifier assigns to the target class.

        Source:
            Miyato and Koyama, "cGANs with Projection Discriminator", ICLR 2018, its
            intra FID. https://arxiv.org/abs/1802.05637
        """
        outputs = []
        for label in range(num_classes):
            # Not images of the class: returned unchanged, they would score best.
            others = self._to_translate.take(
                self._to_translate.labels != label
            ).floats()
            outputs.append(self._predict(translation.translate(network, others, label)))
        return self._compare(outputs)

    def real_scores(self) -> dict[str, float]:
        """The same numbers for real training images: the scale of the others."""
        outputs, labels = self._predict(self._train.floats()), self._train.labels
        return self._compare(
            [
                {name: values[labels == label] for name, values in outputs.items()}
                for label in np.unique(self._labels)
            ]
        )

    def _compare(self, outputs):
        """The numbers of `SCORES`, from the classifier's outputs for each class."""
        distances = [
            quality.frechet_distance(
                self._real[self._labels == label], each["features"]
            )
            # The index is the label: by `check`, no class is missing.
            for label, each in enumerate(outputs)
        ]
        logits = [each["logits"] for each in outputs]
        correct = [accuracy.classes(each) == label for label, each in enumerate(logits)]
        scores = quality.classifier_scores(np.concatenate(logits))
        return {
            "frechet_classifier": float(np.mean(distances)),
            "classifier_score": float(scores[0]),
            "class_accuracy": 100 * float(np.mean(np.concatenate(correct))),
        }

    def _predict(self, images):
        return self._feature_model.predict(images, batch_size=accuracy.BATCH, verbose=0)


def check(splits: data.Splits, class_names: Sequence[str]) -> None:
    """Refuses splits with too few images of a class for a comparison.

    Args:
        splits: The data.
        class_names: The name of each class.

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
    """Two random parts of a split, each with half of every class."""
    # The same halves for all seeds and generators, which are compared with each other.
    order = np.random.default_rng(0).permutation(len(split.labels))
    parts: list[list] = [[], []]
    for label in np.unique(split.labels):
        own = order[split.labels[order] == label]
        parts[0] += list(own[::2])
        parts[1] += list(own[1::2])
    return tuple(split.take(np.sort(part)) for part in parts)


def _sample(split, most):
    """A sample by class with a fixed seed: the same images for every generator."""
    return split.sample(most, 0)


def costs(network: keras.Model) -> dict[str, int]:
    """The numbers of convolutions, parameters and multiply-accumulates per image."""
    counts = cost.count(network)
    return {
        "depth": counts.layers,
        "parameters": counts.parameters,
        "macs": counts.macs,
        "uncounted": counts.uncounted,
    }


def export_and_measure(
    network: keras.Model, path: pathlib.Path, split: data.Split
) -> dict:
    """Writes a generator as a float32 TFLite file and measures the file.

    The file's input is `(1, height, width, channels + classes)`, as
    `gan.translators.add_class_planes` makes it; its output is the image.

    Args:
        network: A generator under the contract of `gan.translators`, on TensorFlow.
        path: Path of the file.
        split: Images to run both on.

    Returns:
        `file`, `bytes`, `latency_ms`, and `largest_difference` of a pixel between
        the file and the network.
    """
    # The other outputs are representations for LIT: a file needs only the images.
    exported = keras.Model(network.input, network.output["images"])
    files.atomic_write(path, convert.to_tflite(exported, "float32"))
    images = _sample(split, CHECKED).floats()
    classes = network.input.shape[-1] - images.shape[-1]
    inputs = translation.add_label(images, classes - 1, classes)
    expected = keras.ops.convert_to_numpy(exported(inputs))
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "latency_ms": interpreter.latencies([path], inputs[:1])[path],
        "largest_difference": float(
            np.abs(interpreter.predict(path, inputs) - expected).max()
        ),
    }
