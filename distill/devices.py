"""`distill.hardware` put to work: strategies of Keras, and what each device is fed."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from distill import config, data
from distill.config import lessons
from distill.data import batches
from distill.runtime import errors, onednn, progress
from distill.runtime.process import distributed
from distill.runtime.resume import resume
from trainers import tracking


class Way(NamedTuple):
    """How a run is spread.

    Attributes:
        strategy: `one_device`, `mirrored` or `data_parallel`.
        devices: Their names, of all processes together.
    """

    strategy: str
    devices: list[str]


class Spread(keras.distribution.DataParallel):
    """Data parallelism in which every device may also see the whole batch.

    Attributes:
        whole: Whether it does: in all but training steps, so that any number of
            examples will do, and every process knows every answer.
    """

    whole = True

    def get_data_layout(self, data_shape):
        """See `keras.distribution.DataParallel`."""
        layout = super().get_data_layout(data_shape)
        if not self.whole:
            return layout
        return keras.distribution.TensorLayout(
            [None] * len(data_shape), self.device_mesh
        )


class Feed(keras.callbacks.Callback):
    """Tells a `Spread` when batches are shared out; the first of all callbacks.

    Args:
        spread: The current one.
        shares_validation: Whether every validation batch divides.
    """

    def __init__(self, spread: Spread, shares_validation: bool):
        super().__init__()
        self._spread = spread
        self._shares_validation = shares_validation

    def on_epoch_begin(self, epoch, logs=None):
        """Training steps: to each device its share."""
        self._spread.whole = False

    def on_test_begin(self, logs=None):
        """Of validation too, if it can be."""
        self._spread.whole = not self._shares_validation

    def on_test_end(self, logs=None):
        """What other callbacks ask a network, all devices answer."""
        self._spread.whole = True


def way(run: config.Run) -> Way:
    """How a run is spread over what this process and its peers have.

    Raises:
        ConfigError: If what the config asks for is not there, or does not fit.
    """
    asked = run.hardware.strategy
    strategy, devices = _possible(asked)
    if strategy == "one_device":
        return Way(strategy, devices)
    reason = _against(run, strategy, len(devices))
    if reason is None:
        return Way(strategy, devices)
    if asked != "auto" or distributed.count() > 1:
        raise errors.ConfigError(f"{reason}. Or set `hardware.strategy: one_device`")
    progress.say(f"    one of {len(devices)} devices: {reason}")
    return Way("one_device", devices[:1])


def _possible(asked):
    backend = keras.backend.backend()
    owner = {"mirrored": "tensorflow", "data_parallel": "jax", "tpu": "jax"}.get(asked)
    if owner not in (None, backend):
        raise errors.ConfigError(
            f"`hardware.strategy: {asked}` needs KERAS_BACKEND={owner}. "
            f"Received: {backend}"
        )
    own = {"tensorflow": "mirrored", "jax": "data_parallel"}.get(backend)
    if asked == "one_device" or own is None:
        return "one_device", []
    devices = keras.distribution.list_devices()
    if asked == "tpu" and not devices[0].startswith("tpu"):
        raise errors.ConfigError(
            f"`hardware.strategy: tpu` needs a TPU. Received: {', '.join(devices)}"
        )
    if len(devices) > 1 and (asked != "auto" or _worth(devices)):
        return own, devices
    if asked in ("mirrored", "data_parallel"):
        raise errors.ConfigError(
            f"`hardware.strategy: {asked}` needs at least 2 devices. "
            f"Received: {', '.join(devices)}"
        )
    return "one_device", devices[:1]


def _worth(devices):
    """Processors are parted only where somebody did so on purpose: by processes."""
    return distributed.count() > 1 or not devices[0].startswith("cpu")


def _against(run, strategy, count):
    """Why a run cannot be spread so, or None."""
    if run.batch_size % count:
        return (
            f"`batch_size` must be a multiple of the {count} devices. "
            f"Received: {run.batch_size}"
        )
    if reason := _for_one_device(run, strategy):
        return reason
    asks = [
        part.name
        for part in _stages(run)
        if part.synthetic
        and (part.synthetic.needs_generator or part.synthetic.min_confidence)
    ]
    if asks and (strategy == "mirrored" or distributed.count() > 1):
        return (
            "`synthetic` that asks a network must be absent with more than one "
            f"process, and with `strategy: mirrored`. Received: {', '.join(asks)}"
        )
    if strategy != "mirrored":
        return None
    # Here each device sees its own examples and gradients alone.
    for reason, wrong in {
        "that compares the examples of a batch": lambda s: s.trainer.relates_examples,
        "with `clip_norm`": lambda s: s.clip_norm is not None,
        "with `discriminator_steps` above 1": lambda s: s.trainer.steps_per_update > 1,
    }.items():
        names = [stage.name for stage in _stages(run) if wrong(stage)]
        if names:
            return (
                f"`strategy: mirrored` takes no stage {reason}; KERAS_BACKEND=jax "
                f"does. Received: {', '.join(names)}"
            )
    if run.hardware.gradient_accumulation > 1:
        return (
            "`gradient_accumulation` must be 1 with `strategy: mirrored`. "
            f"Received: {run.hardware.gradient_accumulation}"
        )
    return None


def _for_one_device(run, strategy):
    """Which option is for one device alone, or None."""
    if run.teacher.cache is not None:
        return "`teacher.cache` must be absent with more than one device"
    if run.hardware.jit == "false" and strategy == "data_parallel":
        return "`hardware.jit` must be auto or true with more than one device"
    return None


def _stages(run):
    """All that trains, of every network of a run."""
    groups = [lesson.stages for lesson in lessons.lessons(run)]
    groups += [teacher.stages for teacher in (run.teacher, *run.co_teachers)]
    return [stage for group in groups for stage in group]


@contextlib.contextmanager
def engaged(run: config.Run, steps_per_epoch: int) -> Iterator[None]:
    """Inside, networks are made for, and trained on, what the run asks for.

    Args:
        run: The run.
        steps_per_epoch: Of its training.

    Raises:
        ConfigError: See `way`; or if an epoch is no whole number of executions, or
            has fewer steps than are accumulated.
    """
    at_once = run.hardware.steps_per_execution
    if steps_per_epoch % at_once:
        raise errors.ConfigError(
            f"`hardware.steps_per_execution` must divide the {steps_per_epoch} steps "
            f"of an epoch. Received: {at_once}"
        )
    together = run.hardware.gradient_accumulation
    if together > steps_per_epoch:
        raise errors.ConfigError(
            f"`hardware.gradient_accumulation` must be at most {steps_per_epoch}, the "
            f"steps of an epoch. Received: {together}"
        )
    strategy, devices = way(run)
    if strategy == "one_device":
        onednn.hint(run)
        yield
        return
    many = f", {distributed.count()} processes" if distributed.count() > 1 else ""
    progress.say(f"    {strategy} on {len(devices)} devices{many}")
    if strategy == "mirrored":
        with _mirrored(tuple(devices)).scope():
            yield
        return
    spread = Spread(devices=devices, auto_shard_dataset=False)
    with spread.scope():
        yield


@functools.cache
def _mirrored(devices):
    """One a process: TensorFlow mixes up the collectives of several."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([device.upper() for device in devices])


def current() -> Spread | None:
    """The data parallelism that networks are made for, if there is any."""
    found = keras.distribution.distribution()
    return found if isinstance(found, Spread) else None


@contextlib.contextmanager
def feeding(shared: bool) -> Iterator[None]:
    """Inside, every device sees its share of a batch, or all of it."""
    spread = current()
    if spread is None:
        yield
        return
    before, spread.whole = spread.whole, not shared
    try:
        yield
    finally:
        spread.whole = before


def in_time(source: batches.Batches) -> resume.Source | batches.Batches:
    """Batches for `fit`, that are made before it asks, and of which none is lost.

    On TensorFlow Keras reads ahead itself; on several replicas there it reads some of
    a generator, to build the model, and does not give them back: a set it reads again
    from the start. Elsewhere a thread reads ahead, unless examples are made, perhaps
    by a network: of several processes, all must ask their devices in one order.

    Args:
        source: Of the batches; on one replica anything like a `resume.Source`.
    """
    if keras.backend.backend() != "tensorflow":
        if getattr(source, "mixture", None) is not None:
            return source
        return resume.Source(
            source.steps_per_epoch, lambda step: batches.ahead(source.stream(step))
        )
    if tracking.replicas() == 1:
        return source
    import tensorflow as tf

    signature = tuple(tf.TensorSpec(a.shape, a.dtype) for a in source.batch(0))

    def stream(step):
        return tf.data.Dataset.from_generator(
            lambda: source.stream(step), output_signature=signature
        ).prefetch(2)

    return resume.Source(source.steps_per_epoch, stream)


def validation(
    split: data.Split, batch_size: int
) -> tuple[dict[str, Any], list[keras.callbacks.Callback]]:
    """What `fit` is given, so that it validates as one device would.

    Args:
        split: The examples.
        batch_size: Of all devices together.

    Returns:
        Its options, and what must be the first of its callbacks. With
        `MirroredStrategy` the last few examples that do not divide by the devices
        are left out: each device takes a mean of its own.
    """
    replicas = tracking.replicas()
    chosen = np.arange(len(split.labels))
    chosen = chosen[: len(chosen) // replicas * replicas]
    spread, size = current(), batch_size
    callbacks: list[keras.callbacks.Callback] = []
    if spread is not None:
        shares = len(chosen) % spread.num_model_replicas == 0
        callbacks = [Feed(spread, shares)]
        if shares:
            blocks = np.split(chosen, range(batch_size, len(chosen), batch_size))
            chosen = np.concatenate([b[distributed.rows(len(b))] for b in blocks])
            size = batch_size // distributed.count()
    mine = split.take(chosen)
    options = {
        "validation_data": (mine.floats(), mine.labels),
        "validation_batch_size": size,
    }
    return options, callbacks
