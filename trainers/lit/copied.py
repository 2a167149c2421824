"""Copying of weights from teacher to student, layer by layer."""

from typing import Any


def fits(teacher: Any, layer: Any) -> bool:
    """Whether the teacher has a layer of this name with weights of the same shapes."""
    namesakes = [other for other in teacher.layers if other.name == layer.name]
    shapes = [
        [tuple(weight.shape) for weight in one.weights] for one in [layer, *namesakes]
    ]
    # A layer without weights always fits: there is nothing to copy.
    return not shapes[0] or shapes[1:] == shapes[:1]


def copy(teacher: Any, layer: Any) -> None:
    """Copies into a student's layer the weights of the teacher's namesake.

    Raises:
        ValueError: If the teacher has no such layer, or one of other shapes.
    """
    if not layer.weights:
        return
    try:
        layer.set_weights(teacher.get_layer(layer.name).get_weights())
    except ValueError as error:
        raise ValueError(
            f"LIT copies stem and head from the teacher, whose layer `{layer.name}` "
            f"does not fit the student's: {error}"
        ) from None
