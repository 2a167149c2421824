"""SHA-256 of files, of texts and of a network's weights."""

import hashlib
import pathlib
from typing import Any


def weights_hash(network: Any) -> str:
    """SHA-256 over the values of a `keras.Model`'s weights, in order.

    Unlike that of a `.keras` file, it does not change with the time of saving.
    """
    sha = hashlib.sha256()
    for weights in network.get_weights():
        sha.update(f"{weights.dtype}{weights.shape}".encode() + weights.tobytes())
    return sha.hexdigest()


def fingerprint(*pieces: str) -> str:
    """SHA-256 over several texts, shortened to 16 hexadecimal digits."""
    sha = hashlib.sha256()
    for piece in pieces:
        # With its length, so that ("ab", "c") and ("a", "bc") have other hashes.
        sha.update(len(piece).to_bytes(8, "big") + piece.encode())
    return sha.hexdigest()[:16]


def file_hash(path: pathlib.Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
