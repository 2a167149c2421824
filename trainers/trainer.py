"""The one `keras.Model` that trains: it owns the networks and asks the method."""

import keras
from keras import ops

from trainers import plain
from trainers.methods import representations
from trainers.methods.supervised import Step, Supervised
from trainers.optimizer import Sides
from trainers.tracking import Tracked, replicas, total


class Trainer(Tracked):
    """Trains `student` with `method`, with a frozen `teacher` if the method needs one.

    Minimises the compiled loss on the labels (scaled by `compile`'s
    `loss_weights`), the student's regularisers, and the terms of the method,
    which may train companions beside the student: see `sides`.
    Only `compute_loss` is overridden, so that Keras owns the loop on every
    backend. The teacher runs in inference mode on the same batch, unless its outputs
    come with the batch: see `with_answers`.

    Labels are classes, `(batch,)` or `(batch, 1)`, or one-hot, `(batch, classes)`; the
    compiled loss and metrics get the latter as they are. A negative label, or a row
    of zeros, marks an unlabelled example. It counts neither in the loss on the
    labels nor in weighted metrics, and the method gets the class that the teacher
    predicts instead, if it needs the teacher's logits.

    Args:
        student: A network under the contract of `students`, or any functional or
            sequential model to logits, which is enough for methods that compare
            only these. Trained in place.
        method: An entry of `trainers.TRAINERS`.
        teacher: A trained network with the same inputs. Frozen here.
        answering: What answers in the teacher's place in every step, with its inputs
            and outputs, and frozen too. None means the teacher itself.
        watches_agreement: Whether to log it, if the method compares logits.

    Raises:
        ValueError: If the method needs a teacher and there is none, the two networks do
            not fit the method, or one of them is no such model.
    """

    def __init__(
        self,
        *,
        student: keras.Model,
        method: Supervised,
        teacher: keras.Model | None = None,
        answering: keras.Model | None = None,
        watches_agreement: bool = False,
    ):
        super().__init__()
        student, teacher = plain.to_logits(student), plain.to_logits(teacher)
        thaw(student)
        self.student = student
        self.method = method
        answering = teacher if answering is None else plain.to_logits(answering)
        self.teacher = answering if method.needs_teacher else None
        self.companions = {}
        named = ["task_loss", "regularization_loss"]
        if watches_agreement and method.end_to_end and method.needs_logits:
            named.append(plain.AGREEMENT)
        for name in named:
            self.track(name, 0.0)
        if method.needs_teacher:
            if teacher is None:
                raise ValueError(
                    f"`{type(method).__name__}` learns from a teacher. Received: None"
                )
            teacher.trainable = answering.trainable = False
            # In a run it is checked before; else a method without a representation to
            # compare would learn nothing from it.
            pair = representations.features(teacher), representations.shapes(student)
            method.check_shapes(*pair)
            method.prepare(teacher, student)
            self.companions = method.companions(teacher, student)
            self.draws = keras.random.SeedGenerator()
            # One pass on a blank input. Networks that do not fit the method fail
            # here, and all metrics exist before Keras builds this model.
            blank = ops.zeros((1, *student.input_shape[1:]), student.inputs[0].dtype)
            label = ops.zeros((1,), "int32")
            # Zeros of their shapes: a teacher that only answers cannot be run.
            taught = {
                name: ops.zeros((1, *output.shape[1:]))
                for name, output in answering.output.items()
            }
            pair = taught, _to_float32(student(blank))
            step = Step(blank, label, *pair, False)
            for name, per_example in method.terms(self, step).items():
                self.track(name, per_example)
        for tracker in self.trackers.values():
            tracker.reset_state()

    def sides(
        self, optimizer: keras.optimizers.Optimizer
    ) -> keras.optimizers.Optimizer:
        """Returns the optimizer to compile with: the student's and the companions'.

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
        """All variables that training may change: all but the teacher's."""
        frozen = self.teacher.variables if self.teacher is not None else []
        frozen_ids = {id(variable) for variable in frozen}
        return [v for v in self.variables if id(v) not in frozen_ids]

    @property
    def metrics(self):
        """Keras' metrics that are built."""
        # Keras builds the compiled metrics when it first sees logits; a method that
        # trains without logits meets them unbuilt, and an unbuilt one has no result.
        return [m for m in super().metrics if getattr(m, "built", True)]

    @property
    def losses(self):
        """The student's regularisers, without those of teacher and companions."""
        # On JAX, the stateless call of Keras stores the losses of the pass here.
        return self._losses_override or self.student.losses

    def call(self, x, training=None):
        """The student's outputs: a dict with `"logits"` and representations.

        Empty in training where the method is not `end_to_end`.
        """
        if training and not self.method.end_to_end:
            return {}
        return self.student(_split_inputs(x)[0], training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss of one batch: task, regularisers and the method's terms."""
        x, taught = _split_inputs(x)
        count, task_weight = ops.shape(x)[0], sample_weight
        if self.teacher is not None:
            if taught is None:
                taught = self.teacher(x, training=False)
            taught = _to_float32(taught)
            task_weight = _weigh_labelled(y, sample_weight)
            # Replaced only after the weights: a predicted class is no true label.
            labels = plain.fill_in(plain.classes(y), taught)
            y = y if plain.are_one_hot(y) else labels
        loss = None
        if y_pred:
            loss = super().compute_loss(x, y, y_pred["logits"], task_weight, training)
            # Keras has divided this loss by the number of replicas already. The sum
            # of all terms is divided once, at the end.
            loss *= replicas()
        penalty = total(self.losses)
        if loss is None:
            loss = penalty
        else:
            # Keras has added the regularisers (`self.losses`) to its loss.
            self.track("task_loss", loss - penalty, count)
        self.track("regularization_loss", penalty, count)
        if taught is None:
            return loss / replicas()
        plain.watch_agreement(self, y_pred, taught)
        step = Step(x, labels, taught, _to_float32(y_pred), training)
        terms = _to_float32(self.method.terms(self, step))
        if sample_weight is not None:
            weights = ops.cast(sample_weight, "float32")
            terms = {name: term * weights for name, term in terms.items()}
        return total([loss, self.track_terms(terms, count)]) / replicas()

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The compiled metrics of the logits; without logits, the terms alone."""
        if not y_pred:
            # There is no loss on labels in such a step, so its mean would be a 0.
            shown = {"loss", *self.trackers} - {"task_loss"}
            return {m.name: m.result() for m in self.metrics if m.name in shown}
        if self.teacher is not None:
            sample_weight = _weigh_labelled(y, sample_weight)
        return super().compute_metrics(x, y, y_pred["logits"], sample_weight)


def with_answers(inputs, taught):
    """Joins inputs and the teacher's stored outputs, so that the teacher is not run.

    Args:
        inputs: The student's inputs, `(batch, ...)`.
        taught: Name of each output of the teacher that the method asks for to its
            values for these inputs, `(batch, ...)`.
    """
    return {"inputs": inputs, "taught": taught}


def _split_inputs(x):
    """Splits a batch into the student's inputs and the teacher's outputs or None."""
    return (x["inputs"], x["taught"]) if isinstance(x, dict) else (x, None)


def _weigh_labelled(labels, sample_weight):
    """Weights of examples where a true label is needed: 0 for unlabelled ones."""
    known = ops.cast(plain.classes(labels) >= 0, "float32")
    return known if sample_weight is None else known * sample_weight


def _to_float32(outputs):
    """Casts outputs to float32."""
    # A loss subtracts outputs that are nearly equal. In half precision, most of such
    # a difference would be rounding error.
    return {name: ops.cast(value, "float32") for name, value in outputs.items()}


def thaw(network: keras.Model) -> None:
    """Makes every layer of a network trainable again, at every depth."""
    # Not `True` alone: TensorFlow ignores an attribute set to the value that it
    # has, and the layers below would stay frozen.
    network.trainable = False
    network.trainable = True


def recalibrate(network: keras.Model, batches) -> None:
    """Measures BatchNormalization's statistics again; weights stay as they are.

    Each moving mean and variance becomes the plain average over the batches.
    Earlier values do not count.

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
        # Momentum i / (i + 1) turns the moving average into the mean of i + 1
        # batches. The first momentum is 0, which discards the earlier statistics.
        for layer in norms:
            layer.momentum = index / (index + 1)
        network(batch, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
