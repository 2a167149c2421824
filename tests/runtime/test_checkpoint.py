"""What is committed is whole, or it is not there; damage is always noticed."""

import errno
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from distill.runtime import errors
from distill.runtime.resume import checkpoint


def moment(step, size=50):
    rng = np.random.default_rng(step)
    arrays = {"00000 a/kernel": rng.normal(size=size), "00001 b": np.array(step)}
    return checkpoint.Moment(step, arrays, {"history": {"loss": [0.1 * step]}})


def same(one, other):
    assert one.step == other.step
    assert one.notes == other.notes
    assert list(one.arrays) == list(other.arrays)
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])


@pytest.fixture
def store(tmp_path):
    store = checkpoint.Store(tmp_path, "student.0")
    for step in (3, 20, 100):
        store.save(moment(step))
    return store


def test_what_is_saved_is_what_is_read(store):
    same(store.newest(), moment(100))


def test_the_last_two_are_kept_and_no_other_stage_is_touched(store, tmp_path):
    other = checkpoint.Store(tmp_path, "student.1")
    other.save(moment(7))
    assert [path.name[-9:-5] for path in store.files()] == ["0020", "0100"]
    store.clear()
    assert store.newest() is None
    same(other.newest(), moment(7))


def test_200_of_200_damages_are_noticed(store, caplog):
    path = store.files()[-1]
    whole = path.read_bytes()
    rng = random.Random(0)
    for index in range(200):
        if index % 4 == 0:
            damaged = whole[: rng.randrange(len(whole))]
        else:
            at = rng.randrange(len(whole))
            changed = whole[at] ^ rng.randrange(1, 256)
            damaged = whole[:at] + bytes([changed]) + whole[at + 1 :]
        path.write_bytes(damaged)
        same(store.newest(), moment(20))
    path.write_bytes(whole)
    same(store.newest(), moment(100))


def test_damage_is_said_in_one_line(store, capsys, monkeypatch):
    messages = []
    monkeypatch.setattr(checkpoint.progress, "say", messages.append)
    store.files()[-1].write_bytes(b"")
    store.newest()
    (line,) = messages
    assert "step000000000100.ckpt is damaged" in line
    assert "\n" not in line


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_a_disk_that_refuses_leaves_the_last_one(call, number, store, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        # `pathlib` and `tempfile` call them by these names too.
        patch.setattr(os, call, refuse)
        with pytest.raises(errors.WriteError, match=os.strerror(number)):
            store.save(moment(101))
    same(store.newest(), moment(100))
    store.save(moment(101))
    same(store.newest(), moment(101))


WRITER = """
import pathlib, sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from test_checkpoint import checkpoint, moment
store = checkpoint.Store(pathlib.Path(sys.argv[1]), "student.0")
last = store.newest()
step = last.step if last else 0
print("ready", step, flush=True)
while True:
    step += 1
    store.save(moment(step, 200_000))
    print(step, flush=True)
"""


def test_100_kills_inside_a_save_leave_100_whole_ones(tmp_path):
    """One process is killed at a time; all its time goes into saving."""
    rng = random.Random(0)
    store = checkpoint.Store(tmp_path, "student.0")
    committed = 0
    for _ in range(100):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), os.path.dirname(__file__)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert int(child.stdout.readline().split()[1]) >= committed
        time.sleep(rng.uniform(0, 0.05))
        child.send_signal(signal.SIGKILL)
        lines = child.communicate()[0].split()
        committed = max([committed, *map(int, lines)])
        last = store.newest()
        assert (last.step if last else 0) >= committed
        if last:
            same(last, moment(last.step, 200_000))


def test_a_name_does_not_depend_on_what_else_was_made():
    class Variable:
        def __init__(self, path):
            self.path = path

    one = [Variable("norm/gamma"), Variable("seed_generator_12/state")]
    other = [Variable("norm/gamma"), Variable("seed_generator/state")]
    assert checkpoint.names(one) == checkpoint.names(other)
    assert checkpoint.names(one) != checkpoint.names(one[::-1])
