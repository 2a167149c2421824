"""Tiny classifiers of keras-hub, with random weights but for their heads."""

import keras_hub
import numpy as np

from distill import config

models = keras_hub.models
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, "good", "fine", "bad", "poor", "film", "story", "a", "the", "was"]
LABELS = ("bad", "good")
CONFIG = """
data:
  name: text_file
  options: {{train: {csv}, tokenizer: {{name: characters, options: {{length: 16}}}}}}
batch_size: 16
teacher: {{hub: {preset}}}
student: {{name: vdcnn, options: {{depth: 9, width: 4, units: 8, k: 2}}}}
stages: [{{trainer: {{name: kd}}, epochs: 1, learning_rate: 0.001}}]
finish: []
"""


def texts(count):
    """Texts about films with their labels, of which some are longer than a student's.

    The word that decides may come after what a student of a few ids gets.
    """
    rng = np.random.default_rng(0)
    for row in range(count):
        word = rng.choice(["good", "fine"] if row % 2 else ["bad", "poor"])
        before = " ".join(rng.choice(["a", "the", "film", "story"], rng.integers(1, 8)))
        yield f"{before} was {word}", row % 2


def save_csv(path, count=120):
    """Writes them as a data set of texts."""
    rows = [f"{text},{LABELS[label]}" for text, label in texts(count)]
    path.write_text("\n".join(["text,label", *rows]))
    return path


def save_sst2(path, count):
    """Writes them as a file of SST-2."""
    path.parent.mkdir(exist_ok=True)
    rows = [f"{text}\t{label}" for text, label in texts(count)]
    path.write_text("\n".join(["sentence\tlabel", *rows]))


def run_of(csv, preset, *more):
    """A run on these texts with a preset as its teacher."""
    path = csv.with_name("run.yaml")
    path.write_text(CONFIG.format(csv=csv, preset=preset))
    return config.load(str(path), more)


def bert(**options):
    """A BERT of random weights, two layers, width 16; its head is fitted to `texts`."""
    tokenizer = models.BertTokenizer(vocabulary=WORDS, lowercase=True)
    backbone = models.BertBackbone(
        vocabulary_size=len(WORDS),
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=16,
        max_sequence_length=16,
    )
    classifier = models.BertTextClassifier(
        backbone,
        num_classes=len(LABELS),
        preprocessor=models.BertTextClassifierPreprocessor(
            tokenizer, sequence_length=16
        ),
        **options,
    )
    scatter(backbone)
    known, labels = zip(*texts(200), strict=True)
    features = backbone.predict(classifier.preprocessor(list(known)), verbose=0)
    fit(classifier, features["pooled_output"], np.array(labels))
    return classifier


def vit(classes=10, channels=1):
    """A ViT of random weights for images of 8 x 8, its own preprocessing in front."""
    backbone = models.ViTBackbone(
        image_shape=(16, 16, channels),
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=16,
    )
    converter = models.ViTImageClassifierPreprocessor.image_converter_cls
    preprocessor = models.ViTImageClassifierPreprocessor(
        converter(image_size=(16, 16), scale=1 / 127.5, offset=-1)
    )
    return models.ViTImageClassifier(
        backbone, num_classes=classes, preprocessor=preprocessor
    )


def scatter(network):
    """Makes the weights of kernels and embeddings large, so that texts differ."""
    rng = np.random.default_rng(0)
    network.set_weights(
        [
            rng.normal(0, 0.2, weight.shape) if weight.ndim > 1 else weight
            for weight in network.get_weights()
        ]
    )


def fit(classifier, features, labels):
    """Sets the head of a classifier by least squares."""
    ones = np.ones((len(features), 1))
    wanted = 8.0 * np.eye(len(LABELS))[labels] - 4
    solved = np.linalg.lstsq(np.hstack([features, ones]), wanted, rcond=1e-3)[0]
    classifier.output_dense.set_weights([solved[:-1], solved[-1]])
