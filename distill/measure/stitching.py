"""Stitched networks: the first sections of one network and the rest of the other.

Where their accuracy falls from one section to the next, the student's section is weak.
"""

import keras
import numpy as np

import trainers
from distill import data
from distill.data import batches
from distill.measure import accuracy
from trainers import tracking
from trainers.methods import representations

MOST = 1000  # Most examples of the validation split that are used after each epoch.
BATCH = 256


def stitch(teacher: keras.Model, student: keras.Model) -> keras.Model | None:
    """Stitches two networks in both orders, at each section with equal shapes.

    No layer is added between the halves, not even the projector of a training.
    Weights are shared with the two networks, whose first sections run only once.

    Args:
        teacher: A network under the contract of `students`.
        student: Another with the same inputs.

    Returns:
        A model from the inputs to a dict of logits: `teacher_to_section1` is the
        teacher up to and including its section 1, then the rest of the student;
        `student_to_section1` is the reverse. None if no section has equal shapes.
    """
    names = shared_sections(teacher, student)
    if not names:
        return None
    own = student.inputs[0]
    inputs = keras.Input(own.shape[1:], dtype=own.dtype, name="stitched_inputs")
    pair = {"teacher": teacher, "student": student}
    fronts = {}
    for role, network in pair.items():
        outputs = {name: network.output[name] for name in names}
        front = keras.Model(network.inputs[0], outputs, name=f"{role}_front")
        fronts[role] = front(inputs, training=False)
    logits = {}
    for name in names:
        for first, second in (("teacher", "student"), ("student", "teacher")):
            outputs, label = pair[second].output, f"{first}_to_{name}"
            # Keras cuts the second network at this section, and shares its layers.
            rest = keras.Model(outputs[name], outputs["logits"], name=label)
            logits[label] = rest(fronts[first][name], training=False)
    return keras.Model(inputs, logits, name="stitched")


def shared_sections(teacher: keras.Model, student: keras.Model) -> list[str]:
    """The sections at which the two networks can be stitched, in order."""
    teachers, own = representations.shapes(teacher), representations.shapes(student)
    names = representations.section_names(own)
    return [name for name in names if teachers.get(name) == own[name]]


def accuracies(model: keras.Model, split: data.Split) -> dict[str, float]:
    """Accuracy of each stitched network, in [0, 1].

    Args:
        model: The result of `stitch`.
        split: The examples.
    """
    return _accuracies(model, split.floats(), split.labels)


def _accuracies(model, examples, labels):
    """As `accuracies`; `examples` may be a data set, whose batches have their size."""
    predictions = model.predict(examples, batch_size=BATCH, verbose=0)
    return {
        name: float(np.mean(accuracy.classes(logits) == labels))
        for name, logits in predictions.items()
    }


def record(
    teacher: keras.Model, student: keras.Model, split: data.Split
) -> list[dict[str, str | float]]:
    """The entries of `report.json`, one for each section in order, in percent.

    Args:
        teacher: The trained teacher.
        student: The trained student.
        split: The examples.
    """
    model = stitch(teacher, student)
    shares = {} if model is None else accuracies(model, split)
    return [
        {
            "section": name,
            "teacher_first": 100 * shares[f"teacher_to_{name}"],
            "student_first": 100 * shares[f"student_to_{name}"],
        }
        for name in shared_sections(teacher, student)
    ]


class Watch(keras.callbacks.Callback):
    """Adds to `logs`, after each epoch, `stitched/<half>_to_<section>`, in [0, 1].

    Args:
        learner: A `Trainer` that learns from a teacher with sections of equal shapes.
        split: The split, of which at most `MOST` examples are used, stratified.
        seed: Seed of that sample.
    """

    def __init__(self, learner, split: data.Split, seed: int):
        super().__init__()
        self._stitched = stitch(learner.teacher, learner.student)
        sample = split.sample(MOST, seed)
        self._labels, self._examples = sample.labels, sample.floats()
        if keras.backend.backend() == "tensorflow" and tracking.replicas() == 1:
            self._examples = batches.in_order(self._examples, self._labels, BATCH)

    def on_epoch_end(self, epoch, logs=None):
        """Adds the accuracies to `logs`, which later callbacks read too."""
        # On JAX, Keras trains copies of the weights, which are synchronized here.
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        found = _accuracies(self._stitched, self._examples, self._labels)
        logs |= {f"stitched/{name}": value for name, value in found.items()}


def callbacks(learner, split: data.Split, seed: int) -> list[keras.callbacks.Callback]:
    """The callbacks of a stage that trains sections with LIT; see `Watch`."""
    if not (isinstance(learner.method, trainers.LIT) and split.has_labels):
        return []
    shared = shared_sections(learner.teacher, learner.student)
    return [Watch(learner, split, seed)] if shared else []
