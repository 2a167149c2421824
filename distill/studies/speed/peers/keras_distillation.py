"""KD with `keras.distillation`, which has no penalty on weights, and no LIT."""

import contextlib

import keras
from keras import distillation

from distill.measure import cost
from distill.runtime import strided
from distill.studies.speed.peers import own
from distill.teach.hardware import precision
from distill.teach.networks import build, files
from students.keras_models.flat import flatten

METHODS = ("kd",)
product = own.product


class Learner:
    """A `Distiller` of flattened networks, since each must have one output tensor."""

    def __init__(self, task, stage):
        self._batch = task.batch
        built = [build.build(role, task.run) for role in files.ROLES]
        flat = []
        for role, network in zip(files.ROLES, built, strict=True):
            own.load(network, task.layers(role))
            flat.append(flatten(network, task.run.data.input_shape))
        method = stage.trainer
        # By name, which is the default, Keras 3.15 treats logits as probabilities.
        divergence = keras.losses.KLDivergence()
        losses = [distillation.LogitsDistillation(method.temperature, divergence)]
        weights = [method.kd_weight]
        # `Distiller` weighs the task loss by a share and the other losses by the rest:
        # its loss is this project's, divided by `_scale`.
        share = stage.task_weight / (1 + stage.task_weight)
        self._scale = 1 + stage.task_weight
        self._learner = distillation.Distiller(
            teacher=flat[0],
            student=flat[1],
            distillation_losses=losses,
            distillation_loss_weights=weights,
            student_loss_weight=share,
        )
        optimizer = own.sgd(stage)
        # A loss divided by `_scale` and a rate multiplied by it: the same step.
        optimizer.learning_rate = optimizer.learning_rate * self._scale
        self._learner.compile(
            optimizer=optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        # Kept, as in `own`. Without it, strided convolutions of few channels crash.
        self._for_good = contextlib.ExitStack()
        if keras.backend.backend() == "tensorflow":
            layers = flat[1]._flatten_layers()
            self._for_good.enter_context(strided.unstrided(layers))
        computing = precision.scope(self._learner, task.run.hardware.precision)
        self._for_good.enter_context(computing)

    def steps(self, count):
        """Trains some steps and waits for the last."""
        for _ in range(count):
            self._learner.train_on_batch(*self._batch)

    def loss(self) -> float:
        """Trains one step; returns its loss."""
        self._learner.reset_metrics()
        logs = self._learner.train_on_batch(*self._batch, return_dict=True)
        return float(logs["total_loss"] * self._scale)


def costs(task) -> dict:
    """`parameters` and `macs` of each role's network."""
    result = {}
    for role in files.ROLES:
        counted = cost.count(build.build(role, task.run))
        result[role] = {"parameters": counted.parameters, "macs": counted.macs}
    return result


def package(task) -> str:
    """Library, version and backend of these steps."""
    del task  # The same for all.
    return f"keras.distillation, Keras {keras.__version__}, {keras.backend.backend()}"
