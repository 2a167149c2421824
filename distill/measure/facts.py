"""Reads the contents of a TFLite file without running it. Needs no TensorFlow."""

import collections
import dataclasses
import gzip
import pathlib
from collections.abc import Sequence
from typing import Literal

from distill.measure import codec, energy, lut
from distill.measure import graph as graphs  # `graph` is a file's, below.
from distill.measure.counting import op_macs, visible_input
from distill.measure.counting import uses as counted
from distill.measure.end import End
from distill.measure.kernel import Kernel


@dataclasses.dataclass(frozen=True)
class Facts:
    """The contents of a file.

    Attributes:
        parameters: Entries of all kernels, biases and tables, including zeros.
        macs: Multiply-accumulates for one input; see `layer_macs`.
        bytes: Size of the file.
        gzip_bytes: Size of the file after gzip.
        packed_bytes: Size of the file packed, see `distill.measure.codec`.
        sparsity: Share of exact zeros among the entries of all kernels but depthwise
            ones, which are small and never pruned.
        float_ops: Names of the ops that compute in float, in order, each once;
            without the conversion of inputs and outputs.
        ops: Name of each op to its number in the file.
        kernels: All kernels but depthwise ones, in order.
        takes: The file's inputs.
        gives: The file's outputs.
        uncounted: Names of ops whose multiply-accumulates are unknown. If there are
            any, `macs` is a lower bound.
        nonzero_macs: Those of `macs` whose weight is not zero. A zero of a depthwise
            kernel counts like any other weight.
        uses: Every call of a kernel outside loops whose energy can be modelled.
        input_seen: Share of the input that is not multiplied by zero at once.
    """

    parameters: int
    macs: int
    bytes: int
    gzip_bytes: int
    packed_bytes: int
    sparsity: float
    float_ops: tuple[str, ...]
    ops: dict[str, int]
    kernels: tuple[Kernel, ...] = ()
    uncounted: tuple[str, ...] = ()
    takes: tuple[End, ...] = ()
    gives: tuple[End, ...] = ()
    nonzero_macs: int = 0
    uses: tuple[energy.Use, ...] = ()
    input_seen: float = 1.0

    @property
    def modelled_energy(self) -> float | None:
        """Energy for one input, by the model of `distill.measure.energy`.

        None if the file multiplies in ops that the model does not know.
        """
        known = energy.cost(self.uses, "macs", dense=True) == self.macs
        if self.uncounted or not known:
            return None
        return energy.cost(self.uses, "energy")

    def share_left(
        self, counts: Literal["weights", "macs", "energy", "packed"]
    ) -> float:
        """The cost with zeros as a share of the same file's cost without them.

        `packed` is `packed_share` of the kernels.
        """
        if counts == "weights":
            return 1 - self.sparsity
        if counts == "packed":
            return packed_share(self.kernels)
        dense = energy.cost(self.uses, counts, dense=True)
        return energy.cost(self.uses, counts) / dense


def packed_share(kernels: Sequence[Kernel]) -> float:
    """The length of kernels in a container, as a share of their float32 not packed."""
    length = sum(kernel.packed_bits for kernel in kernels)
    return length / (32 * sum(kernel.size for kernel in kernels))


def read_facts(path: pathlib.Path) -> Facts:
    """Reads a file without running it; see `read_content`."""
    return read_content(path.read_bytes(), path)


def read_content(content: bytes, path: pathlib.Path | str = "this") -> Facts:
    """Reads the content of a file without running it.

    Args:
        content: The file's bytes.
        path: The path in error messages.

    Raises:
        ValueError: If it is not a TFLite file.
    """
    stored, graph = (
        graphs.Graph(each, path) for each in (content, lut.expand(content))
    )
    sizes, described, macs, nonzero_macs = {}, {}, 0, 0
    names, uncounted, uses = [], [], []
    for part, op, times in op_macs.ops_with_counts(graph):
        name, rule = part.name(op), op_macs.rule(part, op)
        names.append(name)
        if name in op_macs.UNKNOWN or (rule and times is None):
            uncounted.append(name)
        own_macs = rule.macs(part, op) * (times or 1) if rule else 0
        weights = op_macs.weights(part, op)
        # By buffer: tensors that share one, as in a loop, count once.
        sizes |= {part.place(index): part.size(index) for index in weights}
        own = _kernels_of(part, op, weights)
        described |= own
        macs += own_macs
        nonzero_macs += _nonzero(own_macs, own.values())
        if part is graph:
            uses.append(counted.of_op(part, op, own.values()))
    takes, gives = graph.ends()
    zeros = sum(kernel.zeros for kernel in described.values())
    prunable = sum(kernel.size for kernel in described.values())
    return Facts(
        parameters=sum(sizes.values()),
        macs=macs,
        bytes=len(content),
        gzip_bytes=_gzip_bytes(content),
        packed_bytes=len(codec.pack(content)),
        sparsity=float(zeros / max(1, prunable)),
        float_ops=tuple(dict.fromkeys(graph.float_ops())),
        ops=_count(part.name(op) for part, op in stored.walk()),
        kernels=tuple(described.values()),
        takes=takes,
        gives=gives,
        uncounted=tuple(dict.fromkeys(uncounted)),
        nonzero_macs=nonzero_macs,
        uses=tuple(filter(None, uses)),
        input_seen=visible_input.share(graph),
    )


def read_kernels(content: bytes) -> tuple[Kernel, ...]:
    """Reads the kernels of a file, as in `Facts`, and packs nothing.

    Args:
        content: The file's bytes.

    Raises:
        ValueError: If it is not a TFLite file.
    """
    graph, described = graphs.Graph(lut.expand(content), "this"), {}
    for part, op, _ in op_macs.ops_with_counts(graph):
        described |= _kernels_of(part, op, op_macs.weights(part, op))
    return tuple(described.values())


def _kernels_of(part, op, weights):
    """The kernels of an op but depthwise ones, by buffer."""
    if part.name(op) == "DEPTHWISE_CONV_2D":
        return {}
    return {
        part.place(index): part.kernel(index, axis)
        for index, axis in weights.items()
        if axis is not None
    }


def _count(names):
    """Each name to how often it occurs, in alphabetical order."""
    return dict(sorted(collections.Counter(names).items()))


def _nonzero(macs, kernels):
    """Those multiply-accumulates of an op whose weight is not zero."""
    # An op uses all entries of its kernels equally often.
    zeros = sum(kernel.zeros for kernel in kernels)
    return macs - macs * zeros // max(1, sum(kernel.size for kernel in kernels))


def gzip_bytes(path: pathlib.Path) -> int:
    """Size of a file after gzip, in bytes."""
    return _gzip_bytes(path.read_bytes())


def _gzip_bytes(content):
    return len(gzip.compress(content, mtime=0))
