"""A teacher's copy that answers in its place in less time: its norms are folded."""

import keras
import numpy as np

from distill.runtime import progress
from students.keras_models import folding

EXAMPLES = 32  # Real inputs on which both are compared.
# Relative to the largest number of each output. Rounding stays below a tenth of it,
# also in a ResNet-110.
TOLERANCE = 1e-4


def answering(teacher: keras.Model, inputs: np.ndarray) -> keras.Model:
    """Folds the norms of a teacher into its kernels, since its weights do not move.

    A convolution, its norm, a sum and the rectifier behind it are then one operation
    of TensorFlow on a CPU. The copy must have the outputs of the teacher; if not, the
    teacher itself answers, and a line of the progress output says why.

    Args:
        teacher: A trained functional model. Frozen here, and not changed.
        inputs: Real inputs, of which the first are answered by both.

    Returns:
        A model with the inputs and outputs of `teacher` that shares no weights with
        it; or `teacher` itself.
    """
    teacher.trainable = False
    norms = folding.foldable(teacher)
    if not norms:
        return teacher
    try:
        copy = folding.fold(teacher, norms)
    except (NotImplementedError, TypeError, ValueError) as mistake:
        # Not every layer that a program has defined can be built from its config.
        return _left(teacher, f"no copy of it can be built: {mistake}")
    copy.trainable = False
    error = _largest_error(*(model(inputs[:EXAMPLES]) for model in (teacher, copy)))
    # In this order, a NaN is no equal answer.
    if not error <= TOLERANCE:
        return _left(teacher, f"its answers would differ by {100 * error:.3g} %")
    return copy


def _left(teacher, reason):
    first_line = reason.splitlines()[0]
    progress.say(f"    {teacher.name}: norms are not folded into kernels: {first_line}")
    return teacher


def _largest_error(expected, actual):
    """The largest error of an output, relative to its largest number."""
    errors = []
    for name, values in expected.items():
        one, other = (
            keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))
            for x in (values, actual[name])
        )
        errors.append(np.abs(other - one).max() / max(np.abs(one).max(), 1e-30))
    return float(np.max(errors))  # Unlike Python's `max`, it keeps a NaN.
