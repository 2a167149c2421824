"""KD by `keras.distillation`: no penalty on weights, no LIT."""

import contextlib

import keras
from keras import distillation

from distill.measure import cost
from distill.runtime import strided
from distill.studies.speed.peers import own
from distill.teach.networks import build, files
from students.keras_models.flat import flatten

METHODS = ("kd",)


class Learner:
    """A `Distiller` of flat networks: it wants one tensor out of each."""

    def __init__(self, task, stage):
        self._batch = task.batch
        built = [build.build(role, task.run) for role in files.ROLES]
        flat = []
        for role, network in zip(files.ROLES, built, strict=True):
            own.load(network, task.layers(role))
            flat.append(flatten(network, task.run.data.input_shape))
        method = stage.trainer
        # By name, as is its default, Keras 3.15 takes logits for probabilities.
        divergence = keras.losses.KLDivergence()
        losses = [distillation.LogitsDistillation(method.temperature, divergence)]
        weights = [method.kd_weight]
        # It multiplies one sum by a share and the other by what is left.
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
        optimizer.learning_rate = optimizer.learning_rate * self._scale
        self._learner.compile(
            optimizer=optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        # Held, as in `own`; else a narrow student would end the process.
        self._for_good = contextlib.ExitStack()
        if keras.backend.backend() == "tensorflow":
            layers = flat[1]._flatten_layers()
            self._for_good.enter_context(strided.unstrided(layers))

    def steps(self, count):
        """Some training steps, to the end of the last."""
        for _ in range(count):
            self._learner.train_on_batch(*self._batch)

    def loss(self) -> float:
        """One training step: its loss."""
        self._learner.reset_metrics()
        logs = self._learner.train_on_batch(*self._batch, return_dict=True)
        return float(logs["total_loss"] * self._scale)


def costs(task) -> dict:
    """Role to `parameters` and `macs`."""
    found = {}
    for role in files.ROLES:
        counted = cost.count(build.build(role, task.run))
        found[role] = {"parameters": counted.parameters, "macs": counted.macs}
    return found


def package() -> str:
    """What these steps run on."""
    return f"keras.distillation, Keras {keras.__version__}, {keras.backend.backend()}"
