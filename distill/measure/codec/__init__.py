"""A lossless container for TFLite files, and the code length of kernels and files.

A container is for transfer and storage; to run, a file is unpacked again. The format
is described in `docs/pack.md`.
"""

from distill.measure.codec.description import description_bits
from distill.measure.codec.layout import LARGEST
from distill.measure.codec.packing import pack, packed_bytes
from distill.measure.codec.planes import size
from distill.measure.codec.steps import kernel_bits
from distill.measure.codec.unpacking import read, unpack

__all__ = [
    "LARGEST",
    "description_bits",
    "kernel_bits",
    "pack",
    "packed_bytes",
    "read",
    "size",
    "unpack",
]
