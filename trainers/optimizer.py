"""Optimizers of several sides in one: a student, and who trains against it."""

import keras
from keras import ops

DECAY = 0.95  # A gradient's norm is shown as a mean over about twenty steps.


class Sides(keras.optimizers.MultiOptimizer):
    """The student's optimizer, and one for each side with one of its own.

    Args:
        student: For every variable that is no other side's.
        others: Name of a side to its optimizer.
        owned: Name of a side to its variables.
        name: Of the first side.

    Attributes:
        parts: All of the optimizers, each once for each of its sides.
        gradient_norms: Name of each side to a running mean of the length of
            its gradient, loss scaling taken off by Keras before.
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
        """The student's."""
        return self._student.learning_rate

    def apply(self, grads, trainable_variables=None):
        """Applies each gradient by the optimizer of its side, and notes its length."""
        variables = trainable_variables or self._trainable_variables
        for name, norm in self.gradient_norms.items():
            squares = [
                ops.sum(ops.square(ops.cast(gradient, "float32")))
                for gradient, variable in zip(grads, variables, strict=True)
                if gradient is not None and self._side(variable) == name
            ]
            if squares:
                now = ops.sqrt(sum(squares))
                norm.assign(DECAY * norm + (1 - DECAY) * now)
        super().apply(grads, trainable_variables)
