"""What a step waits for is told from what it computes, as `fit` feeds it."""

import itertools
import time

import keras
import numpy as np
import pytest

from distill import config
from distill.data import batches
from distill.studies.speed import pace

SLEPT = 0.02
TINY = (
    "batch_size=16",
    "teacher.network={name: lenet}",
    "student={name: lenet}",
    "augmentation.shift=0",
    "controls=[]",
)


def time_fit(stream, on_batch=lambda: None, per_execution=1, steps=12):
    """The clock of a `fit` on a stream; the model has one weight."""
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=per_execution)
    clock = pace.Clock()

    class Working(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            on_batch()

    model.fit(
        stream,
        steps_per_epoch=steps * per_execution,
        callbacks=[Working(), clock],
        shuffle=False,
        verbose=0,
    )
    assert len(clock.seconds) == len(clock.waited) == steps
    return [np.array(times[4:]) for times in (clock.seconds, clock.waited)]


def ready_batches():
    batch = np.ones((4, 1), "float32"), np.ones((4, 1), "float32")
    return itertools.repeat(batch)


def slow():
    for batch in ready_batches():
        time.sleep(SLEPT)
        yield batch


@pytest.mark.parametrize("per_execution", [1, 2])
def test_a_step_that_waits_says_how_long(per_execution):
    seconds, waited = time_fit(slow(), per_execution=per_execution)
    assert (waited <= seconds).all()
    assert waited.sum() > 0.6 * per_execution * SLEPT * len(waited)


def test_a_step_that_computes_does_not_wait():
    """Neither for ready batches, nor for those that another thread made meanwhile."""
    for stream in ((batch for batch in ready_batches()), batches.prefetch(slow())):
        seconds, waited = time_fit(stream, lambda: time.sleep(4 * SLEPT))
        assert seconds.min() > 4 * SLEPT
        assert np.median(waited) < SLEPT / 2


def test_a_model_is_left_as_it_was():
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.make_train_function()
    before = model.train_function
    model.fit(
        (batch for batch in ready_batches()),
        steps_per_epoch=2,
        callbacks=[pace.Clock()],
        shuffle=False,
        verbose=0,
    )
    assert model.train_function is before


def test_every_stage_is_fed_by_the_runs_own_batches(monkeypatch):
    run = config.load("lit_resnet.yaml", TINY)
    requests = []
    batch = batches.Batches.batch

    def record_batch(self, step, rows=slice(None)):
        requests.append((self.batch_size, self.seed, step))
        return batch(self, step, rows)

    monkeypatch.setattr(batches.Batches, "batch", record_batch)
    which = pace.trained_stages(run)
    assert [(name, stage.name) for name, stage in which] == [
        ("teacher", "supervised"),
        ("student", "lit"),
        ("student", "kd"),
    ]
    (actual,) = pace.measure(run, run.data.load(), which[-1:], steps=3)
    assert len(actual.seconds) == len(actual.waited) == 3
    assert 0 < actual.share < 1
    assert {size for size, _, _ in requests} == {16}
    assert set(range(pace.WARMUP + 3)) <= {step for _, _, step in requests}


def test_controls_add_what_no_other_has():
    run = config.load("lit_resnet.yaml")
    more = [name for name, _ in pace.trained_stages(run)]
    assert more == ["teacher", "student", "student", "control"]
    same = config.load(
        "kd_resnet.yaml",
        ["controls=[{name: again, stages: [{trainer: {name: kd}, epochs: 40}]}]"],
    )
    assert [name for name, _ in pace.trained_stages(same)] == ["teacher", "student"]


def test_one_stage_stands_for_all_of_its_method():
    stages = "[{trainer: {name: kd}, epochs: 30}, {trainer: {name: kd}, epochs: 7}]"
    run = config.load("kd_resnet.yaml", [f"stages={stages}", "controls=[]"])
    assert [stage.epochs for _, stage in pace.trained_stages(run)[1:]] == [37]
