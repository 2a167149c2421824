"""A network that answers with what it sees before its last layer."""

import keras

LARGEST = 10_000  # Examples of a set whose features are compared.


def feature_model(teacher: keras.Model) -> tuple[keras.Model, str]:
    """A classifier as a model of its features and logits, and the features' name.

    Features are the last representation, averaged over positions; the logits of one
    that shows none.

    Args:
        teacher: Under the contract of `students`.
    """
    name = [name for name in teacher.output if name != "logits"][-1:] or ["logits"]
    features = teacher.output[name[0]]
    positions = tuple(range(1, len(features.shape) - 1))
    if positions:
        features = keras.ops.mean(features, axis=positions)
    outputs = {"features": features, "logits": teacher.output["logits"]}
    return keras.Model(teacher.inputs, outputs), name[0]
