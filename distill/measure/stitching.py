"""Networks of two halves: what the student makes of the teacher's front, and back.

Where the accuracy falls from one section to the next, the student loses.
"""

import keras
import numpy as np

import trainers
from distill import data
from distill.measure import accuracy
from trainers.methods import representations

MOST = 1000  # Examples of the validation split that are asked after each epoch.
BATCH = 256


def stitch(teacher: keras.Model, student: keras.Model) -> keras.Model | None:
    """Both orders, at each section that has equal shapes in both networks.

    Nothing stands between the halves: no projector of a training step. Weights are
    shared with the two networks, whose fronts are run once for all.

    Args:
        teacher: A network under the contract of `students`.
        student: Another with the same inputs.

    Returns:
        A model from the inputs to a dict of logits: `teacher_to_section1` is the
        teacher up to and with its section 1, then the student's rest;
        `student_to_section1` the reverse. None if no section has equal shapes.
    """
    names = share_sections(teacher, student)
    if not names:
        return None
    given = student.inputs[0]
    inputs = keras.Input(given.shape[1:], dtype=given.dtype, name="stitched_inputs")
    pair = {"teacher": teacher, "student": student}
    said = {}
    for role, network in pair.items():
        made = {name: network.output[name] for name in names}
        front = keras.Model(network.inputs[0], made, name=f"{role}_front")
        said[role] = front(inputs, training=False)
    logits = {}
    for name in names:
        for first, second in (("teacher", "student"), ("student", "teacher")):
            outputs, label = pair[second].output, f"{first}_to_{name}"
            rest = keras.Model(outputs[name], outputs["logits"], name=label)
            logits[label] = rest(said[first][name], training=False)
    return keras.Model(inputs, logits, name="stitched")


def share_sections(teacher: keras.Model, student: keras.Model) -> list[str]:
    """The sections at which the two networks can be stitched, in order."""
    given, made = representations.shapes(teacher), representations.shapes(student)
    names = representations.section_names(made)
    return [name for name in names if given.get(name) == made[name]]


def accuracies(model: keras.Model, split: data.Split) -> dict[str, float]:
    """Share of the examples that each stitched network gets right, in [0, 1].

    Args:
        model: As `stitched` returns it.
        split: The examples.
    """
    answers = model.predict(split.floats(), batch_size=BATCH, verbose=0)
    return {
        name: float(np.mean(accuracy.classes(logits) == split.labels))
        for name, logits in answers.items()
    }


def record(
    teacher: keras.Model, student: keras.Model, split: data.Split
) -> list[dict[str, str | float]]:
    """What `report.json` holds, one entry a section, in order; percent of the split.

    Args:
        teacher: The trained teacher.
        student: The trained student.
        split: What it is measured on.
    """
    model = stitch(teacher, student)
    found = {} if model is None else accuracies(model, split)
    return [
        {
            "section": name,
            "teacher_first": 100 * found[f"teacher_to_{name}"],
            "student_first": 100 * found[f"student_to_{name}"],
        }
        for name in share_sections(teacher, student)
    ]


class Watch(keras.callbacks.Callback):
    """Adds to `logs`, after each epoch, `stitched/<half>_to_<section>`, in [0, 1].

    Args:
        learner: A `Trainer` that learns from a teacher.
        split: Of which at most `MOST` examples are asked, drawn by class.
        seed: Decides them.
    """

    def __init__(self, learner, split: data.Split, seed: int):
        super().__init__()
        self._stitched = stitch(learner.teacher, learner.student)
        self._split = split.sample(MOST, seed)

    def on_epoch_end(self, epoch, logs=None):
        """Asks; the callbacks after this one see the numbers too."""
        if self._stitched is None:
            return
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        for name, value in accuracies(self._stitched, self._split).items():
            logs[f"stitched/{name}"] = value


def callbacks(learner, split: data.Split, seed: int) -> list[keras.callbacks.Callback]:
    """What a stage that trains sections wants beside its metrics; see `Watch`."""
    wanted = isinstance(learner.method, trainers.LIT)
    return [Watch(learner, split, seed)] if wanted else []
