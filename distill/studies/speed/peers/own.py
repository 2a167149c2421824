"""The training steps of this project, as in `distill.teach.stages`."""

import contextlib
import itertools

import keras
import numpy as np

from distill.measure import cost, folded
from distill.studies.speed import replay
from distill.studies.speed.peers import child
from distill.teach import learner
from distill.teach.hardware import training
from distill.teach.networks import build, files
from trainers import trainer

METHODS = ("kd", "lit")


class Learner:
    """Trains a copy of the student by one stage's method, with the run's hardware.

    If the run has a `teacher.cache`, it trains on cached answers. On JAX it trains by
    `fit`, as a run does, and reads the logs of every step, as a run's checkpoints do.
    """

    def __init__(self, task, stage):
        run = task.run
        teacher, student = (build.build(role, run) for role in files.ROLES)
        for role, network in zip(files.ROLES, (teacher, student), strict=True):
            load(network, task.layers(role))
        self._learner = trainer.Trainer(
            student=student,
            teacher=teacher,
            method=stage.trainer,
            answering=folded.answering(teacher, task.batch[0]),
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
        # Kept as an attribute: a generator's context manager that is garbage collected
        # would end its context.
        self._for_good = contextlib.ExitStack()
        computing = training.scope(self._learner, run.hardware.precision)
        self._for_good.enter_context(computing)

    def steps(self, count):
        """Trains some steps, waits for the last, and returns what Keras logs."""
        if keras.backend.backend() == "jax":
            endless = (batch for batch in self._batches)
            past = self._learner.fit(
                endless,
                steps_per_epoch=count,
                callbacks=[_StepReader()],
                shuffle=False,
                verbose=0,
            )
            return {name: values[-1] for name, values in past.history.items()}
        for _ in range(count):
            logs = self._learner.train_on_batch(*next(self._batches), return_dict=True)
        return logs

    def loss(self) -> float:
        """Trains one step; returns its loss without penalties, as the peers do."""
        self._learner.reset_metrics()
        logs = self.steps(1)
        return float(logs["loss"] - logs["regularization_loss"])


class _StepReader(keras.callbacks.Callback):
    """Makes Keras wait for each step, as `resume.fit` does."""

    def on_train_batch_end(self, batch, logs=None):
        """Does nothing: Keras converts the logs to numbers for any such callback."""


def costs(task) -> dict:
    """`parameters` and `macs` of each role's network; also writes the weights."""
    result, arrays = {}, {}
    for role in files.ROLES:
        network = build.build(role, task.run)
        # The logits of an untrained network would be larger than any trained one's.
        trainer.recalibrate(network, [task.batch[0]])
        counted = cost.count(network)
        result[role] = {"parameters": counted.parameters, "macs": counted.macs}
        for layer in layers(network):
            for index, values in enumerate(layer.get_weights()):
                arrays[f"{role}/{layer.name}/{index}"] = values
    np.savez(task.weights, **arrays)
    return result


def product(values, precision):
    """A function that multiplies a matrix by itself, and waits for the product."""
    matrix = keras.ops.convert_to_tensor(values, precision)
    return lambda: float(keras.ops.matmul(matrix, matrix)[0, 0])


def package(task) -> str:
    """Library, version and device of these steps."""
    device = keras.distribution.list_devices()[0]
    name = f"Keras {keras.__version__} on {keras.backend.backend()}, {device}"
    return name if task.run.teacher.cache is None else f"{name}, on kept answers"


def layers(network: keras.Model) -> list[keras.layers.Layer]:
    """Every layer with weights of its own, including nested ones."""
    return [
        layer
        for layer in network._flatten_layers(include_self=False)
        if layer.weights and not isinstance(layer, keras.Model)
    ]


def load(network: keras.Model, weights: dict[str, list[np.ndarray]]) -> None:
    """Sets the weights of every layer by its name."""
    for layer in layers(network):
        layer.set_weights(weights[layer.name])


def sgd(stage) -> keras.optimizers.Optimizer:
    """The optimizer that all peers use."""
    return keras.optimizers.SGD(child.RATE, momentum=stage.momentum)
