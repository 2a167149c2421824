"""A file of blocks is whole or says what it lacks, whoever killed or damaged it."""

import hashlib
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from distill.runtime.process import signals
from distill.teach.cache import block_file

DTYPE = np.dtype([("a", "float32", (3,)), ("b", "uint8")])
COUNT, BLOCK = 23, 4
SCRIPT = """
import os
import pathlib
import sys

from test_block_file import BLOCK, COUNT, DTYPE, rows

from distill.teach.cache import block_file


def make(indices):
    if 8 in indices:
        os.kill(os.getpid(), 9)
    return rows(indices)


block_file.read_or_make(pathlib.Path(sys.argv[1]), DTYPE, COUNT, BLOCK, make)
"""


def rows(indices):
    assert len(indices) == BLOCK and max(indices) < COUNT
    made = np.zeros(BLOCK, DTYPE)
    made["a"] = 1.5 * indices[:, None] + np.arange(3)
    made["b"] = indices
    return made


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "made.rows"


def whole(path):
    """The file, right in every row, and the first index of each block that was made."""
    made = []

    def make(indices):
        made.append(int(indices[0]))
        return rows(indices)

    found = block_file.read_or_make(path, DTYPE, COUNT, BLOCK, make)
    assert found.shape == (COUNT,)
    assert found["b"].tolist() == list(range(COUNT))
    np.testing.assert_array_equal(found["a"][:, 1], 1.5 * np.arange(COUNT) + 1)
    return made


def test_every_block_is_made_once(path):
    assert whole(path) == [0, 4, 8, 12, 16, 20]
    assert path.stat().st_size == COUNT * DTYPE.itemsize
    assert whole(path) == []


def test_a_killed_process_goes_on_where_it_was(path):
    command = [sys.executable, "-c", SCRIPT, str(path)]
    done = subprocess.run(command, cwd=pathlib.Path(__file__).parent, check=False)
    assert done.returncode == -signal.SIGKILL
    assert whole(path) == [8, 12, 16, 20]


def damage(path, at, content=b"\xff"):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


@pytest.mark.parametrize("index", [0, 9, 22])
def test_a_damaged_block_is_made_again_and_said(index, path, monkeypatch):
    said = []
    monkeypatch.setattr(block_file.progress, "say", said.append)
    whole(path)
    damage(path, index * DTYPE.itemsize + 2)
    assert whole(path) == [index - index % BLOCK]
    assert ["made.rows: 1 blocks are damaged" in line for line in said] == [True]


def test_a_block_without_its_digest_is_made_again(path):
    """It was killed between the two."""
    whole(path)
    damage(path.with_suffix(".sha256"), 2 * 32, bytes(32))
    assert whole(path) == [8]
    path.with_suffix(".sha256").unlink()
    assert len(whole(path)) == 6


@pytest.mark.parametrize("size", [0, 100, 10_000])
def test_a_file_of_another_size_is_mended(size, path):
    whole(path)
    with path.open("r+b") as file:
        file.truncate(size)
    made = whole(path)
    assert made == [s for s in range(0, COUNT, BLOCK) if (s + 4) * 13 > size]
    assert path.stat().st_size == COUNT * DTYPE.itemsize


def test_how_it_was_made_leaves_no_trace(path, tmp_path):
    whole(path)
    damage(path, 50)
    whole(path)
    other = tmp_path / "other.rows"
    whole(other)
    for suffix in (".rows", ".sha256"):
        pair = [p.with_suffix(suffix).read_bytes() for p in (path, other)]
        assert len({hashlib.sha256(text).hexdigest() for text in pair}) == 1


def test_a_signal_stops_between_two_blocks(path):
    def make(indices):
        if indices[0] == 8:
            signals._handle(signal.SIGTERM, None)
        return rows(indices)

    with pytest.raises(signals.Stopped), signals.deferred():
        block_file.read_or_make(path, DTYPE, COUNT, BLOCK, make)
    assert whole(path) == [12, 16, 20]
