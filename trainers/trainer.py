"""The one `keras.Model` that trains: it owns the networks and asks the method."""

import keras
from keras import ops

from trainers.methods.supervised import Step, Supervised
from trainers.optimizer import Sides
from trainers.tracking import Tracked, replicas


class Trainer(Tracked):
    """Trains `student` with `method`, beside a frozen `teacher` if it needs one.

    Minimises the compiled loss on the labels (scaled by `compile`'s
    `loss_weights`), the student's regularisers, and the terms of the method,
    which may train companions beside the student: see `sides`.
    Only `compute_loss` is overridden, so that Keras owns the loop on every
    backend. The teacher answers in inference mode, on the very same batch, unless its
    answers come with the batch: see `with_answers`.

    A negative label means that an example has none: it counts neither in the loss
    on the labels nor in weighted metrics, and a method is told the teacher's class.

    Args:
        student: A network under the contract of `students`. Use it afterwards.
        method: An entry of `trainers.TRAINERS`.
        teacher: A trained network with the same inputs. Frozen here.

    Raises:
        ValueError: If the method needs a teacher and there is none, or the two
            networks do not fit the method.
    """

    def __init__(
        self,
        *,
        student: keras.Model,
        method: Supervised,
        teacher: keras.Model | None = None,
    ):
        super().__init__()
        thaw(student)
        self.student = student
        self.method = method
        self.teacher = teacher if method.needs_teacher else None
        self.companions = {}
        for name in ("task_loss", "regularization_loss"):
            self.track(name, 0.0)
        if method.needs_teacher:
            if teacher is None:
                raise ValueError(
                    f"`{type(method).__name__}` learns from a teacher. Received: None"
                )
            teacher.trainable = False
            method.prepare(teacher, student)
            self.companions = method.companions(teacher, student)
            self.draws = keras.random.SeedGenerator()
            # Asked once on a blank input: a pair that does not fit fails here.
            blank = ops.zeros((1, *student.input_shape[1:]), student.inputs[0].dtype)
            label = ops.zeros((1,), "int32")
            pair = _whole(teacher(blank)), _whole(student(blank))
            step = Step(blank, label, *pair, False)
            for name, per_example in method.terms(self, step).items():
                self.track(name, per_example)
        for tracker in self.trackers.values():
            tracker.reset_state()

    def sides(
        self, optimizer: keras.optimizers.Optimizer
    ) -> keras.optimizers.Optimizer:
        """What to compile with: the student's optimizer, and those of the companions.

        Args:
            optimizer: The student's.
        """
        if self.method.steps_per_update > 1:
            optimizer.gradient_accumulation_steps = self.method.steps_per_update
        others = self.method.optimizers(self.companions)
        if not others:
            return optimizer
        owned = {name: self.companions[name].trainable_variables for name in others}
        return Sides(optimizer, others, owned)

    @property
    def moving_variables(self) -> list[keras.Variable]:
        """All that training may change: everything but the teacher's variables."""
        still = self.teacher.variables if self.teacher is not None else []
        known = {id(variable) for variable in still}
        return [variable for variable in self.variables if id(variable) not in known]

    @property
    def metrics(self):
        """Those of Keras that exist: the first logits build what is compiled."""
        return [m for m in super().metrics if getattr(m, "built", True)]

    @property
    def losses(self):
        """The student's regularisers; those of teacher and companions are not its."""
        # On JAX, Keras puts there what they were in the student's pass.
        return self._losses_override or self.student.losses

    def call(self, x, training=None):
        """The student's outputs: a dict with `"logits"` and representations.

        Empty in the training of a method that does without them.
        """
        if training and not self.method.end_to_end:
            return {}
        return self.student(_apart(x)[0], training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss of one batch: task, regularisers and the method's terms."""
        x, taught = _apart(x)
        task_weight = sample_weight
        if self.teacher is not None:
            if taught is None:
                taught = self.teacher(x, training=False)
            taught = _whole(taught)
            task_weight = _labelled(y, sample_weight)
            y = ops.where(y < 0, ops.argmax(taught["logits"], axis=-1), y)
        loss = None
        if y_pred:
            loss = super().compute_loss(x, y, y_pred["logits"], task_weight, training)
            loss *= replicas()  # Of which Keras has made a share.
        penalty = sum(self.losses, start=ops.zeros(()))
        if loss is None:
            loss = penalty
        else:
            self.track("task_loss", loss - penalty)
        self.track("regularization_loss", penalty)
        if taught is None:
            return loss / replicas()
        step = Step(x, y, taught, _whole(y_pred), training)
        for name, per_example in _whole(self.method.terms(self, step)).items():
            if sample_weight is not None:
                per_example *= ops.cast(sample_weight, "float32")
            term = ops.mean(per_example)
            self.track(name, term)
            loss += term
        return loss / replicas()

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The compiled metrics, of the logits; without any, the terms alone."""
        if not y_pred:
            shown = {"loss", *self.trackers} - {"task_loss"}
            return {m.name: m.result() for m in self.metrics if m.name in shown}
        if self.teacher is not None:
            sample_weight = _labelled(y, sample_weight)
        return super().compute_metrics(x, y, y_pred["logits"], sample_weight)


def with_answers(inputs, taught):
    """What a `Trainer` is given as inputs where the teacher need not be run.

    Args:
        inputs: The student's, `(batch, ...)`.
        taught: Name of each output of the teacher that the method asks for to what
            it said of them, `(batch, ...)`.
    """
    return {"inputs": inputs, "taught": taught}


def _apart(x):
    """The student's inputs, and the teacher's answers or None."""
    return (x["inputs"], x["taught"]) if isinstance(x, dict) else (x, None)


def _labelled(labels, sample_weight):
    """Weights of examples in what needs a true label: 0 where it is negative."""
    known = ops.cast(labels >= 0, "float32")
    return known if sample_weight is None else known * sample_weight


def _whole(outputs):
    """Outputs as float32: differences of half-precision numbers are mostly rounding."""
    return {name: ops.cast(value, "float32") for name, value in outputs.items()}


def thaw(network: keras.Model) -> None:
    """Makes every layer of a network trainable again, at every depth."""
    # Not `True` alone: TensorFlow ignores an attribute set to the value that it
    # has, and the layers below would stay frozen.
    network.trainable = False
    network.trainable = True


def recalibrate(network: keras.Model, batches) -> None:
    """Measures BatchNormalization's statistics anew; weights stay as they are.

    Each moving mean and variance becomes the plain average over the batches,
    whatever inputs had moved it before.

    Args:
        network: Any built model.
        batches: Inputs, each shaped as the network's; at least one.
    """
    norms = [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    momenta = [layer.momentum for layer in norms]
    for index, batch in enumerate(batches):
        for layer in norms:
            layer.momentum = index / (index + 1)
        network(batch, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
