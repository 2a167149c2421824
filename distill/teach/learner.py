"""Builds and compiles what trains a network in a stage: trainer and optimizer."""

from typing import Any

import keras

from distill import config
from distill.config import hardware
from distill.data import batches, beside
from trainers import trainer


def build_learner(
    run: config.Run,
    stage: config.Stage,
    source: batches.Batches | beside.Beside,
    network: keras.Model,
    teacher: keras.Model | None,
    answering: keras.Model | None = None,
    *,
    has_labels: bool = True,
) -> trainer.Trainer:
    """Builds the compiled trainer of a stage.

    Args:
        run: The run, whose `hardware` sets how it is compiled.
        stage: The stage.
        source: Its batches, whose number decides the learning rate schedule.
        network: The network to train.
        teacher: The trained teacher; None for methods without one.
        answering: What answers in its place; see `trainer.Trainer`.
        has_labels: Whether the validation examples have labels. Without, the accuracy
            is unknown, and agreement with the teacher is logged.
    """
    learner = trainer.Trainer(
        student=network,
        method=stage.trainer,
        teacher=teacher,
        answering=answering,
        watches_agreement=not has_labels,
    )
    optimizer = learner.sides(build_optimizer(stage, source.steps_per_epoch))
    learner.compile(
        **compile_options(run.hardware, optimizer),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        loss_weights=stage.task_weight,
        # Of the examples that have a label.
        weighted_metrics=["accuracy"] if has_labels else None,
    )
    return learner


def jit_compile(option: str = "auto") -> str | bool:
    """The `jit_compile` of a model of `trainers`; see `distill.config.hardware`."""
    if option != "auto":
        return option == "true"
    # JAX without its compiler runs op by op; on a CPU, TensorFlow's own kernels
    # are faster than those that XLA makes.
    return "auto" if keras.backend.backend() == "jax" else False


def compile_options(
    part: hardware.Hardware, optimizer: keras.optimizers.Optimizer
) -> dict[str, Any]:
    """The arguments of `compile` that a run's hardware options decide.

    Args:
        part: The hardware options.
        optimizer: The optimizer; it, or each of its `parts`, is set to accumulate
            the gradients of several batches.
    """
    if part.gradient_accumulation > 1:
        # Parts may share one optimizer: it must be multiplied once.
        for each in dict.fromkeys(getattr(optimizer, "parts", [optimizer])):
            # The student's part accumulates already where a discriminator has several
            # steps for each of the student's.
            steps = each.gradient_accumulation_steps or 1
            each.gradient_accumulation_steps = steps * part.gradient_accumulation
    return {
        "optimizer": optimizer,
        "steps_per_execution": part.steps_per_execution,
        "jit_compile": jit_compile(part.jit),
    }


def build_optimizer(
    stage: config.Stage, steps_per_epoch: int
) -> keras.optimizers.Optimizer:
    """A new optimizer with the stage's learning rate schedule."""
    rate = stage.learning_rate
    if stage.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            rate, stage.epochs * steps_per_epoch
        )
    elif stage.schedule == "step":
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            [epoch * steps_per_epoch for epoch in stage.decay_epochs],
            [
                rate * stage.decay_factor**power
                for power in range(len(stage.decay_epochs) + 1)
            ],
        )
    shared = {"global_clipnorm": stage.clip_norm, "name": "optimizer"}
    if stage.optimizer == "adam":
        return keras.optimizers.Adam(rate, **shared)
    return keras.optimizers.SGD(rate, momentum=stage.momentum, nesterov=True, **shared)
