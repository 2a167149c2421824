"""A step that cannot fit is refused before it is tried."""

import subprocess
import sys

import pytest

from distill.runtime.process import memory
from distill.teach import memory as teaching
from distill.teach.memory import check
from students import ResNet


def test_a_batch_that_cannot_fit_is_refused_with_the_largest_that_may(monkeypatch):
    network = ResNet(depth=8, width=4).build((8, 8, 1), 10)
    # Stem; per section two convolutions, and a shortcut where it widens; head.
    numbers = 64 * 4 * 3 + 16 * 8 * 3 + 4 * 16 * 3 + 10
    monkeypatch.setattr(memory, "available", lambda: 4.0 * numbers * 100)
    check(network, 100)
    with pytest.raises(MemoryError, match="100 images might"):
        check(network, 101)


@pytest.mark.parametrize(
    ("accelerated", "free", "room"),
    [(False, 2.1, True), (False, 1.9, False), (True, 9.0, False)],
)
def test_another_process_has_room_if_twice_as_much_is_free_and_on_no_accelerator(
    accelerated, free, room, monkeypatch
):
    monkeypatch.setattr(teaching, "_is_accelerated", lambda: accelerated)
    monkeypatch.setattr(memory, "peaks", lambda: {"training": 100})
    monkeypatch.setattr(memory, "available", lambda: 100 * free)
    assert teaching.has_room_for_another() is room


def test_what_was_held_at_most_is_more_than_an_array_that_was():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import numpy as np\n"
            "from distill.runtime.process import memory\n"
            "before = memory.peaks()['training']\n"
            "held = np.ones(before // 8 + 10_000_000)\n"
            "print(memory.peaks()['training'] - before)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) > 70_000_000


def test_what_is_available_is_some_of_what_is_built_in():
    assert 1e6 < memory.available() < 1e15


def test_what_is_available_is_no_more_than_a_container_has_left(tmp_path, monkeypatch):
    limit, usage = tmp_path / "memory.max", tmp_path / "memory.stat"
    monkeypatch.setattr(memory, "CONTAINERS", [(limit, usage, "anon")])
    whole = memory.available()  # Of no container.
    limit.write_text("3000000\n")
    usage.write_text("anon 1000000\nfile 1500000\n")  # Files give way.
    assert memory.available() == 2_000_000
    limit.write_text("max\n")
    assert memory.available() > 0.5 * whole
