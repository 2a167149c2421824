"""What a teacher wants in place of the images that the student gets."""

import dataclasses
from typing import ClassVar, Literal

from distill.config.reference import check_range
from distill.runtime.errors import check


@dataclasses.dataclass(frozen=True, kw_only=True)
class Input:
    """What a teacher wants in place of the student's images in [0, 1].

    Attributes:
        range: The numbers of black and white.
        mean: Subtracted from the images in `range`: one number, or one a channel.
        deviation: What is left is divided by it: one number, or one a channel.
        size: Height and width; images are resized, bilinearly and with antialiasing.
        channels: The place of the channels, `first` or `last`; also in the
            maps that the teacher returns, not in tokens `(n, tokens, channels)`.
        order: The order of three channels.
    """

    takes: ClassVar[tuple[str, ...]] = ("images",)

    range: tuple[float, ...] = (0.0, 1.0)
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    size: tuple[int, ...] = ()
    channels: Literal["first", "last"] = "last"
    order: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self):
        """Refuses values out of range."""
        check_range("range", self.range)
        rule = "absent, or positive numbers"
        whole = all(number > 0 for number in self.deviation)
        check(whole, "deviation", rule, list(self.deviation))
        two = len(self.size) in (0, 2) and all(side >= 1 for side in self.size)
        check(two, "size", "absent, or a height and a width", list(self.size))

    def check_effects(self):
        """Refuses an `input` that changes nothing."""
        if self == Input():
            raise ValueError(
                "`input` must be left out where the teacher wants what the student "
                "gets, images in [0, 1]. Received: no other option"
            )

    def check_images(self, shape: tuple[int, ...]) -> None:
        """Refuses options that do not fit the data's images, or change nothing there.

        Args:
            shape: Height, width and channels of the images.

        Raises:
            ValueError: If an option does not fit; the message names it.
        """
        *sides, channels = shape
        rule = f"absent: the images have {sides[0]} x {sides[1]} pixels already"
        check([*self.size] != sides, "teacher.input.size", rule, list(self.size))
        rgb = channels == 3 or self.order == "rgb"
        rule = f"rgb for images of {channels} channels"
        check(rgb, "teacher.input.order", rule, self.order)
        for name in ("mean", "deviation"):
            numbers = getattr(self, name)
            rule = f"one number, or {channels}, one for each channel of the images"
            fits = len(numbers) in (0, 1, channels)
            check(fits, f"teacher.input.{name}", rule, list(numbers))
