"""Features of a classifier, for scores that compare sets of examples."""

import keras

LARGEST = 10_000  # Most examples of a set: distances need memory for every pair.


def feature_model(teacher: keras.Model) -> tuple[keras.Model, str]:
    """A model from a classifier's inputs to features and logits; the features' name.

    Features are the last representation, averaged over positions, or the logits if
    the classifier has no representation.

    Args:
        teacher: A network under the contract of `students`.
    """
    name = [name for name in teacher.output if name != "logits"][-1:] or ["logits"]
    features = teacher.output[name[0]]
    positions = tuple(range(1, len(features.shape) - 1))
    if positions:
        features = keras.ops.mean(features, axis=positions)
    outputs = {"features": features, "logits": teacher.output["logits"]}
    return keras.Model(teacher.inputs, outputs), name[0]
