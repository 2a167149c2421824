"""Makes the files that a trained student can become.

A finisher makes one file and defines the promise that is checked on that file. A
workbench trains and converts for it, so that finishers, which a config reads, need no
TensorFlow. No file here takes a whole run: networks, data, seed and options are passed
as they are.
"""

import typing


def to_tf_keras(model: typing.Any) -> typing.Any:
    """The tf_keras twin of a Keras 3 model, for TF-MOT and other tools of tf_keras.

    Nested models are inlined, shared layers stay shared, and operations that are not
    layers become layers. The outputs of both are compared on random inputs.

    Args:
        model: A functional `keras.Model` or a built `Sequential`, with any structure
            of inputs and outputs.

    Returns:
        A functional `tf_keras.Model` with the same structures of inputs and outputs,
        without regularizers, constraints and initializers.

    Raises:
        ValueError: A `distill.compress.twin.twin.NoTwin`. It names every layer without
            a counterpart in tf_keras, and the reason; or says by how much the outputs
            differ.
    """
    from distill.compress.twin import twin

    copy = twin.to_tf_keras(model, output=None)
    twin.check_equal(model, copy, twin.random_inputs(model, 4), output=None)
    return copy
