"""The cost of the kernels of a network: multiply-accumulates, and a modelled energy.

The energy is calculated for an accelerator like Eyeriss: 12 x 14 processing elements
with a memory outside, a cache and registers. Nothing here was measured on a device, and
TFLite's kernels for CPUs compute most zeros like any other weight.

Source:
    Yang et al., "Energy-Constrained Compression for Deep Neural Networks via Weighted
    Sparse Projection and Layer Input Masking", ICLR 2019, section 3.1 and its
    constants.
"""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

Counts = Literal["macs", "energy"]

# In accesses to a register; a multiply-accumulate reads two of them and writes one.
MEMORY, CACHE, REGISTER, COMPUTE = 200, 6, 1, 3
ROWS, COLUMNS = 12, 14  # Of processing elements.


class Use(NamedTuple):
    """One call of a kernel, for one input.

    Attributes:
        shape: The kernel's shape, `(..., in, out)`; `(..., in, multiplier)` if it is
            depthwise.
        places: Number of positions at which it is applied: pixels of the output.
        input_size: Number of entries of its input.
        output_size: Number of entries of its output.
        groups: Number of groups of channels; 1 for a depthwise kernel.
        depthwise: Whether it is applied to each channel separately.
        zeros: Number of zeros among its weights.
    """

    shape: tuple[int, ...]
    places: int
    input_size: int
    output_size: int
    groups: int = 1
    depthwise: bool = False
    zeros: int = 0

    @property
    def size(self) -> int:
        """Number of weights, including zeros."""
        return math.prod(self.shape)

    def per_weight(self, counts: Counts) -> float:
        """The cost of each weight that is not zero.

        With `energy`, it is read from memory once, from the cache once for each row of
        processing elements, and from a register at every position, where it is
        multiplied.
        """
        if counts == "macs":
            return self.places
        cached = math.ceil(self.places / ROWS)
        return MEMORY + CACHE * cached + (REGISTER + COMPUTE) * self.places

    def of_activations(self, counts: Counts) -> float:
        """The cost of the kernel's input and output, which pruning does not change."""
        if counts == "macs":
            return 0
        unfolded = self.places * math.prod(self.shape[:-1]) * self.groups
        readers = self.shape[-1] // self.groups  # Output channels for each input.
        cached = math.ceil(readers / COLUMNS)
        moved = MEMORY * (self.input_size + self.output_size)
        return moved + unfolded * (CACHE * cached + REGISTER * readers)


class Layer(NamedTuple):
    """The kernels of a layer.

    Attributes:
        kernels: Shapes of the kernels that pruning may cut, all but depthwise ones;
            the output channels are last.
        uses: Every call of a kernel whose cost is known, depthwise ones too.
    """

    kernels: tuple[tuple[int, ...], ...]
    uses: tuple[Use, ...]


def cost(uses: Iterable[Use], counts: Counts, *, dense: bool = False) -> float:
    """Multiply-accumulates, or modelled energy in accesses to a register, of all uses.

    Args:
        uses: The uses of all kernels.
        counts: Which of the two.
        dense: Whether zeros cost as much as other weights.
    """
    return sum(
        use.per_weight(counts) * (use.size - use.zeros * (not dense))
        + use.of_activations(counts)
        for use in uses
    )
