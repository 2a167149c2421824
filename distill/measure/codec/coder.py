"""Entropy coding of planes of symbols into 32-bit words: rANS, by `constriction`."""

from collections.abc import Iterable

import numpy as np

from distill.measure.codec.planes import Plane
from distill.measure.codec.steps import TOTAL, Steps


class Leftover(ValueError):
    """Words are left after the last symbol."""


def encode(planes: Iterable[Plane]) -> bytes:
    """Encodes the symbols of all planes that have a table.

    Returns:
        The words, from which `Decoder` reads the planes in the same order.
    """
    coded = [plane for plane in planes if plane.table is not None]
    if not coded:  # In a .keras file, for which `constriction` need not be installed.
        return b""
    coder = _stream().stack.AnsCoder()
    # The coder is a stack: what is encoded last is decoded first.
    for plane in reversed(coded):
        present, model = _model(plane.table)
        if model is not None:
            ranks = np.searchsorted(present, plane.symbols).astype(np.int32)
            coder.encode_reverse(ranks, model)
    return coder.get_compressed().astype("<u4").tobytes()


class Decoder:
    """Decodes symbols from a stack of words.

    Args:
        words: The result of `encode`.

    Raises:
        ValueError: If they are no valid stack.
    """

    def __init__(self, words: bytes):
        numbers = np.frombuffer(words, "<u4").astype(np.uint32)
        self._coder = _stream().stack.AnsCoder(numbers)

    def decode(self, table: Steps, count: int) -> np.ndarray:
        """Decodes the next symbols, `(count,)` uint8."""
        present, model = _model(table)
        if model is None:
            return np.full(count, present[0], np.uint8)
        return present[self._coder.decode(model, count)].astype(np.uint8)

    def check_end(self) -> None:
        """Checks that every word has been decoded.

        Raises:
            Leftover: If words are left.
        """
        if not self._coder.is_empty():
            raise Leftover("words are left over")


def _model(table):
    """The symbols that are present, and the coder's model of their ranks.

    The model is None if there is a single symbol, which needs no words.
    """
    frequencies = table.frequencies
    (present,) = frequencies.nonzero()
    if len(present) == 1:
        return present, None
    # Only in float64 and without `perfect`, the coder rounds frequencies as
    # `docs/pack.md` says.
    return present, _stream().model.Categorical(
        frequencies[present] / TOTAL, perfect=False
    )


def _stream():
    # Imported here: runs without export work where it is not installed.
    from constriction import stream

    return stream
