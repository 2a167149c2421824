"""A dtype policy for layers that compute in float32 whatever the others compute in."""

import keras


@keras.saving.register_keras_serializable("distill")
class Float32(keras.DTypePolicy):
    """Keras' `float32`, but of a type of its own.

    So a layer that has it is told apart from one that has `float32` because nothing
    else was asked for, and which mixed precision may therefore change.
    """

    def __init__(self, name: str = "float32"):
        super().__init__(name)
