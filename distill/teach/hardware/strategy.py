"""Which strategy a run is spread by, over the devices that are there."""

import contextlib
import functools
from collections.abc import Iterator
from typing import NamedTuple

import keras

from distill import config
from distill.config import lessons
from distill.config.hardware import Hardware
from distill.runtime import errors, onednn, progress
from distill.runtime.process import distributed
from distill.teach.hardware import data_parallel


class Placement(NamedTuple):
    """How a run is spread.

    Attributes:
        strategy: `one_device`, `mirrored` or `data_parallel`.
        devices: Their names, of all processes together.
        reason: Why there is but one, where there could be more.
    """

    strategy: str
    devices: list[str]
    reason: str | None = None


def resolve(run: config.Run) -> Placement:
    """How a run is spread over what this process and its peers have.

    Raises:
        ConfigError: If what the config asks for is not there, or does not fit.
    """
    asked = run.hardware.strategy
    strategy, devices = _available(asked)
    if strategy == "one_device":
        return Placement(strategy, devices)
    reason = _objection(run, strategy, len(devices))
    if reason is None:
        return Placement(strategy, devices)
    if asked != "auto" or distributed.count() > 1:
        raise errors.ConfigError(f"{reason}. Or set `hardware.strategy: one_device`")
    return Placement(
        "one_device", devices[:1], f"one of {len(devices)} devices: {reason}"
    )


def _available(asked):
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


def _objection(run, strategy, count):
    """Why a run cannot be spread so, or None."""
    if run.batch_size % count:
        return (
            f"`batch_size` must be a multiple of the {count} devices. "
            f"Received: {run.batch_size}"
        )
    if reason := _one_device_option(run, strategy):
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


def _one_device_option(run, strategy):
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


def check_steps(hardware: Hardware, steps_per_epoch: int) -> None:
    """Refuses options that do not fit the length of an epoch.

    Args:
        hardware: The run's options.
        steps_per_epoch: Of its training.

    Raises:
        ConfigError: If an epoch is no whole number of executions, or has fewer
            steps than are accumulated.
    """
    at_once = hardware.steps_per_execution
    if steps_per_epoch % at_once:
        raise errors.ConfigError(
            f"`hardware.steps_per_execution` must divide the {steps_per_epoch} steps "
            f"of an epoch. Received: {at_once}"
        )
    together = hardware.gradient_accumulation
    if together > steps_per_epoch:
        raise errors.ConfigError(
            f"`hardware.gradient_accumulation` must be at most {steps_per_epoch}, the "
            f"steps of an epoch. Received: {together}"
        )


@contextlib.contextmanager
def scope(placement: Placement, hardware: Hardware) -> Iterator[None]:
    """Inside, networks are made for, and trained on, what the run asks for.

    Args:
        placement: See `resolve`.
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
    """One a process: TensorFlow mixes up the collectives of several."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([device.upper() for device in devices])
