"""What all files in eight bits share: integers alone, and how they are fed."""

import dataclasses
from typing import Literal

from distill.compress.finishers.finisher import Finisher


@dataclasses.dataclass(frozen=True, kw_only=True)
class Integers(Finisher):
    """A finisher whose file computes in integers alone.

    Attributes:
        io: What the file takes and gives: `float32`, which it turns into eight bits,
            and its answers back, by itself; or `int8` or `uint8`, for those who have no
            floats, with scale and zero point in the file. Ids of texts stay int32.
    """

    io: Literal["float32", "int8", "uint8"] = "float32"

    def breaches(self, facts, parts, student):
        """Every op must compute in integers, between ends of the promised type."""
        return [*float_ops(facts), *self._other_ends(facts)]

    def _other_ends(self, facts):
        taken = {end.dtype for end in facts.takes} - {"int32"}
        given = {end.dtype for end in facts.gives}
        return [
            f"the file {verb} {', '.join(sorted(found))}, promised io = {self.io}"
            for verb, found in (("takes", taken), ("gives", given))
            if found - {self.io}
        ]


def float_ops(facts) -> list[str]:
    """The breach of a file that must compute in integers alone."""
    if not facts.float_ops:
        return []
    return [f"float ops left in an int8 file: {', '.join(facts.float_ops)}"]
