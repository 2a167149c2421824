"""A stage goes on from any step, bit for bit, and notices every missing piece."""

import hashlib
import os
import signal
import time

import keras
import numpy as np
import pytest
from stores import Only

import trainers
from distill.data import batches
from distill.runtime import errors
from distill.runtime.process import signals
from distill.runtime.resume import checkpoint, resume
from gan.discriminators import Discriminator
from trainers import trainer

STEPS, EPOCHS, BATCH = 5, 3, 4
# On PyTorch, Keras' dropout draws from PyTorch's own state, which no variable holds.
DRAWS = keras.backend.backend() != "torch"
OURS = keras.backend.backend() != "tensorflow"  # Where batches are read ahead by us.
PIECES = ["moving_mean", "momentum", "iteration", "kernel"]


class Source:
    """Batches of random numbers, each from its own step."""

    steps_per_epoch = STEPS

    def stream(self, step):
        while True:
            rng = np.random.default_rng(step)
            images = rng.normal(size=(BATCH, 4, 4, 1)).astype("float32")
            yield images, rng.integers(0, 3, BATCH)
            step += 1


class Everything(checkpoint.Store):
    """Keeps every moment ever saved."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.moments = {}

    def save(self, moment):
        super().save(moment)
        self.moments[moment.step] = super().newest()


def network():
    """One that draws random numbers, keeps statistics and has a penalty."""
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(3, 3, name="conv", kernel_regularizer="l2")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    if DRAWS:
        x = keras.layers.Dropout(0.3, name="drop")(x)
    x = keras.layers.Dense(3, name="head")(keras.layers.Flatten(name="flat")(x))
    return keras.Model(inputs, {"logits": x})


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.CosineDecay(0.1, STEPS * EPOCHS),
        momentum=0.9,
        name="optimizer",
    ),
    "adam_with_ema": lambda: keras.optimizers.Adam(
        0.01, use_ema=True, ema_momentum=0.9, name="optimizer"
    ),
    "loss_scale": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1, name="inner"), dynamic_growth_steps=7, name="outer"
    ),
}


GAME = trainers.Adversarial(
    condition="input",
    discriminator=Discriminator(units=(4,), dropout=0.5),
    discriminator_steps=2,
    noise_weight=0.5,
)


def make(optimizer="sgd", seed=0, method=None):
    keras.utils.set_random_seed(0)
    teacher = network()  # The same in every run: a file.
    keras.utils.set_random_seed(seed)
    learner = trainer.Trainer(
        student=network(), teacher=teacher, method=method or trainers.KD()
    )
    learner.compile(
        optimizer=learner.sides(OPTIMIZERS[optimizer]()),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    return learner


def run(learner, store, source=None):
    images, labels = next(Source().stream(99))
    history, _ = resume.fit(
        learner,
        source or Source(),
        callback=keras.callbacks.Callback,
        epochs=EPOCHS,
        store=store,
        variables=lambda: learner.moving_variables,
        shuffle=False,
        validation_data=(images, labels),
        verbose=0,
    )
    return digest(learner), history


def digest(learner):
    """Of all state: weights, statistics, random state, optimizer."""
    sha = hashlib.sha256()
    for variable in [*learner.moving_variables, *learner.optimizer.variables]:
        sha.update(variable.numpy().tobytes())
    return sha.hexdigest()


@pytest.fixture(autouse=True)
def every_step(monkeypatch):
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "0")


@pytest.fixture(scope="module", params=list(OPTIMIZERS))
def uninterrupted(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTILL_CHECKPOINT_SECONDS", "0")
        store = Everything(tmp_path_factory.mktemp("stage"), "student.0")
        learner = make(request.param)
        end, history = run(learner, store)
        patch.setenv("DISTILL_CHECKPOINT_SECONDS", "1000")
        assert run(make(request.param), Only(None)) == (end, history)
    return request.param, store, end, history


@pytest.fixture(scope="module")
def other():
    """A learner that begins elsewhere: traced once, it goes on from any moment."""
    return make(seed=1)


@pytest.fixture(scope="module")
def mid_moment(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTILL_CHECKPOINT_SECONDS", "0")
        store = Everything(tmp_path_factory.mktemp("stage"), "student.0")
        end, _ = run(make(), store)
    return store.moments[7], end


def test_from_every_step_the_end_is_the_same(uninterrupted):
    optimizer, store, end, history = uninterrupted
    assert list(store.moments) == list(range(1, STEPS * EPOCHS))
    learner = make(optimizer, seed=1)  # Nothing of the first run but what was saved.
    for moment in store.moments.values():
        assert run(learner, Only(moment)) == (end, history), moment.step


@pytest.mark.skipif(not DRAWS, reason="dropout draws from PyTorch's own state")
def test_a_game_with_two_optimizers_goes_on(tmp_path):
    store = Everything(tmp_path, "student.0")
    end = run(make(method=GAME), store)
    moment = store.moments[7]  # Between two updates of the student.
    learner = make(seed=1, method=GAME)
    assert run(learner, Only(moment)) == end
    for piece in ("hidden1/kernel", "velocity", "accumulator", "seed_generator"):
        arrays = {
            name: np.zeros_like(array) if piece in name else array
            for name, array in moment.arrays.items()
        }
        assert any(array is not moment.arrays[name] for name, array in arrays.items())
        poorer = checkpoint.Moment(moment.step, arrays, moment.notes)
        assert run(learner, Only(poorer)) != end, piece


@pytest.mark.parametrize("missing", PIECES + ["seed_generator"] * DRAWS)
def test_whatever_is_left_out_is_missed(missing, mid_moment, other):
    moment, end = mid_moment
    arrays = {
        name: np.zeros_like(array) if missing in name else array
        for name, array in moment.arrays.items()
    }
    assert any(array is not moment.arrays[name] for name, array in arrays.items())
    poorer = checkpoint.Moment(moment.step, arrays, moment.notes)
    assert run(other, Only(poorer))[0] != end


def test_metrics_of_a_broken_epoch_go_on(mid_moment, other):
    moment, _ = mid_moment
    arrays = {
        name: np.zeros_like(array) if name.endswith(("total", "count")) else array
        for name, array in moment.arrays.items()
    }
    whole = run(other, Only(moment))[1]
    poorer = checkpoint.Moment(moment.step, arrays, moment.notes)
    assert run(other, Only(poorer))[1] != whole


def test_a_moment_of_other_networks_is_refused(mid_moment):
    moment, _ = mid_moment
    arrays = dict(moment.arrays)
    first = next(iter(arrays))
    arrays[first] = arrays[first][..., :1]
    learner = make(seed=1)
    with pytest.raises(errors.CheckpointError, match=first):
        run(learner, Only(checkpoint.Moment(moment.step, arrays, moment.notes)))
    del arrays[first]
    with pytest.raises(errors.CheckpointError, match="None"):
        run(learner, Only(checkpoint.Moment(moment.step, arrays, moment.notes)))


@pytest.mark.parametrize("name", ["task_loss", "kd_loss", "regularization_loss"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_none_stops_the_step_by_name(name, bad, tmp_path, mid_moment):
    learner = make()
    store = Everything(tmp_path, "student.0")
    moment, _ = mid_moment
    arrays = {
        key: np.full_like(array, bad) if f"{name}/total" in key else array
        for key, array in moment.arrays.items()
    }
    store.newest = lambda: checkpoint.Moment(moment.step, arrays, moment.notes)
    with pytest.raises(errors.Diverged, match=f"`{name}` is (nan|inf) at step 8"):
        run(learner, store)
    assert not store.files()


def test_weights_that_are_no_numbers_are_not_committed(tmp_path):
    learner = make()
    store = Everything(tmp_path, "student.0")
    learner.student.get_layer("norm").moving_mean.assign([np.nan, 0.0, 0.0])
    with pytest.raises(errors.Diverged, match="moving_mean"):
        run(learner, store)
    assert not store.files()


def test_weights_of_the_last_step_are_no_exception(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "1000")
    learner = make()
    learner.student.get_layer("norm").moving_mean.assign([np.nan, 0.0, 0.0])
    with pytest.raises(errors.Diverged, match="moving_mean"):
        run(learner, Everything(tmp_path, "student.0"))


@pytest.mark.parametrize("ahead", [iter, batches.prefetch][: 1 + OURS])
def test_a_signal_ends_the_step_and_loses_nothing(
    ahead, tmp_path, monkeypatch, mid_moment
):
    """Also where batches were read that no step has seen."""
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "1000")
    _, end = mid_moment
    store = Everything(tmp_path, "student.0")
    signals.install()

    def stop_midway(step):
        for number, batch in enumerate(Source().stream(step), step):
            if number == 13:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    def source(stream):
        return resume.Source(STEPS, lambda step: ahead(stream(step)))

    try:
        with pytest.raises(signals.Stopped) as excinfo, signals.deferred():
            run(make(), store, source(stop_midway))
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert excinfo.value.code == 143
    (stopped,) = store.moments
    assert 0 < stopped < STEPS * EPOCHS
    assert stopped % STEPS or not OURS  # Within an epoch, if Keras reads nothing ahead.
    assert run(make(seed=1), store, source(Source().stream))[0] == end


@pytest.mark.parametrize("text", ["soon", "-1", "nan"])
def test_an_interval_that_is_none_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", text)
    with pytest.raises(errors.CheckpointError, match="DISTILL_CHECKPOINT_SECONDS"):
        resume.seconds_between_moments()


def test_commits_take_a_hundredth_of_the_time(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "0.001")

    class Slow(Everything):
        def save(self, moment):
            time.sleep(0.2)
            super().save(moment)

    store = Slow(tmp_path, "student.0")
    run(make(), store)
    assert len(store.moments) <= 1  # Fifteen fast steps: no time for a second.
