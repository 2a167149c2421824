"""All three decoders unpack to the packed bytes, and refuse anything else."""

import ctypes
import gzip
import hashlib
import itertools
import lzma
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tracemalloc
import zlib

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from distill.measure import codec
from distill.measure.codec import steps
from distill.runtime.errors import Untrusted

DOCS = pathlib.Path(__file__).parents[2] / "docs"
RNG = np.random.default_rng(0)
HEADER, BODY = 50, 13
KINDS = schema.TensorType


def tflite(*constants, kind=None, sparse=()):
    """A file of constants, and nothing to compute.

    Args:
        constants: Arrays.
        kind: Of all tensors; by default that of each array.
        sparse: Index arrays of the first tensor, each with its type in the schema.
    """
    kinds = {"int8": 9, "float32": 0, "float16": 1, "int16": 7, "int64": 4}
    buffers, tensors = [schema.BufferT()], []
    for values in constants:
        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        tensor.shape, tensor.buffer = list(values.shape), len(buffers)
        tensor.type = kinds[values.dtype.name] if kind is None else kind
        tensor.name = f"layer{len(buffers)}/kernel".encode()
        buffers.append(buffer)
        tensors.append(tensor)
    if sparse:
        tensors[0].sparsity = schema.SparsityParametersT()
        tensors[0].sparsity.dimMetadata = [axis(*one) for one in sparse]
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [], [], []
    model.version, model.buffers, model.subgraphs = 3, buffers, [graph]
    model.operatorCodes = []
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def axis(values, name):
    found, vector = schema.DimensionMetadataT(), getattr(schema, f"{name}T")()
    vector.values = values
    found.arrayIndicesType = getattr(schema.SparseIndexVector, name)
    found.arrayIndices = vector
    return found


def bell(*shape):
    return np.clip(RNG.normal(0, 30, shape), -127, 127).astype(np.int8)


def pruned(values, share):
    return values * (RNG.uniform(size=values.shape) > share).astype(values.dtype)


FLOATS = RNG.normal(0, 0.05, (3000,)).astype(np.float32)
GAPS = np.cumsum(RNG.geometric(0.2, 3000))
INDICES = {256: "Uint8Vector", 60_000: "Uint16Vector", 1 << 30: "Int32Vector"}
FILES = {
    "int8": tflite(bell(60, 50), bell(2000)),
    "pruned int8": tflite(pruned(bell(60, 50), 0.8)),
    "float32": tflite(FLOATS),
    "float16": tflite(FLOATS.astype(np.float16)),
    "clustered": tflite(RNG.choice(FLOATS[:16], 4000)),
    "int16": tflite(np.cumsum(RNG.integers(0, 3, 3000)).astype(np.int16)),
    "int64": tflite(RNG.integers(0, 5000, 3000)),
    "half bytes": tflite(RNG.binomial(15, 0.3, 3000).astype(np.int8), kind=KINDS.INT4),
    "sparse": tflite(FLOATS, sparse=[(GAPS % n, name) for n, name in INDICES.items()]),
    "constant": tflite(np.full(5000, 3, np.int8)),
    "one that differs": tflite(np.eye(1, 5000, 77, dtype=np.int8)),
    "few that differ": tflite(np.eye(6, 2500, 77, dtype=np.int8)),
}
BYTES = {
    "nothing": b"",
    "a byte": b"x",
    "noise": RNG.bytes(3000),
    "zeros": bytes(300_000),
    "text": (DOCS / "pack.md").read_bytes(),
    "no model behind the name": b"\0\0\0\0TFL3" + RNG.bytes(100),
    "half a model": FILES["int8"][:3000],
    "a model that points anywhere": FILES["int8"][:8] + RNG.bytes(3000),
}
ALL = {**FILES, **BYTES}


@pytest.fixture(scope="module")
def written():
    """The decoder that `docs/pack.md` gives."""
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "pack.md").read_text(), re.S)
    assert sum(map(bool, code.splitlines())) <= 80
    found = {}
    exec(code, found)
    return found["unpack"]


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    """The decoder of `docs/unpack.c`: bytes of a container to those of the file."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler: docs/unpack.c is not compiled here")
    made = tmp_path_factory.mktemp("c") / "unpack.so"
    flags = "-std=c99 -O1 -Wall -Wextra -Werror -pedantic -shared -fPIC -DTFLZ_NO_MAIN"
    subprocess.run(
        [compiler, *flags.split(), "-o", made, DOCS / "unpack.c"], check=True
    )
    library = ctypes.CDLL(str(made))
    library.tflz_size.restype = ctypes.c_int64
    library.tflz_size.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    library.tflz_unpack.argtypes = [*library.tflz_size.argtypes, ctypes.c_char_p]

    def unpack(packed):
        size = library.tflz_size(packed, len(packed))
        out = ctypes.create_string_buffer(max(size, 0) + 1)
        if size < 0 or library.tflz_unpack(packed, len(packed), out):
            return None
        return out.raw[:size]

    return unpack


@pytest.mark.parametrize("name", ALL)
def test_the_same_bytes_come_back(name):
    content = ALL[name]
    packed = codec.pack(content)
    assert codec.unpack(packed) == content
    assert len(packed) <= len(content) + HEADER
    assert codec.pack(content) == packed


@pytest.mark.parametrize("name", ALL)
def test_the_page_says_how_to_unpack(name, written):
    assert written(codec.pack(ALL[name])) == ALL[name]


@pytest.mark.parametrize("name", ALL)
def test_so_does_c(name, in_c):
    assert in_c(codec.pack(ALL[name])) == ALL[name]


def test_the_c_decoder_is_short():
    assert len((DOCS / "unpack.c").read_text().splitlines()) <= 300


@pytest.mark.parametrize("name", [name for name in FILES if "that" not in name][:-1])
def test_a_file_of_numbers_gets_smaller_than_by_gzip(name):
    assert len(codec.pack(FILES[name])) < len(gzip.compress(FILES[name]))


def test_numbers_take_little_more_than_they_tell():
    for share in (0.0, 0.8, 0.95):
        values = pruned(bell(200, 100), share)
        counts = np.bincount(values.view(np.uint8).ravel(), minlength=256)
        least = steps.entropy(counts) / 8
        skeleton = len(codec.pack(tflite(np.zeros((200, 100), np.int8))))
        assert least < len(codec.pack(tflite(values))) - skeleton < 1.02 * least + 30


SMALL = codec.pack(tflite(pruned(bell(30, 20), 0.9)))


def test_every_damaged_byte_is_noticed(in_c):
    for place, bit in itertools.product(range(len(SMALL)), (1, 128)):
        damaged = bytearray(SMALL)
        damaged[place] ^= bit
        with pytest.raises(Untrusted):
            codec.unpack(bytes(damaged))
        assert in_c(bytes(damaged)) is None
    for length in range(len(SMALL)):
        with pytest.raises(Untrusted):
            codec.unpack(SMALL[:length])
        assert in_c(SMALL[:length]) is None
    with pytest.raises(Untrusted):
        codec.unpack(SMALL + b"\0")


def forged(container):
    """The container with a CRC-32 that fits: damage on purpose."""
    crc = zlib.crc32(container[10:], zlib.crc32(container[:6]))
    return container[:6] + struct.pack("<I", crc) + container[10:]


def opened(packed):
    try:
        return codec.unpack(packed)
    except Untrusted as found:
        assert "\n" not in str(found)
        return None


@pytest.mark.parametrize(
    "name", ["few that differ", "half bytes", "clustered", "sparse", "text"]
)
def test_what_is_forged_is_refused_or_the_file(name, in_c):
    packed, rng = codec.pack(ALL[name]), np.random.default_rng(1)
    for _ in range(200):
        changed = bytearray(packed)
        for place in rng.integers(10, len(packed), rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        end = rng.integers(HEADER, len(packed)) if rng.uniform() < 0.2 else len(packed)
        changed = forged(bytes(changed[:end]))
        found, also = opened(changed), in_c(changed)
        assert found in (None, ALL[name])
        assert found is None or also == found


@pytest.mark.parametrize(
    ("place", "form", "value"),
    [
        (10, "<Q", 1 << 40),  # The file.
        (10, "<Q", 1 << 30),
        (HEADER, "<I", 0xFFFFFFFF),  # The squeezed plan, the plan, the words.
        (HEADER + 4, "<I", 0xFFFFFFFF),
        (HEADER + 4, "<I", 1 << 28),
        (HEADER + 8, "<I", 0xFFFFFFF0),
        (HEADER + 12, "B", 255),  # How it is squeezed.
    ],
)
def test_a_huge_claim_is_refused_before_memory_is_taken(place, form, value, in_c):
    claims = bytearray(SMALL)
    struct.pack_into(form, claims, place, value)
    claims = forged(bytes(claims))
    tracemalloc.start()
    with pytest.raises(Untrusted, match="damaged"):
        codec.unpack(claims)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 300_000
    assert in_c(claims) is None


def handmade(described, content, length, stored=b""):
    """A container with these descriptions, and neither text nor words."""
    plan = struct.pack("<I", len(described)) + described
    filters = [{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 4096}]
    squeezed = lzma.compress(plan, lzma.FORMAT_RAW, filters=filters)
    body = struct.pack("<IIIB", len(squeezed), len(plan), 0, 93) + squeezed + stored
    sha256 = hashlib.sha256(content).digest()
    return forged(struct.pack("<4sBBIQ32s", b"TFLZ", 1, 1, 0, length, sha256) + body)


ZERO = struct.pack("<H2B", 1, 0, 255)  # A table of nothing but symbol 0.


@pytest.mark.parametrize("length", [100, 1 << 22, (1 << 31) - 1])
def test_a_symbol_that_repeats_makes_no_bomb(length, in_c):
    packed = handmade(struct.pack("<IB", length, 1) + ZERO, bytes(100), length)
    tracemalloc.start()
    found = opened(packed)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == in_c(packed) == (bytes(100) if length == 100 else None)
    assert most < 300_000


@pytest.mark.parametrize(
    ("form", "book", "index", "whole"),
    [
        (2 | 32, b"\0ab", 0, b"abab"),
        (2 | 32, b"\0ab", 1, None),  # An index beyond the codebook.
        (2 | 32, b"\1ab", 0, None),  # A codebook that ends too early.
        (3, b"", 0, None),  # Numbers of three bytes.
        (2 | 64, b"", 0, None),
    ],
)
def test_what_is_told_must_be_there(form, book, index, whole, in_c):
    described = struct.pack("<IB", 4, form) + book + struct.pack("<H", 0)
    packed = handmade(described, whole or b"abab", 4, bytes([index]) * 2)
    assert opened(packed) == in_c(packed) == whole


def test_another_version_and_another_file_are_told():
    with pytest.raises(Untrusted, match=r"version 2.*reads version 1"):
        codec.unpack(forged(SMALL[:4] + b"\2" + SMALL[5:]))
    with pytest.raises(Untrusted, match="does not begin with TFLZ"):
        codec.unpack(FILES["int8"])
    with pytest.raises(Untrusted, match="SHA-256"):
        codec.unpack(forged(SMALL[:18] + bytes(32) + SMALL[HEADER:]))


def test_a_container_that_claims_too_much_is_never_made():
    for content in (bytes(4_000_000), tflite(np.zeros(4_000_000, np.int8))):
        assert codec.unpack(codec.pack(content)) == content


def test_more_bytes_than_any_container_has_are_not_read(tmp_path):
    with (tmp_path / "huge.tflz").open("wb") as file:
        os.truncate(file.fileno(), 3 << 30)  # Sparse: it takes no room.
    with pytest.raises(Untrusted, match="3,221,225,472 bytes, more than"):
        codec.read(tmp_path / "huge.tflz")
