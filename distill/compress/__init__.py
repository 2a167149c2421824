"""What a trained student can become, and how it is made.

A finisher makes one file and states the promise that is checked on that file. It asks
a workbench for all that trains and converts, so that finishers, which a config reads,
need no TensorFlow. No file here knows a run: networks, data, seed and options are
handed over as they are.
"""

import typing


def to_tf_keras(model: typing.Any) -> typing.Any:
    """The tf_keras twin of a Keras 3 model, for TF-MOT and whatever else wants one.

    Nested models are inlined, shared layers stay shared, operations that are no
    layers become layers. The two are compared on made inputs.

    Args:
        model: A functional `keras.Model`, or a built `Sequential`; with any
            structure of inputs and outputs.

    Returns:
        A functional `tf_keras.Model` from and to the same structures, without
        regularizers, constraints and initializers.

    Raises:
        ValueError: A `distill.compress.twin.twin.NoTwin`, which names every layer that
            tf_keras has no counterpart of, and why; or by how much the twin
            answers otherwise.
    """
    from distill.compress.twin import twin

    made = twin.to_tf_keras(model, output=None)
    twin.check_equal(model, made, twin.examples(model, 4), output=None)
    return made
