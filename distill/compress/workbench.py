"""The work bench of the finishing process: student, teacher, data, one `fit`."""

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tf_keras

from distill.compress import capabilities, convert, finishers, layer_errors, training
from distill.compress import material as materials
from distill.compress.finishers import finisher, quantized
from distill.compress.prune import channels, magnitude
from distill.compress.quantize import checked, clustering, ranges
from distill.compress.twin import folding, twin
from distill.measure import parity
from distill.runtime import files, progress, seeds, strided
from distill.runtime.resume import checkpoint, resume


class Workbench:
    """What finishers work with. Nothing here is shared with another process.

    Args:
        material: Networks, data and what decides how they are trained on.
        parts: The finishers, which may ask for each other.
        folder: Where the work on them is kept.
        config: The whole run as plain data, written into each file.

    Attributes:
        calibration: See `Material.calibration`.
        validation: The validation split.
        parity: Of the file made last; see `parity.compare`.
        engines: Name of each finisher that quantizes in training to its engine.
        trained: Name of each finisher that has trained to its history (each
            term, weighted, and metric to one value an epoch) and seconds.
    """

    def __init__(
        self,
        material: materials.Material,
        parts: Sequence[finisher.Finisher],
        folder: pathlib.Path,
        config: dict,
    ):
        self._material = material
        self.calibration = material.calibration
        self.validation = material.splits.validation
        self.parity: dict[str, float] = {}
        self.engines: dict[str, str] = {}
        self.take_up(parts, folder, config)
        self.steps_per_epoch = material.batches("any").steps_per_epoch
        self.examples_per_epoch = self.steps_per_epoch * material.batch_size

    def take_up(
        self, parts: Sequence[finisher.Finisher], folder: pathlib.Path, config: dict
    ) -> None:
        """Turns to other finishers, with student, teacher and data as they are.

        Args:
            parts: What `part` knows from now on.
            folder: Where the work on them is kept.
            config: As of the class.
        """
        self._parts = {finishers.name_of(part): part for part in parts}
        self._folder, self._config = folder, config
        self.trained: dict[str, tuple[dict[str, list[float]], float]] = {}

    @functools.cached_property
    def _twin(self):
        """The student's, checked on its own images once one is needed."""
        made = twin.to_tf_keras(self._material.student)
        twin.check_equal(self._material.student, made, self._material.images)
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

    def fold(self, model: tf_keras.Model) -> tf_keras.Model:
        """A twin with its norms in its kernels; see `folding.fold`.

        Raises:
            FinishError: If it answers otherwise.
        """
        return checked.checked(model, folding.fold(model), self._material.images)

    def prune(self, model: tf_keras.Model, part) -> tf_keras.Model:
        """Trains a twin while its smallest weights go; see `magnitude.prune`."""
        steps = part.epochs * self.steps_per_epoch
        fit = functools.partial(self.fit, part=part)
        return magnitude.prune(model, part, steps, fit)

    def cluster(self, model: tf_keras.Model, part, **options: Any) -> tf_keras.Model:
        """Trains the clusters of a folded twin; see `clustering.cluster`."""
        fit = functools.partial(self.fit, part=part)
        return clustering.cluster(model, part, fit, **options)

    def narrow(self, model: tf_keras.Model, share: float) -> tf_keras.Model:
        """A twin without its smallest filters; see `channels.narrow`."""
        return channels.narrow(model, share)

    def export(self, variant: str, **options: Any) -> bytes:
        """The student, without further training, as a `.tflite` file.

        Args:
            variant: See `convert.to_tflite`.
            **options: Of `convert`.
        """
        return self.convert(self._material.student, variant, **options)

    def convert(
        self,
        model: tf_keras.Model,
        variant: str,
        *,
        calibration: np.ndarray | None = None,
        io: str = "float32",
        rewrite: Callable[[bytes], bytes] = bytes,
    ) -> bytes:
        """What TF-MOT made, as a `.tflite` file; notes whether both answer alike.

        Args:
            model: From inputs to logits, or to a dict with them.
            variant: See `convert.to_tflite`.
            calibration: Likewise.
            io: Likewise.
            rewrite: What is done to the file before the two are compared.
        """
        file = rewrite(convert.to_tflite(model, variant, calibration, io))
        self.parity = parity.compare(model, file, self._material.images)
        return file

    def layers(self, file: bytes) -> list[dict]:
        """What a file does to each layer of the student; see `layer_errors.Reference`.

        Args:
            file: The `.tflite` file.

        Returns:
            Nothing of a student that has no twin.
        """
        return self._reference.errors(file) if self._reference else []

    @functools.cached_property
    def _reference(self):
        try:
            examples = self._material.sample(layer_errors.EXAMPLES, "layers")
            return layer_errors.Reference(self._twin, examples.floats())
        except twin.NoTwin:
            return None

    def stamped(self, name: str, file: bytes) -> bytes:
        """A file that says what it was made of; see `Material.stamp`."""
        return self._material.stamp(name, file, self._config)

    def part(self, name: str) -> finisher.Finisher:
        """The finisher of this name in the run."""
        return self._parts[name]

    def simulate(self, part, model: tf_keras.Model) -> tf_keras.Model:
        """A model that trains in eight bits; says and notes by which engine.

        Args:
            part: The `QuantizedFinisher`.
            model: The twin that it starts from.

        Returns:
            What one of `capabilities.ENGINES` made of it.

        Raises:
            FinishError: If no engine takes the model, or it then answers otherwise.
        """
        name, refused = capabilities.engine(model, part.engine, part.scheme)
        tf_keras.backend.reset_uids()  # As in `twin`: asking has made layers.
        self.engines[finishers.name_of(part)] = name
        reasons = "; ".join(dict.fromkeys(refused.values()))
        progress.say(f"    engine: {name}{f' ({reasons})' if reasons else ''}")
        made = capabilities.ENGINES[name](model, **quantized.SCHEMES[part.scheme])
        return checked.checked(model, made, self._material.images)

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
        name = finishers.name_of(part)
        tf_keras.utils.set_random_seed(
            seeds.seed_of(self._material.seed, "finish", name)
        )
        ranges.settle(model, self._material.changed(name))
        steps = part.epochs * self.steps_per_epoch
        training.prepare(model, part, steps, taught=self._material.teacher is not None)
        with strided.unstrided(model.submodules):
            self.trained[name] = resume.fit(
                model,
                resume.Source(
                    self.steps_per_epoch, lambda step: self._material.stream(name, step)
                ),
                callback=tf_keras.callbacks.Callback,
                epochs=part.epochs,
                store=self.store(name),
                variables=lambda: model.variables,
                callbacks=lambda past: list(callbacks),
                validation_data=self._material.asked(
                    self._material.splits.validation.floats(),
                    self._material.splits.validation.labels,
                ),
                validation_batch_size=self._material.batch_size,
            )

    def _kept(self, name):
        return files.checkpoints(self._folder) / f"finish.{name}.npz"
