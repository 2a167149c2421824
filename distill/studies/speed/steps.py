"""Times the training steps of methods in turn with their parts."""

import contextlib
import time
from collections.abc import Callable

import keras
import numpy as np
import tabulate

import trainers
from distill import config
from distill.measure import folded
from distill.studies.speed import pace, replay
from distill.teach.hardware import training
from distill.teach.learner import jit_compile
from distill.teach.networks import build
from trainers import trainer

KEPT = "step, answers kept"
WARMUP = 3  # Calls that are not timed: they trace and fill caches.


def time_interleaved(
    actions: dict[str, Callable[[], object]], rounds: int, steps: int
) -> dict[str, list[float]]:
    """Times one call of each action, in several rounds.

    Args:
        actions: Name to function; called `steps` times in a row.
        rounds: Number of rounds; each round times all actions.
        steps: Number of calls of an action in a round.

    Returns:
        Name to the mean seconds of a call, one number for each round.
    """
    for act in actions.values():
        for _ in range(WARMUP):
            act()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, act in actions.items():
            start = time.perf_counter()
            for _ in range(steps):
                act()
            seconds[name].append((time.perf_counter() - start) / steps)
    return seconds


def time_methods(run: config.Run, *, rounds: int, steps: int) -> list[dict]:
    """Times a step of each stage's method beside its parts.

    The parts of a method with companions are a step of KD, and a training step of
    each companion alone on twice the batch (as many outputs as teacher and student
    have together). For other methods they are the teacher's forward pass and the
    student's own step, counted twice for LIT: end to end, and section by section. Each
    part is a call of Keras, which costs a few milliseconds; the sum therefore contains
    one call more than the step. All compute in the run's precision.

    With `teacher.cache`, a method without companions is also timed on cached answers,
    which each step gets as in a run, after they have been read.

    Then the run's data feed `rounds * steps` steps more, as in training: see
    `distill.studies.speed.pace`.

    Args:
        run: The run. Its networks are not trained further than the timed steps.
        rounds: See `time_interleaved`.
        steps: See `time_interleaved`.

    Returns:
        For each stage: `name`; `seconds`, name of each action to one number for each
        round, where `step` is the method's own; `examples_per_second` of it;
        `ratio`, the median over the rounds of `step` to the sum of its parts;
        `waiting`, the share of a step's time in training that is spent waiting for
        input; and with cached answers `kept_ratio`, the median ratio of
        `step, answers kept` to the student's parts.

    Raises:
        DataError: If the data cannot be found or read.
    """
    splits = run.data.load()
    network, student = open_pair(run)
    batch = random_batch(run)
    results = [
        {
            "name": stage.name,
            **_time_stage(run, stage, network, student, batch, rounds, steps),
        }
        for stage in run.stages
    ]
    which = [("student", stage) for stage in run.stages]
    paces = pace.measure(run, splits, which, rounds * steps, network)
    for method, measured in zip(results, paces, strict=True):
        method["waiting"] = measured.share
    return results


def _time_stage(run, stage, teacher, student, batch, rounds, steps):
    learner, step = build_step(run, stage.trainer, teacher, student, batch)
    models = [learner]
    if learner.companions:
        other, kd_step = build_step(run, trainers.KD(), teacher, student, batch)
        actions = {"KD step": kd_step}
        for name, network in learner.companions.items():
            copy, actions[name] = _build_companion_step(run, network, 2 * len(batch[1]))
            models.append(copy)
    else:
        other, own_step = build_step(run, trainers.Supervised(), None, student, batch)
        actions = {
            "teacher forward": lambda: learner.teacher.predict_on_batch(batch[0]),
            "student step": own_step,
        }
        if isinstance(stage.trainer, trainers.LIT):
            del actions["student step"]
            actions["two student steps"] = lambda: (own_step(), own_step())
    timed = {"step": step, **actions}
    if kept_step := cached_step(run, stage.trainer, learner, batch):
        timed[KEPT] = kept_step
    with contextlib.ExitStack() as stack:
        for model in (*models, other):
            stack.enter_context(training.scope(model, run.hardware.precision))
        seconds = time_interleaved(timed, rounds, steps)

    def ratio(whole, parts):
        # In each round first: a noisy machine slows down all actions of a round.
        total = sum(np.array(seconds[name]) for name in parts)
        return float(np.median(np.array(seconds[whole]) / total))

    result = {
        "seconds": seconds,
        "examples_per_second": float(len(batch[1]) / np.median(seconds["step"])),
        "ratio": ratio("step", actions),
    }
    if KEPT in timed:
        student_parts = [name for name in actions if name != "teacher forward"]
        result["kept_ratio"] = ratio(KEPT, student_parts)
    return result


def open_pair(run: config.Run) -> tuple[keras.Model, keras.Model]:
    """The teacher, as `pace.open_teacher`, and the untrained student."""
    return pace.open_teacher(run), build.build("student", run)


def random_batch(run: config.Run) -> tuple[np.ndarray, np.ndarray]:
    """Random inputs and labels: a step takes the same time for all images."""
    rng = np.random.default_rng(0)
    shape = (run.batch_size, *run.data.input_shape)
    if run.data.vocabulary is None:
        inputs = rng.random(shape, np.float32)
    else:
        inputs = rng.integers(0, run.data.vocabulary, shape, np.int32)
    return inputs, rng.integers(0, run.data.num_classes, run.batch_size)


def build_step(
    run: config.Run,
    method: trainers.Supervised,
    teacher: keras.Model | None,
    student: keras.Model,
    batch: tuple[np.ndarray, np.ndarray],
) -> tuple[trainer.Trainer, Callable[[], object]]:
    """A trainer of a copy of the student, and a function that trains it one step."""
    copy = keras.models.clone_model(student)
    answering = None if teacher is None else folded.answering(teacher, batch[0])
    learner = trainer.Trainer(
        student=copy, teacher=teacher, method=method, answering=answering
    )
    learner.compile(
        optimizer=learner.sides(keras.optimizers.SGD(1e-3, momentum=0.9)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile(run.hardware.jit),
    )
    return learner, lambda: learner.train_on_batch(*batch)


def cached_step(
    run: config.Run,
    method: trainers.Supervised,
    learner: trainer.Trainer,
    batch: tuple[np.ndarray, np.ndarray],
) -> Callable[[], object] | None:
    """A function that trains one step on cached answers; None if it uses none."""
    if not (run.teacher.cache and method.needs_teacher) or learner.companions:
        return None
    cached = replay.replay_batches(run, learner, batch)
    return lambda: learner.train_on_batch(*next(cached))


def _build_companion_step(run, network, count):
    """A copy of a network, and a function that trains it one step on random inputs."""
    rng = np.random.default_rng(0)
    shapes = {tensor.name: tensor.shape[1:] for tensor in network.inputs}
    inputs = {
        name: rng.random((count, *shape), np.float32) for name, shape in shapes.items()
    }
    copy = keras.models.clone_model(network)
    copy.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="mse",
        jit_compile=jit_compile(run.hardware.jit),
    )
    # Any targets do: the time of a step does not depend on them.
    targets = np.zeros((count, *copy.output_shape[1:]), np.float32)
    return copy, lambda: copy.train_on_batch(inputs, targets)


def table(result: dict) -> str:
    """Formats the results of `time_methods` for the console."""
    rows = []
    for method in result["methods"]:
        for action, times in method["seconds"].items():
            rows.append([method["name"], action, f"{1000 * np.median(times):.1f}"])
            if action == "step":
                rate, ratio = method["examples_per_second"], method["ratio"]
                waiting = f"{100 * method['waiting']:.1f} %"
                rows[-1] += [f"{rate:.0f}", f"{ratio:.2f}", waiting]
            if action == KEPT:
                rate = result["run"]["batch_size"] / np.median(times)
                rows[-1] += [f"{rate:.0f}", f"{method['kept_ratio']:.2f}"]
    headers = ["method", "action", "ms", "images/s", "step / sum of parts", "waiting"]
    align = ["left", "left", *["right"] * 4]
    return tabulate.tabulate(rows, headers, colalign=align, disable_numparse=True)
