"""The layout of a container; `docs/pack.md` describes it in full."""

import lzma
import struct
import zlib

MAGIC, VERSION = b"TFLZ", 1
STORED, CODED = 0, 1
# Magic, version, form, CRC-32 of all other bytes, length and SHA-256 of the file.
HEADER = struct.Struct("<4sBBIQ32s")
CRC_AT = slice(6, 10)
# Bytes of the compressed plan, of the plan and of the words; properties of LZMA.
BODY = struct.Struct("<IIIB")
DESCRIPTIONS = struct.Struct("<I")  # Their size in bytes; the text follows them.
PIECE = struct.Struct("<IB")
RUNS = struct.Struct("<H")
LARGEST = (1 << 31) - 1  # Bytes of a file: the limit of a flatbuffer.
RATIO = 10_000  # A file is at most so many times as large as its container.


def crc(container: bytes) -> int:
    """CRC-32 of a container without the four bytes that contain it."""
    return zlib.crc32(container[CRC_AT.stop :], zlib.crc32(container[: CRC_AT.start]))


def lzma_filters(properties: int, plan: int) -> list[dict]:
    """The filters with which Python's `lzma` compresses a plan.

    Args:
        properties: lc + 9 * (lp + 5 * pb).
        plan: Size of the plan in bytes; the dictionary need not be larger.
    """
    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    size = max(4096, plan)
    return [{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": size}]
