"""The model of symbols: a table of frequencies in steps, and its code length.

A table has the expected frequency of each of 256 symbols. It is constant over runs of
neighbouring symbols, whose number minimizes the total size: one run for a spike at
zero, a few for the sides of a bell, one for each symbol of a codebook.
Everything in it is an integer, so that all machines read the same table.
"""

import dataclasses

import numpy as np

SYMBOLS = 256
TOTAL = 1 << 16  # Sum of the frequencies of a table.
RUN_BYTES = 2  # A run's length and its weight.
_PLACES = 1 << 24  # Number of values that the coder divides among the symbols.
# Byte of a run to its weight: 0 if absent, else a mantissa of four bits, an exponent.
_WEIGHTS = np.array(
    [0, *((16 + (byte & 15)) << (byte >> 4) for byte in range(1, 256))], np.int64
)


@dataclasses.dataclass(frozen=True)
class Steps:
    """A table of frequencies.

    Attributes:
        runs: Length (1 to 256) and weight (a byte, 0 for absent symbols) of each run of
            symbols, from symbol 0 on; symbols after the last run are absent.

    Raises:
        ValueError: If there are too many symbols, or none.
    """

    runs: tuple[tuple[int, int], ...]

    def __post_init__(self):
        """Refuses runs without a symbol, and more than 256 symbols."""
        if sum(length for length, _ in self.runs) > SYMBOLS:
            raise ValueError("a table of more than 256 symbols")
        if not any(weight for _, weight in self.runs):
            raise ValueError("a table without a symbol")

    @property
    def weights(self) -> np.ndarray:
        """Weight of each symbol, `(256,)` int64; 0 for absent ones."""
        lengths, weights = zip(*self.runs, strict=True)
        present = np.repeat(_WEIGHTS[list(weights)], lengths)
        return np.pad(present, (0, SYMBOLS - len(present)))

    @property
    def frequencies(self) -> np.ndarray:
        """Frequency of each symbol, `(256,)` int64, sum `TOTAL`; 0 for absent ones."""
        weights = self.weights
        present = weights > 0
        shared = TOTAL - present.sum()
        frequencies = np.where(present, 1 + weights * shared // weights.sum(), 0)
        frequencies[weights.argmax()] += TOTAL - frequencies.sum()
        return frequencies

    def bits(self, counts: np.ndarray) -> float:
        """Code length of symbols in bits, including the table itself.

        Args:
            counts: Number of occurrences of each symbol, `(256,)`.
        """
        there = counts > 0
        frequencies = self.frequencies
        present = int((frequencies > 0).sum())
        # Each present symbol has one place in addition: see `docs/pack.md`.
        share = _PLACES - present
        places = frequencies[there] * (share / TOTAL) + 1
        bits = counts[there] @ (np.log2(_PLACES) - np.log2(places))
        return float(bits) + 8 * (1 + RUN_BYTES * len(self.runs))


def entropy(counts: np.ndarray) -> float:
    """Entropy of symbols in bits: no table encodes them in fewer.

    Args:
        counts: Number of occurrences of each symbol.
    """
    there = counts[counts > 0]
    return float(there @ np.log2(there.sum() / there))


def fit(counts: np.ndarray) -> Steps:
    """Fits the table that makes symbols and table together shortest.

    Args:
        counts: Number of occurrences of each symbol, `(256,)`; not all 0.

    Source:
        Histograms of minimum description length, as in Kontkanen and Myllymaki, "MDL
        Histogram Density Estimation", 2007, with two bytes for each bin.
    """
    last = int(counts.nonzero()[0][-1]) + 1
    edges = _edges(counts[:last])
    lengths = np.diff(edges)
    densities = np.add.reduceat(counts, edges[:-1]) / lengths
    # Scaled so that the densest run has the largest weight.
    nearest = np.log2(_WEIGHTS[1:])
    runs = []
    for length, density in zip(lengths, densities, strict=True):
        wanted = np.log2(density / densities.max()) + nearest[-1] if density else None
        weight = 0 if wanted is None else 1 + int(abs(nearest - wanted).argmin())
        runs.append((int(length), weight))
    return Steps(tuple(runs))


def _edges(counts):
    """The starts of the cheapest runs, and the end, by dynamic programming."""
    until = np.concatenate([[0], np.cumsum(counts)]).astype(float)
    every = until[-1]
    best, before = np.zeros(len(until)), np.zeros(len(until), int)
    for end in range(1, len(until)):
        sums = until[end] - until[:end]
        density = np.maximum(sums, 1e-9) / (end - np.arange(end)) / every
        costs = best[:end] - sums * np.log2(density) + 8 * RUN_BYTES
        before[end] = costs.argmin()
        best[end] = costs[before[end]]
    edges = [len(counts)]
    while edges[-1]:
        edges.append(before[edges[-1]])
    return np.array(edges[::-1])


def kernel_bits(codes: np.ndarray) -> float:
    """Size of a kernel of small integers in a container in bits, including its table.

    Args:
        codes: Integers from -128 to 127, of any shape.

    Raises:
        ValueError: If a code does not fit in eight bits.
    """
    if codes.size == 0:
        return 0.0
    if codes.min() < -128 or codes.max() > 127:
        raise ValueError(
            "`codes` must be from -128 to 127. Received: "
            f"{codes.min()} to {codes.max()}"
        )
    counts = np.bincount(codes.astype(np.int8).view(np.uint8).ravel(), minlength=256)
    return fit(counts).bits(counts)
