"""What is said of a pace is the pace, and no more is said than is known."""

import itertools

import numpy as np
import pytest

from distill.measure import interpreter, latency
from distill.report.charts import pareto


class Machine:
    """A clock, and functions that take of it what they are said to.

    Attributes:
        now: Seconds.
        called: Name of each function that was called, in order.
    """

    def __init__(self):
        self.now, self.called = 0.0, []

    def function(self, name, pace):
        """A function that takes `pace(n)` seconds at its call number `n`."""

        def run():
            self.now += pace(self.called.count(name))
            self.called.append(name)

        return run


@pytest.fixture
def a_second(monkeypatch):
    monkeypatch.delenv("DISTILL_LATENCY_SECONDS")


def steady(seconds):
    return lambda number: seconds


def timed(**paces):
    machine = Machine()
    runs = {name: machine.function(name, pace) for name, pace in paces.items()}
    return machine, latency.time_calls(runs, lambda: machine.now)


def test_a_known_pace_is_found_by_calling_for_a_second_at_least(a_second):
    machine, found = timed(quick=steady(0.004), slow=steady(0.05))
    for name, milliseconds in (("quick", 4), ("slow", 50)):
        one = found[name]
        for key in ("median", "low", "high", "p90"):
            assert one[key] == pytest.approx(milliseconds)
        assert one["runs"] * milliseconds >= 1000 - 1e-6
        # Those that do not count come on top, and are few.
        assert one["runs"] < machine.called.count(name) < 1.5 * one["runs"]


def test_a_fast_function_is_called_no_longer_than_its_median_needs(a_second):
    machine, found = timed(fast=steady(1e-5), slow=steady(0.05))
    assert found["fast"]["runs"] == latency.ROUNDS * latency.CALLS
    assert found["fast"]["median"] == pytest.approx(0.01)
    fast = machine.called.count("fast")
    assert found["fast"]["runs"] < fast < 1.5 * found["fast"]["runs"]


def test_what_takes_longer_than_a_turn_is_still_called_in_each(a_second):
    _, found = timed(slow=steady(3.0))
    assert found["slow"]["runs"] == latency.ROUNDS


def test_functions_take_turns(a_second):
    machine, _ = timed(one=steady(0.01), other=steady(0.01))
    changes = sum(a != b for a, b in itertools.pairwise(machine.called))
    assert changes >= 2 * latency.ROUNDS - 1


def test_what_the_first_call_of_a_turn_sets_up_does_not_count(a_second):
    machine = Machine()

    def cold(name):
        return lambda number: 0.01 if machine.called[-1:] == [name] else 0.05

    runs = {name: machine.function(name, cold(name)) for name in ("one", "other")}
    for record in latency.time_calls(runs, lambda: machine.now).values():
        assert record["high"] == record["p90"] == pytest.approx(10)


def test_what_slows_the_machine_down_shows_as_spread_and_not_as_a_difference(a_second):
    machine = Machine()

    def pace(seconds):
        return lambda number: seconds * (1 + (machine.now % 7) / 7)

    runs = {"one": machine.function("one", pace(0.010))}
    runs["alike"] = machine.function("alike", pace(0.0102))
    runs["slow"] = machine.function("slow", pace(0.030))
    found = latency.time_calls(runs, lambda: machine.now)
    assert found["one"]["high"] > 1.2 * found["one"]["low"]
    assert not latency.differ(found["one"], found["alike"])
    assert latency.differ(found["one"], found["slow"])
    assert latency.differ(found["slow"], found["one"])
    assert not latency.differ(found["one"], None)


def test_the_files_themselves_are_run(monkeypatch, tmp_path):
    """Each as often as is said of it, on the example."""
    seen = {}

    class Runner:
        """Notes what it is given."""

        def __init__(self, path, shape, threads):
            assert (shape, threads) == ((1, 2), 3)
            self._seen = seen.setdefault(path.name, [])

        def __call__(self, inputs):
            self._seen.append(inputs)

        def quantize(self, inputs):
            return inputs

    monkeypatch.setattr(interpreter, "Runner", Runner)
    example = np.ones((1, 2))
    paths = [tmp_path / "a.tflite", tmp_path / "b.tflite"]
    found = interpreter.latencies(paths, example, threads=3)
    for path, given in zip(paths, seen.values(), strict=True):
        assert len(given) > found[path]["runs"] >= latency.ROUNDS
        assert all(one is example for one in given)


def test_of_files_as_fast_as_each_other_the_more_accurate_is_on_the_front():
    def model(name, accuracy, low, high):
        record = {"median": (low + high) / 2, "low": low, "high": high}
        told = {"name": name, "accuracy": accuracy, "failed": []}
        return {**told, "latency_ms": record}

    models = [
        model("slightly quicker", 90, 1.0, 1.2),
        model("as quick", 91, 1.1, 1.3),
        model("clearly quicker", 89, 0.5, 0.6),
        model("slower", 91, 1.4, 1.5),
    ]
    beaten = pareto.beaten(models, pareto.MEASURES["latency_ms"])
    assert [name for name, on_none in beaten.items() if on_none] == [
        "slightly quicker",
        "slower",
    ]
