"""What trains a network in a stage: its method, compiled as the run's hardware says."""

from typing import Any

import keras

from distill import config
from distill.config import hardware
from distill.data import batches
from trainers import trainer


def build_learner(
    run: config.Run,
    stage: config.Stage,
    source: batches.Batches,
    network: keras.Model,
    teacher: keras.Model | None,
) -> trainer.Trainer:
    """What trains a network in a stage, compiled; see `train`."""
    learner = trainer.Trainer(student=network, method=stage.trainer, teacher=teacher)
    optimizer = learner.sides(build_optimizer(stage, source.steps_per_epoch))
    learner.compile(
        **compile_options(run.hardware, optimizer),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        loss_weights=stage.task_weight,
        weighted_metrics=["accuracy"],  # Of the examples that have a label.
    )
    return learner


def jit_compile(wanted: str = "auto") -> str | bool:
    """What to compile a model of `trainers` with; see `distill.config.hardware`."""
    if wanted != "auto":
        return wanted == "true"
    # JAX without its compiler runs op by op; on a CPU, TensorFlow's own kernels
    # are faster than those that XLA makes.
    return "auto" if keras.backend.backend() == "jax" else False


def compile_options(
    part: hardware.Hardware, optimizer: keras.optimizers.Optimizer
) -> dict[str, Any]:
    """What `compile` is told of a run's hardware.

    Args:
        part: Of the run.
        optimizer: All sides of it get to accumulate as many batches.
    """
    if part.gradient_accumulation > 1:
        for side in dict.fromkeys(getattr(optimizer, "parts", [optimizer])):
            own = side.gradient_accumulation_steps or 1
            side.gradient_accumulation_steps = own * part.gradient_accumulation
    return {
        "optimizer": optimizer,
        "steps_per_execution": part.steps_per_execution,
        "jit_compile": jit_compile(part.jit),
    }


def build_optimizer(
    stage: config.Stage, steps_per_epoch: int
) -> keras.optimizers.Optimizer:
    """A new optimizer, whose rate falls as the stage's `schedule` says."""
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
