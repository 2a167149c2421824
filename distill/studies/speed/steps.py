"""A method's step, timed in turn with its parts."""

import contextlib
import time
from collections.abc import Callable

import trainers
from distill import config
from distill.studies.speed import pace, replay
from distill.teach import teacher
from distill.teach.hardware import fused, precision
from distill.teach.learner import jit_compile
from distill.teach.networks import build
from trainers import trainer

KEPT = "step, answers kept"
WARMUP = 3  # Steps that trace and fill caches, before the clock starts.


def interleaved(
    actions: dict[str, Callable[[], object]], rounds: int, steps: int
) -> dict[str, list[float]]:
    """Seconds that one call of each action takes, in each round.

    Args:
        actions: Name to what is timed; called `steps` times in a row.
        rounds: How often all of them are gone through.
        steps: Calls in a round.

    Returns:
        Name to the mean seconds of a call, one number a round.
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


def methods(run: config.Run, *, rounds: int, steps: int) -> list[dict]:
    """Times a step of each stage's method beside its parts.

    The parts of a method with companions are a step of KD, and a training step of
    each companion alone on twice the batch (as many outputs as teacher and student
    give together); of any other, the teacher's forward pass and the student's own
    step, twice for LIT: end to end, and section by section. Each is called through
    Keras, whose few milliseconds a call the sum counts once more than the step. All
    compute in the run's precision.

    With `teacher.cache`, a method without companions is also timed on kept answers,
    which are handed to each step as a run would after reading them.

    The run's data feed `rounds * steps` steps more, as they feed a training: see
    `distill.studies.speed.pace`.

    Args:
        run: Data, networks, batch size and stages; nothing is trained to an end.
        rounds: See `interleaved`.
        steps: See `interleaved`.

    Returns:
        For each stage: `name`; `seconds`, name of each action to one number a
        round, `step` being the method's own; `examples_per_second` of it;
        `ratio`, the median over the rounds of `step` to the sum of its parts;
        `waiting`, the share of a step's time in training that waits for input; and
        where answers are kept `kept_ratio`, the same of `step, answers kept` to those
        parts that are the student's.

    Raises:
        DataError: If the data cannot be had.
    """
    splits = run.data.load()

    asked = teacher.open_given(run) if run.teacher.file else build.build("teacher", run)
    student = build.build("student", run)
    batch = _batch(run)
    found = [
        {
            "name": stage.name,
            **_timed(run, stage, asked, student, batch, rounds, steps),
        }
        for stage in run.stages
    ]
    which = [("student", stage) for stage in run.stages]
    paces = pace.measure(run, splits, which, rounds * steps, asked)
    for method, taken in zip(found, paces, strict=True):
        method["waiting"] = taken.share
    return found


def _timed(run, stage, teacher, student, batch, rounds, steps):
    import numpy as np

    learner, step = _learner(run, stage.trainer, teacher, student, batch)
    models = [learner, teacher]
    if learner.companions:
        other, kd_step = _learner(run, trainers.KD(), teacher, student, batch)
        actions = {"KD step": kd_step}
        for name, network in learner.companions.items():
            copy, actions[name] = _companion(run, network, 2 * len(batch[1]))
            models.append(copy)
    else:
        other, own_step = _learner(run, trainers.Supervised(), None, student, batch)
        actions = {
            "teacher forward": lambda: teacher.predict_on_batch(batch[0]),
            "student step": own_step,
        }
        if isinstance(stage.trainer, trainers.LIT):
            del actions["student step"]
            actions["two student steps"] = lambda: (own_step(), own_step())
    timed = {"step": step, **actions}
    taught = run.teacher.cache and stage.trainer.needs_teacher
    if taught and not learner.companions:
        kept = replay.replay_batches(run, learner, batch)
        timed[KEPT] = lambda: learner.train_on_batch(*next(kept))
    with contextlib.ExitStack() as stack:
        for model in (*models, other):
            stack.enter_context(fused.for_training(model))
            stack.enter_context(precision.scope(model, run.hardware.precision))
        seconds = interleaved(timed, rounds, steps)

    def ratio(whole, parts):
        total = sum(np.array(seconds[name]) for name in parts)
        return float(np.median(np.array(seconds[whole]) / total))

    found = {
        "seconds": seconds,
        "examples_per_second": float(len(batch[1]) / np.median(seconds["step"])),
        "ratio": ratio("step", actions),
    }
    if KEPT in timed:
        own = [name for name in actions if name != "teacher forward"]
        found["kept_ratio"] = ratio(KEPT, own)
    return found


def _batch(run):
    """Random inputs and labels: what they show does not matter here."""
    import numpy as np

    rng = np.random.default_rng(0)
    shape = (run.batch_size, *run.data.input_shape)
    if run.data.vocabulary is None:
        inputs = rng.random(shape, np.float32)
    else:
        inputs = rng.integers(0, run.data.vocabulary, shape, np.int32)
    return inputs, rng.integers(0, run.data.num_classes, run.batch_size)


def _learner(run, method, teacher, student, batch):
    """A trainer of a copy of the student, and one step of it."""
    import keras

    copy = keras.models.clone_model(student)
    learner = trainer.Trainer(student=copy, teacher=teacher, method=method)
    learner.compile(
        optimizer=learner.sides(keras.optimizers.SGD(1e-3, momentum=0.9)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile(run.hardware.jit),
    )
    return learner, lambda: learner.train_on_batch(*batch)


def _companion(run, network, count):
    """A copy of a network, and one training step of it alone, on random inputs."""
    import keras
    import numpy as np

    rng = np.random.default_rng(0)
    shapes = {tensor.name: tensor.shape[1:] for tensor in network.inputs}
    given = {
        name: rng.random((count, *shape), np.float32) for name, shape in shapes.items()
    }
    copy = keras.models.clone_model(network)
    copy.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="mse",
        jit_compile=jit_compile(run.hardware.jit),
    )
    asked = np.zeros((count, *copy.output_shape[1:]), np.float32)
    return copy, lambda: copy.train_on_batch(given, asked)


def table(result: dict) -> str:
    """What `methods` found, for the console."""
    import numpy as np
    import tabulate

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
