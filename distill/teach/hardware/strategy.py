"""Chooses the distribution strategy of a run from its options and the devices."""

import contextlib
import functools
from collections.abc import Iterator
from typing import NamedTuple

import keras

from distill import config
from distill.config import answering, lessons
from distill.config.hardware import Hardware
from distill.runtime import errors, onednn, progress
from distill.runtime.process import distributed
from distill.teach.hardware import data_parallel


class Placement(NamedTuple):
    """The strategy and the devices of a run.

    Attributes:
        strategy: `one_device`, `mirrored` or `data_parallel`.
        devices: Names of the devices, of all processes together.
        reason: Why only one of several devices is used; None otherwise.
    """

    strategy: str
    devices: list[str]
    reason: str | None = None


def resolve(run: config.Run) -> Placement:
    """Chooses the strategy for a run on the devices of all its processes.

    Raises:
        ConfigError: If the option `hardware.strategy` needs devices that are missing,
            or does not fit the run.
    """
    option = run.hardware.strategy
    strategy, devices = _select(option)
    if strategy == "one_device":
        return Placement(strategy, devices)
    reason = _objection(run, strategy, len(devices))
    if reason is None:
        return Placement(strategy, devices)
    if option != "auto" or distributed.count() > 1:
        raise errors.ConfigError(f"{reason}. Or set `hardware.strategy: one_device`")
    return Placement(
        "one_device", devices[:1], f"one of {len(devices)} devices: {reason}"
    )


def _select(option):
    """The strategy and the devices that an option means on this backend."""
    backend = keras.backend.backend()
    owner = {"mirrored": "tensorflow", "data_parallel": "jax", "tpu": "jax"}.get(option)
    if owner not in (None, backend):
        raise errors.ConfigError(
            f"`hardware.strategy: {option}` needs KERAS_BACKEND={owner}. "
            f"Received: {backend}"
        )
    native = {"tensorflow": "mirrored", "jax": "data_parallel"}.get(backend)
    if option == "one_device" or native is None:
        return "one_device", []
    devices = keras.distribution.list_devices()
    if option == "tpu" and not devices[0].startswith("tpu"):
        raise errors.ConfigError(
            f"`hardware.strategy: tpu` needs a TPU. Received: {', '.join(devices)}"
        )
    if len(devices) > 1 and (option != "auto" or _is_worthwhile(devices)):
        return native, devices
    if option in ("mirrored", "data_parallel"):
        raise errors.ConfigError(
            f"`hardware.strategy: {option}` needs at least 2 devices. "
            f"Received: {', '.join(devices)}"
        )
    return "one_device", devices[:1]


def _is_worthwhile(devices):
    """Whether `auto` uses several devices.

    Several CPU devices of one process share the same cores. They help only across
    processes, which a user starts on purpose.
    """
    return distributed.count() > 1 or not devices[0].startswith("cpu")


def _objection(run, strategy, count):
    """The reason why a run cannot use a strategy, or None."""
    if run.batch_size % count:
        return (
            f"`batch_size` must be a multiple of the {count} devices. "
            f"Received: {run.batch_size}"
        )
    if reason := _one_device_option(run, strategy):
        return reason
    names = [
        part.name
        for part in _stages(run)
        if part.synthetic
        and (part.synthetic.needs_generator or part.synthetic.min_confidence)
    ]
    if names and (strategy == "mirrored" or distributed.count() > 1):
        return (
            "`synthetic` that runs a network must be absent with more than one "
            f"process, and with `strategy: mirrored`. Received: {', '.join(names)}"
        )
    if strategy != "mirrored":
        return None
    # With `MirroredStrategy`, each device sees only its own examples and gradients.
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


def _one_device_option(run, strategy):
    """What an option that needs one device must be instead, or None."""
    if run.teacher.cache is not None:
        return "`teacher.cache` must be absent with more than one device"
    if form := answering.form_of(run.teacher):
        return f"`teacher.{form}` must be a network with more than one device"
    if run.hardware.jit == "false" and strategy == "data_parallel":
        return "`hardware.jit` must be auto or true with more than one device"
    return None


def _stages(run):
    """The stages of every network of a run."""
    groups = [lesson.stages for lesson in lessons.lessons(run)]
    groups += [teacher.stages for teacher in (run.teacher, *run.co_teachers)]
    return [stage for group in groups for stage in group]


def check_steps(hardware: Hardware, steps_per_epoch: int) -> None:
    """Refuses options that do not fit the length of an epoch.

    Args:
        hardware: The run's options.
        steps_per_epoch: Number of training steps in an epoch.

    Raises:
        ConfigError: If the steps do not divide by `steps_per_execution`, or are fewer
            than `gradient_accumulation`.
    """
    per_execution = hardware.steps_per_execution
    if steps_per_epoch % per_execution:
        raise errors.ConfigError(
            f"`hardware.steps_per_execution` must divide the {steps_per_epoch} steps "
            f"of an epoch. Received: {per_execution}"
        )
    accumulated = hardware.gradient_accumulation
    if accumulated > steps_per_epoch:
        raise errors.ConfigError(
            f"`hardware.gradient_accumulation` must be at most {steps_per_epoch}, the "
            f"steps of an epoch. Received: {accumulated}"
        )


@contextlib.contextmanager
def scope(placement: Placement, hardware: Hardware) -> Iterator[None]:
    """A context in which networks are built for, and trained on, a run's devices.

    Args:
        placement: The strategy and the devices, from `resolve`.
        hardware: The run's options.
    """
    strategy, devices, reason = placement
    if reason is not None:
        progress.say(f"    {reason}")
    if strategy == "one_device":
        onednn.hint(hardware.onednn)
        yield
        return
    many = f", {distributed.count()} processes" if distributed.count() > 1 else ""
    progress.say(f"    {strategy} on {len(devices)} devices{many}")
    if strategy == "mirrored":
        with _mirrored(tuple(devices)).scope():
            yield
        return
    spread = data_parallel.Spread(devices=devices, auto_shard_dataset=False)
    with spread.scope():
        yield


@functools.cache
def _mirrored(devices):
    """The process's only `MirroredStrategy`: collectives of several get mixed up."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([device.upper() for device in devices])
