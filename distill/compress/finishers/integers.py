"""The base classes of files in eight bits, and the types at their ends."""

import dataclasses
from typing import ClassVar, Literal

from distill.compress.base.finisher import Finisher

BITS = 7.2  # Of a packed eight-bit weight, on average.
CHANNEL = 9.3  # Bytes of a packed channel's scales and its bias of 32 bits.


@dataclasses.dataclass(frozen=True, kw_only=True)
class EightBits(Finisher):
    """A finisher whose weights have eight bits, and whose activations have ranges."""

    packed_channel: ClassVar[float] = CHANNEL
    # An example beyond the ranges that were measured is clipped.
    compared: ClassVar[str] = "most"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Integers(EightBits):
    """A finisher whose file computes only in integers.

    Attributes:
        io: Type of the file's inputs and outputs: `float32`, which the file converts
            from and to eight bits itself; or `int8` or `uint8`, for devices without
            floats, with scale and zero point in the file. Ids of texts stay int32.
    """

    untrained_form: ClassVar[str] = "int8"

    io: Literal["float32", "int8", "uint8"] = "float32"

    def breaches(self, facts, parts, student):
        """Every op must compute in integers, and both ends have the promised type."""
        return [*float_ops(facts), *self._wrong_ends(facts)]

    def _wrong_ends(self, facts):
        inputs = {end.dtype for end in facts.takes} - {"int32"}  # Ids stay ids.
        outputs = {end.dtype for end in facts.gives}
        return [
            f"the file {verb} {', '.join(sorted(dtypes))}, promised io = {self.io}"
            for verb, dtypes in (("takes", inputs), ("gives", outputs))
            if dtypes - {self.io}
        ]


def float_ops(facts) -> list[str]:
    """One line about the float ops of a file that must compute in integers."""
    if not facts.float_ops:
        return []
    return [f"float ops left in an int8 file: {', '.join(facts.float_ops)}"]
