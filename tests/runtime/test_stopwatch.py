"""Where the time went adds up to all of it."""

import itertools
import time

import pytest

from distill.runtime import stopwatch
from distill.runtime.stopwatch import Stretch


def seconds(stretches):
    return [(part, kind, end - start) for part, kind, start, end in stretches]


def test_stretches_are_the_whole_time_without_gap_or_overlap():
    begun = time.monotonic()
    stopwatch.restart()
    with stopwatch.working(part="a file"):
        with stopwatch.working("conversion"):
            time.sleep(0.02)
        stopwatch.turn_to("steps")
    with pytest.raises(ValueError, match="failed"), stopwatch.working(part="another"):
        raise ValueError("failed")
    found = stopwatch.stretches()
    assert [one[:2] for one in found] == [
        ("start", "other"),
        ("a file", "other"),
        ("a file", "conversion"),
        ("a file", "other"),
        ("a file", "steps"),
        ("start", "other"),
        ("another", "other"),
        ("start", "other"),
    ]
    for one, after in itertools.pairwise(found):
        assert one.end == after.start
    assert 0.02 <= found[2].end - found[2].start <= found[-1].end - found[0].start
    assert begun <= found[0].start
    assert found[-1].end <= time.monotonic()


def test_another_process_counts_where_it_was_waited_for_and_nowhere_else():
    own = [
        Stretch("student", "steps", 0, 10),
        Stretch("finish", "waiting", 10, 20),
        Stretch("measure", "other", 20, 25),
        Stretch("finish", "waiting", 25, 31),
    ]
    helper = [
        Stretch("imports", "other", 5, 12),
        Stretch("file", "steps", 12, 26),
        Stretch("file", "conversion", 26, 30),
    ]
    assert list(stopwatch.with_helper(own, helper)) == [
        ("student", "steps", 10),
        ("imports", "other", 2),
        ("file", "steps", 8),
        ("finish", "other", 0),
        ("measure", "other", 5),
        ("file", "steps", 1),
        ("file", "conversion", 4),
        ("finish", "other", 1),
    ]
