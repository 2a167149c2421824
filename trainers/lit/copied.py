"""What a student takes over from its teacher, layer by layer."""

from typing import Any


def fits(teacher: Any, layer: Any) -> bool:
    """Whether the teacher has a layer of the same name and shapes of weights."""
    namesakes = [other for other in teacher.layers if other.name == layer.name]
    shapes = [
        [tuple(weight.shape) for weight in one.weights] for one in [layer, *namesakes]
    ]
    return not shapes[0] or shapes[1:] == shapes[:1]


def copy(teacher: Any, layer: Any) -> None:
    """Gives a layer of the student the weights of its namesake in the teacher.

    Raises:
        ValueError: If there is none of the same shapes.
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
