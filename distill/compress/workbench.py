"""The work bench of the finishing process: student, teacher, data, one `fit`."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tf_keras

from distill import config, data
from distill.compress import answers, capabilities, convert, layer_errors, training
from distill.compress.finishers import finisher
from distill.compress.quantize import ranges
from distill.compress.twin import twin
from distill.data import augmentation, batches
from distill.measure import parity
from distill.runtime import files, hashes, progress, seeds, versions
from distill.runtime.resume import checkpoint, resume
from distill.runtime.trust import loader, provenance

CHECKED = 256  # Examples on which the twin must answer as the student.


class Workbench:
    """What finishers work with. Nothing here is shared with another process.

    Args:
        run: The run.
        folder: Holds `student.keras` and, if there is a teacher, `teacher.keras`.

    Attributes:
        parity: Of the file made last; see `parity.compare`.
        engines: Name of each finisher that quantizes in training to its engine.
        trained: Name of each finisher that has trained to its history (each
            term, weighted, and metric to one value an epoch) and seconds.
    """

    def __init__(self, run: config.Run, folder: pathlib.Path):
        self._run = run
        self._networks = self._folder = folder
        self._splits = run.data.load()
        self._student = loader.open_own(folder / "student.keras")
        self._teacher = answers.open_teacher(
            folder / "teacher.keras",
            self._splits,
            changing=run.augmentation != augmentation.Augmentation(),
        )
        self.parity: dict[str, float] = {}
        self.engines: dict[str, str] = {}
        self.trained: dict[str, tuple[dict[str, list[float]], float]] = {}
        self.steps_per_epoch = self._batches("any").steps_per_epoch
        self.examples_per_epoch = self.steps_per_epoch * run.batch_size

    def take_up(self, parts: Sequence[finisher.Finisher], folder: pathlib.Path) -> None:
        """Turns to other finishers, with student, teacher and data as they are.

        Args:
            parts: What `part` knows from now on.
            folder: Where the work on them is kept.
        """
        self._run = dataclasses.replace(self._run, finish=tuple(parts))
        self._folder = folder
        self.trained = {}

    @property
    def validation(self) -> data.Split:
        """The validation split."""
        return self._splits.validation

    @functools.cached_property
    def _images(self):
        return self._splits.train.take(slice(CHECKED)).floats()

    @functools.cached_property
    def _twin(self):
        """The student's, checked on its own images once one is needed."""
        made = twin.to_tf_keras(self._student)
        twin.check_equal(self._student, made, self._images)
        progress.say("    the student's tf_keras twin answers as the student")
        return made

    def twin(self) -> tf_keras.Model:
        """A new tf_keras twin of the student: TF-MOT changes what it is given.

        Raises:
            twin.NoTwin: If the student has no equal twin.
        """
        # Names that TF-MOT makes up reach the file: let them start anew, so that
        # a file does not tell which others its process made.
        tf_keras.backend.reset_uids()
        copy = tf_keras.models.clone_model(self._twin)
        copy.set_weights(self._twin.get_weights())
        return copy

    def keep(self, name: str, model: tf_keras.Model) -> None:
        """Keeps a twin's weights for a later finisher, also of a later process."""
        with files.whole_file(self._kept(name)) as temporary:
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

    def export(self, variant: str, **options: Any) -> bytes:
        """The student, without further training, as a `.tflite` file.

        Args:
            variant: See `convert.to_tflite`.
            **options: Of `convert`.
        """
        return self.convert(self._student, variant, **options)

    def calibration(self, count: int) -> np.ndarray:
        """Training examples without augmentation, drawn by the run's seed."""
        train = self._splits.train
        draw = np.random.default_rng(seeds.seed_of(self._run.seed, "calibration"))
        return train.take(draw.permutation(len(train.labels))[:count]).floats()

    def convert(
        self,
        model: tf_keras.Model,
        variant: str,
        *,
        calibration: np.ndarray | None = None,
        rewrite: Callable[[bytes], bytes] = bytes,
    ) -> bytes:
        """What TF-MOT made, as a `.tflite` file; notes whether both answer alike.

        Args:
            model: From inputs to logits, or to a dict with them.
            variant: See `convert.to_tflite`.
            calibration: Likewise.
            rewrite: What is done to the file before the two are compared.
        """
        file = rewrite(convert.to_tflite(model, variant, calibration))
        self.parity = parity.compare(model, file, self._images)
        return file

    def layers(self, file: bytes) -> list[dict]:
        """What a file does to each layer of the student; see `layers.Reference`.

        Args:
            file: The `.tflite` file.

        Returns:
            Nothing of a student that has no twin.
        """
        return self._reference.errors(file) if self._reference else []

    @functools.cached_property
    def _reference(self):
        try:
            return layer_errors.Reference(self._twin, self._images)
        except twin.NoTwin:
            return None

    def stamped(self, name: str, file: bytes) -> bytes:
        """A file that says what it was made of; see `provenance.stamp`.

        Args:
            name: Of the model, such as `student.int8`.
            file: The `.tflite` file.
        """
        split = self._splits.validation
        right = parity.answers(file, split.floats()).argmax(-1) == split.labels
        origin = {
            "model": name,
            "config": config.plain(self._run),
            "versions": versions.versions(),
            "data": self._splits.fingerprint(),
            "weights": self._weights,
            "validation": {
                "examples": len(right),
                "accuracy": 100 * float(right.mean()),
            },
        }
        return provenance.stamp(file, origin)

    @functools.cached_property
    def _weights(self):
        """Fingerprint of student and teacher, as far as there are any."""
        paths = [self._networks / f"{name}.keras" for name in ("student", "teacher")]
        return {
            path.stem: hashes.weights_hash(loader.open_own(path))
            for path in paths
            if path.exists()
        }

    def part(self, name: str) -> finisher.Finisher:
        """The finisher of this name in the run."""
        return next(p for p in self._run.finish if config.name_of(p) == name)

    def engine(self, part, model: tf_keras.Model) -> Callable[..., tf_keras.Model]:
        """What simulates eight bits for a finisher; says it, and notes it.

        Args:
            part: The `QuantizedFinisher`.
            model: The twin that it trains.

        Returns:
            One of `diagnosis.ENGINES`.

        Raises:
            FinishError: If no engine takes the model.
        """
        name, refused = capabilities.engine(model, part.engine)
        tf_keras.backend.reset_uids()  # As in `twin`: asking has made layers.
        self.engines[config.name_of(part)] = name
        reasons = "; ".join(dict.fromkeys(refused.values()))
        progress.say(f"    engine: {name}{f' ({reasons})' if reasons else ''}")
        return capabilities.ENGINES[name]

    def store(self, name: str) -> checkpoint.Store:
        """Where the training of one finisher is committed."""
        return checkpoint.Store(files.checkpoints(self._folder), f"finish.{name}")

    def fit(self, model: tf_keras.Model, part, callbacks=()) -> None:
        """Trains on the labels and the teacher's answers to the same inputs.

        What it showed goes into `trained`.

        Args:
            model: A twin, as TF-MOT wrapped it; inputs to logits.
            part: The `TrainedFinisher` with the options.
            callbacks: For tf_keras.
        """
        name = config.name_of(part)
        tf_keras.utils.set_random_seed(seeds.seed_of(self._run.seed, "finish", name))
        ranges.settle(model, self._images)
        training._follow(model, part.epochs * self.steps_per_epoch)
        terms = training._terms(part, taught=self._teacher is not None)
        model.compile(
            optimizer=tf_keras.optimizers.SGD(
                tf_keras.optimizers.schedules.CosineDecay(
                    part.learning_rate, part.epochs * self.steps_per_epoch
                ),
                momentum=0.9,
                nesterov=True,
            ),
            loss=lambda asked, made: sum(term(asked, made) for term in terms),
            metrics=[*terms, training.accuracy],
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
        for inputs, labels in self._batches(name).stream(step):
            yield self._taught(inputs, labels)

    def _taught(self, inputs, labels):
        """Inputs, and what is asked: label first, then any teacher's logits."""
        if self._teacher is None:
            return inputs, np.asarray(labels)[:, None]
        return inputs, np.column_stack([labels, self._teacher(inputs)])

    def _kept(self, name):
        return files.checkpoints(self._folder) / f"finish.{name}.npz"
