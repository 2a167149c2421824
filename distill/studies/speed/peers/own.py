"""The steps of this project, as `distill.teach.stages` makes them."""

import contextlib
import itertools

import keras
import numpy as np

from distill.measure import cost
from distill.studies.speed import replay
from distill.studies.speed.peers import child
from distill.teach import learner
from distill.teach.hardware import fused, precision
from distill.teach.networks import build, files
from trainers import trainer

METHODS = ("kd", "lit")


class Learner:
    """Trains a copy of the student by one stage's method, as the run's hardware says.

    On kept answers, where the run has a `teacher.cache`; peers ask in every step.
    On JAX by `fit`, as a run does: like a run's checkpoints, it sees every step's logs.
    """

    def __init__(self, task, stage):
        run = task.run
        teacher, student = (build.build(role, run) for role in files.ROLES)
        for role, network in zip(files.ROLES, (teacher, student), strict=True):
            load(network, task.layers(role))
        self._learner = trainer.Trainer(
            student=student, teacher=teacher, method=stage.trainer
        )
        self._learner.compile(
            optimizer=sgd(stage),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            loss_weights=stage.task_weight,
            weighted_metrics=["accuracy"],
            jit_compile=learner.jit_compile(run.hardware.jit),
        )
        self._batches = itertools.repeat(task.batch)
        if run.teacher.cache is not None:
            self._batches = replay.replay_batches(run, self._learner, task.batch)
        # Held, since what nobody holds is closed at once, and undoes both.
        self._for_good = contextlib.ExitStack()
        self._for_good.enter_context(fused.for_training(self._learner))
        computing = precision.scope(self._learner, run.hardware.precision)
        self._for_good.enter_context(computing)

    def steps(self, count):
        """Some training steps, to the end of the last: what Keras logs of them."""
        if keras.backend.backend() == "jax":
            endless = (batch for batch in self._batches)
            past = self._learner.fit(
                endless,
                steps_per_epoch=count,
                callbacks=[_Watching()],
                shuffle=False,
                verbose=0,
            )
            return {name: values[-1] for name, values in past.history.items()}
        for _ in range(count):
            logs = self._learner.train_on_batch(*next(self._batches), return_dict=True)
        return logs

    def loss(self) -> float:
        """One training step: its loss, without penalties, which others do not log."""
        self._learner.reset_metrics()
        logs = self.steps(1)
        return float(logs["loss"] - logs["regularization_loss"])


class _Watching(keras.callbacks.Callback):
    """Makes Keras wait for each step, as `resume.fit` does."""

    def on_train_batch_end(self, batch, logs=None):
        """Has the logs, as numbers."""


def costs(task) -> dict:
    """Role to `parameters` and `macs`; writes the weights, too."""
    found, arrays = {}, {}
    for role in files.ROLES:
        network = build.build(role, task.run)
        # Untrained, its logits would lie as far apart as no trained teacher's do.
        trainer.recalibrate(network, [task.batch[0]])
        counted = cost.count(network)
        found[role] = {"parameters": counted.parameters, "macs": counted.macs}
        for layer in layers(network):
            for index, values in enumerate(layer.get_weights()):
                arrays[f"{role}/{layer.name}/{index}"] = values
    np.savez(task.weights, **arrays)
    return found


def package() -> str:
    """What these steps run on."""
    device = keras.distribution.list_devices()[0]
    return f"Keras {keras.__version__} on {keras.backend.backend()}, {device}"


def layers(network: keras.Model) -> list[keras.layers.Layer]:
    """Every layer that has weights of its own, nested ones too."""
    return [
        layer
        for layer in network._flatten_layers(include_self=False)
        if layer.weights and not isinstance(layer, keras.Model)
    ]


def load(network: keras.Model, weights: dict[str, list[np.ndarray]]) -> None:
    """Sets the weights of every layer, by name."""
    for layer in layers(network):
        layer.set_weights(weights[layer.name])


def sgd(stage) -> keras.optimizers.Optimizer:
    """The optimizer that all peers have."""
    return keras.optimizers.SGD(child.RATE, momentum=stage.momentum)
