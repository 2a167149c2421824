"""Sizes that generators and discriminators share, and checks of their options."""

from collections.abc import Sequence

SLOPE = 0.2  # LeakyReLU's slope below zero, as is usual in GANs.
# Pixels of the shorter side where a generator starts and a discriminator ends.
SMALLEST = 4


def halvings(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Sizes of an image as it is halved, rounded up, down to about 4 pixels.

    Args:
        shape: `(height, width, channels)`.

    Returns:
        `(height, width)` of each step, the full size first; at least two.

    Raises:
        ValueError: If these are not images of at least 8 pixels a side.
    """
    if len(shape) != 3 or min(shape[:2]) < 2 * SMALLEST:
        raise ValueError(
            f"convolutions need images (height, width, channels) of at least "
            f"{2 * SMALLEST} pixels a side; take `dense`. Received: {tuple(shape)}"
        )
    height, width = shape[:2]
    sizes = [(height, width)]
    while min(height, width) >= 2 * SMALLEST:
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes


def check_positive(**options: int) -> None:
    """Refuses numbers below 1.

    Raises:
        ValueError: Names the option.
    """
    for name, value in options.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {value}")


def check_units(units: Sequence[int]) -> None:
    """Refuses an empty list of hidden layers, and layers without units.

    Raises:
        ValueError: Names the option and the value.
    """
    if not units or min(units) < 1:
        raise ValueError(
            f"`units` must be a list of numbers of at least 1. Received: {list(units)}"
        )


def check_dropout(dropout: float) -> None:
    """Refuses shares outside [0, 1).

    Raises:
        ValueError: Names the option and the value.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: {dropout}")


def check_deviation(deviation: float) -> None:
    """Refuses deviations that are not positive.

    Raises:
        ValueError: Names the option and the value.
    """
    if deviation <= 0:
        raise ValueError(f"`class_deviation` must be positive. Received: {deviation}")
