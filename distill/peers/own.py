"""The steps of this project, as `distill.stages` makes them."""

import contextlib

import keras
import numpy as np

from distill import cost, fused, networks, stages
from trainers import trainer

METHODS = ("kd", "lit")


class Learner:
    """Trains a copy of the student by one stage's method; norms are fused for good."""

    def __init__(self, task, stage):
        run = task.run
        self._batch = task.batch
        teacher, student = (networks.build(role, run) for role in networks.ROLES)
        for role, network in zip(networks.ROLES, (teacher, student), strict=True):
            load(network, task.layers(role))
        self._learner = trainer.Trainer(
            student=student, teacher=teacher, method=stage.trainer
        )
        self._learner.compile(
            optimizer=sgd(stage),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            loss_weights=stage.task_weight,
            weighted_metrics=["accuracy"],
            jit_compile=stages.jit_compile(),
        )
        contextlib.ExitStack().enter_context(fused.batch_normalization(self._learner))

    def step(self):
        """One training step."""
        self._learner.train_on_batch(*self._batch)

    def loss(self) -> float:
        """One training step: its loss, without penalties, which others do not log."""
        self._learner.reset_metrics()
        logs = self._learner.train_on_batch(*self._batch, return_dict=True)
        return float(logs["loss"] - logs["regularization_loss"])


def costs(task) -> dict:
    """Role to `parameters` and `macs`; writes the weights, too."""
    found, arrays = {}, {}
    for role in networks.ROLES:
        network = networks.build(role, task.run)
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
    return f"Keras {keras.__version__} on {keras.backend.backend()}"


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
    from distill.peers import child

    return keras.optimizers.SGD(child.RATE, momentum=stage.momentum)
