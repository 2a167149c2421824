"""One optimizer made of several: the student's and those of its opponents."""

import keras
from keras import ops

# The gradient's norm is averaged over about 1 / (1 - 0.95) = 20 steps.
DECAY = 0.95


class Sides(keras.optimizers.MultiOptimizer):
    """The student's optimizer, and one for each side that has its own.

    Args:
        student: Updates every variable that belongs to no other side.
        others: Name of a side to its optimizer.
        owned: Name of a side to its variables.
        name: Name of the first side.

    Attributes:
        parts: All optimizers. One that serves several sides is there several times.
        gradient_norms: Name of each side to a running mean of the L2 norm of
            its gradient, without Keras' loss scaling.
    """

    def __init__(
        self,
        student: keras.optimizers.Optimizer,
        others: dict[str, keras.optimizers.Optimizer],
        owned: dict[str, list],
        name: str = "student",
    ):
        side_of = {id(v): side for side, group in owned.items() for v in group}
        optimizers = {name: student, **others}

        def side(variable):
            return side_of.get(id(variable), name)

        super().__init__(lambda v: optimizers[side(v)], name="optimizer")
        self._side = side
        self._student = student
        self.parts = tuple(optimizers.values())
        self.gradient_norms = {
            name: self.add_variable(
                shape=(), aggregation="mean", name=f"{name}_gradient_norm"
            )
            for name in optimizers
        }

    @property
    def learning_rate(self):
        """The student's learning rate, which schedules and callbacks read."""
        return self._student.learning_rate

    def apply(self, grads, trainable_variables=None):
        """Applies each gradient with the optimizer of its side and tracks its norm."""
        variables = trainable_variables or self._trainable_variables
        for name, norm in self.gradient_norms.items():
            squares = [
                ops.sum(ops.square(ops.cast(gradient, "float32")))
                for gradient, variable in zip(grads, variables, strict=True)
                if gradient is not None and self._side(variable) == name
            ]
            if squares:
                length = ops.sqrt(sum(squares))
                norm.assign(DECAY * norm + (1 - DECAY) * length)
        super().apply(grads, trainable_variables)
