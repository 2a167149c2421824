"""The work bench of the finishing process: student, teacher, data, one `fit`."""

import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras

from distill import (
    batches,
    checkpoint,
    config,
    export,
    loader,
    progress,
    resume,
    run_folder,
    seeds,
)
from distill.finish import finisher, twin
from trainers import losses

CHECKED_IMAGES = 256  # The twin must answer as the student on these.


class Bench:
    """What finishers work with. Nothing here is shared with another process.

    Args:
        run: The run.
        folder: Holds `teacher.keras` and `student.keras`.

    Attributes:
        trained: Name of each finisher that has trained to its history (each
            term, weighted, and metric to one value an epoch) and seconds.

    Raises:
        twin.NoTwin: If the student has no equal twin in tf_keras.
    """

    def __init__(self, run: config.Run, folder: pathlib.Path):
        self._run = run
        self._folder = folder
        self._splits = run.data.load()
        self._student = loader.own(folder / "student.keras")
        teacher = loader.own(folder / "teacher.keras")
        self._answer = tf.function(lambda x: teacher(x, training=False)["logits"])
        self._twin = twin.to_tf_keras(self._student)
        images = self._splits.train.take(slice(CHECKED_IMAGES)).floats()
        twin.check_equal(self._student, self._twin, images)
        self.trained: dict[str, tuple[dict[str, list[float]], float]] = {}
        self.steps_per_epoch = self._batches("any").steps_per_epoch
        self.examples_per_epoch = self.steps_per_epoch * run.batch_size

    def twin(self) -> tf_keras.Model:
        """A new tf_keras twin of the student: TF-MOT changes what it is given."""
        # Names that TF-MOT makes up reach the file: let them start anew, so that
        # a file does not tell which others its process made.
        tf_keras.backend.reset_uids()
        copy = tf_keras.models.clone_model(self._twin)
        copy.set_weights(self._twin.get_weights())
        return copy

    def keep(self, name: str, model: tf_keras.Model) -> None:
        """Keeps a twin's weights for a later finisher, also of a later process."""
        with run_folder.whole_file(self._kept(name)) as temporary:
            np.savez(temporary, *model.get_weights())

    def kept(self, name: str, form: Callable = lambda twin: twin) -> tf_keras.Model:
        """The twin with the weights that were kept under this name.

        Args:
            name: As given to `keep`.
            form: Writes the twin anew, as what was kept was written.
        """
        model = form(self.twin())
        with np.load(self._kept(name), allow_pickle=False) as arrays:
            model.set_weights([arrays[key] for key in arrays.files])
        return model

    def export(self, variant: str, calibration: np.ndarray | None = None) -> bytes:
        """The student, without further training, as a `.tflite` file."""
        return export.to_tflite(self._student, variant, calibration)

    def calibration(self, count: int) -> np.ndarray:
        """Training images without augmentation, drawn by the run's seed."""
        train = self._splits.train
        draw = np.random.default_rng(seeds.seed_of(self._run.seed, "calibration"))
        return train.take(draw.permutation(len(train.labels))[:count]).floats()

    def convert(self, model: tf_keras.Model, variant: str) -> bytes:
        """What TF-MOT made, as a `.tflite` file."""
        return export.to_tflite(model, variant)

    def part(self, name: str) -> finisher.Finisher:
        """The finisher of this name in the run."""
        return next(p for p in self._run.finish if config.name_of(p) == name)

    def store(self, name: str) -> checkpoint.Store:
        """Where the training of one finisher is committed."""
        return checkpoint.Store(run_folder.checkpoints(self._folder), f"finish.{name}")

    def fit(self, model: tf_keras.Model, part, callbacks=()) -> None:
        """Trains on the labels and the teacher's answers to the same pixels.

        What it showed goes into `trained`.

        Args:
            model: A twin, as TF-MOT wrapped it; images to logits.
            part: The `TrainedFinisher` with the options.
            callbacks: For tf_keras.
        """
        name = config.name_of(part)
        tf_keras.utils.set_random_seed(seeds.seed_of(self._run.seed, "finish", name))
        terms = _terms(part)
        model.compile(
            optimizer=tf_keras.optimizers.SGD(
                tf_keras.optimizers.schedules.CosineDecay(
                    part.learning_rate, part.epochs * self.steps_per_epoch
                ),
                momentum=0.9,
                nesterov=True,
            ),
            loss=lambda asked, made: sum(term(asked, made) for term in terms),
            metrics=[*terms, accuracy],
        )
        self.trained[name] = resume.fit(
            model,
            resume.Source(self.steps_per_epoch, lambda step: self._stream(name, step)),
            callback=tf_keras.callbacks.Callback,
            epochs=part.epochs,
            store=self.store(name),
            variables=lambda: model.variables,
            callbacks=lambda past: list(callbacks),
            validation_data=self._taught(
                self._splits.validation.floats(), self._splits.validation.labels
            ),
            validation_batch_size=self._run.batch_size,
            verbose=progress.bar(),
        )

    def _batches(self, name):
        return batches.Batches(
            self._splits.train,
            batch_size=self._run.batch_size,
            seed=seeds.seed_of(self._run.seed, "finish order", name),
            augmentation=self._run.augmentation,
        )

    def _stream(self, name, step):
        for images, labels in self._batches(name).stream(step):
            yield self._taught(images, labels)

    def _taught(self, images, labels):
        """Images, and what is asked: label first, then the teacher's logits."""
        taught = [
            self._answer(images[start : start + CHECKED_IMAGES]).numpy()
            for start in range(0, len(images), CHECKED_IMAGES)
        ]
        return images, np.column_stack([labels, np.concatenate(taught)])

    def _kept(self, name):
        return run_folder.checkpoints(self._folder) / f"finish.{name}.npz"


def _terms(part):
    """The two terms of the loss, each also shown as a metric by its name."""

    def task_loss(asked, made):
        return part.task_weight * tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.cast(asked[:, 0], tf.int32), made
        )

    def kd_loss(asked, made):
        taught = asked[:, 1:]
        return part.kd_weight * losses.kd_loss(taught, made, part.temperature)

    return task_loss, kd_loss


def accuracy(asked, made):
    """Whether the largest logit is the label's; the metric bears this name."""
    right = tf.equal(tf.argmax(made, -1), tf.cast(asked[:, 0], tf.int64))
    return tf.cast(right, tf.float32)
