"""The workbench of the finishing process: trains and converts for finishers."""

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tf_keras

from distill.compress import capabilities, convert, finishers, layer_errors, training
from distill.compress import material as materials
from distill.compress.base import finisher
from distill.compress.prune import channels, engines, input_mask, shortening
from distill.compress.quantize import (
    bins,
    clustering,
    equivalence,
    exact,
    nested_means,
    tables,
)
from distill.compress.twin import folding, twin
from distill.measure import parity
from distill.runtime import files, progress, stopwatch
from distill.runtime.resume import checkpoint


class Workbench:
    """Everything that finishers use. Nothing here is shared with another process.

    Args:
        material: Networks, data, and all that determines the batches.
        parts: The finishers of the run.
        folder: The folder of checkpoints and intermediate weights.
        config: The whole run as plain data, written into each file.

    Attributes:
        calibration: See `Material.calibration`.
        validation: The validation split.
        parity: The parity of the last file; see `parity.compare`.
        engines: Name of each finisher that quantizes in training to its engine.
        trained: Name of each finisher that has trained to its history (each weighted
            term and each metric to one value for every epoch) and seconds.
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

    def take_up(
        self, parts: Sequence[finisher.Finisher], folder: pathlib.Path, config: dict
    ) -> None:
        """Replaces the finishers; student, teacher and data stay.

        Args:
            parts: The finishers that `part` returns from now on.
            folder: The folder of their checkpoints and intermediate weights.
            config: As for the class.
        """
        self._parts = {finishers.name_of(part): part for part in parts}
        self._folder, self._config = folder, config
        self.trained: dict[str, tuple[dict[str, list[float]], float]] = {}

    def steps_per_epoch(self, part: finisher.Finisher) -> int:
        """Number of steps in an epoch of a finisher's training."""
        share = getattr(part, "labelled_share", 1.0)
        return self._material.batches("any", share).steps_per_epoch

    def examples_per_epoch(self, part: finisher.Finisher) -> int:
        """Number of examples in these steps."""
        return self.steps_per_epoch(part) * self._material.batch_size

    @functools.cached_property
    def _twin(self):
        """The student's twin, checked on real inputs when it is first needed."""
        copy = twin.to_tf_keras(self._material.student)
        twin.check_equal(self._material.student, copy, self._material.check_inputs)
        progress.say("    the student's tf_keras twin gives the student's outputs")
        return copy

    def twin(self) -> tf_keras.Model:
        """A new copy of the student's tf_keras twin, since TF-MOT changes its input.

        Raises:
            twin.NoTwin: If the student has no equal twin.
        """
        # TF-MOT's automatic names, with their counters, reach the file. Counters are
        # reset, so that a file does not depend on what was made before it.
        tf_keras.backend.reset_uids()
        copy = tf_keras.models.clone_model(self._twin)
        copy.set_weights(self._twin.get_weights())
        return copy

    def keep(self, name: str, model: tf_keras.Model) -> None:
        """Saves a twin's weights for a later finisher, possibly in another process."""
        with files.whole_file(self._weights_path(name)) as temporary:
            np.savez(temporary, **input_mask.get_arrays(model))

    def restore(self, name: str, adapt: Callable = lambda twin: twin) -> tf_keras.Model:
        """A twin with the weights that `keep` has saved.

        Args:
            name: The name passed to `keep`.
            adapt: Gives a new twin the architecture of the saved one.
        """
        model = adapt(self.twin())
        with np.load(self._weights_path(name), allow_pickle=False) as arrays:
            return input_mask.set_arrays(model, dict(arrays))

    def fold(self, model: tf_keras.Model) -> tf_keras.Model:
        """A twin with norms folded into kernels; see `folding.fold`.

        Raises:
            FinishError: If its outputs differ.
        """
        inputs = self._material.check_inputs
        return equivalence.require(model, folding.fold(model), inputs)

    def prune(self, model: tf_keras.Model, part) -> tf_keras.Model:
        """Prunes a twin while it trains; see `engines.prune`."""
        steps = part.epochs * self.steps_per_epoch(part)
        fit = functools.partial(self.fit, part=part)
        return engines.prune(model, part, steps, fit, self._material)

    def shorten(self, model: tf_keras.Model, file: bytes, part) -> bytes:
        """The file of a pruned model within a packed budget; see `shortening`."""
        convert = functools.partial(self.convert, variant=part.untrained_form)
        return shortening.shorten(model, file, part, convert, self._material)

    def cluster(self, model: tf_keras.Model, part, **options: Any) -> tf_keras.Model:
        """Trains a folded twin with clustered kernels; see `clustering.cluster`."""
        fit = functools.partial(self.fit, part=part)
        return clustering.cluster(model, part, fit, **options)

    def code(self, model: tf_keras.Model, part, tradeoff: Any) -> tf_keras.Model:
        """Trains a model whose kernels are in bins; see `bins.train`."""
        return bins.train(model, tradeoff, functools.partial(self.fit, part=part))

    def level(
        self, model: tf_keras.Model, part
    ) -> tuple[tf_keras.Model, list[np.ndarray]]:
        """Trains a twin whose kernels have few levels; see `nested_means.train`."""
        return nested_means.train(model, part, functools.partial(self.fit, part=part))

    bin = staticmethod(bins.wrap)
    unbin = staticmethod(bins.unwrap)
    narrow = staticmethod(channels.narrow)

    def export(self, variant: str, **options: Any) -> bytes:
        """Converts the student without further training; see `convert`."""
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
        """Converts a model to a `.tflite` file, and sets `parity` of the two.

        Args:
            model: A model from inputs to logits, or to a dict with them.
            variant: See `convert.to_tflite`.
            calibration: See `convert.to_tflite`.
            io: See `convert.to_tflite`.
            rewrite: A change of the file before the two are compared.
        """
        with stopwatch.working("conversion"):
            file = rewrite(convert.to_tflite(model, variant, calibration, io))
            self.parity = parity.compare(model, file, self._material.check_inputs)
        return file

    def store_codes(self, model: tf_keras.Model, kernels: Any) -> bytes:
        """Converts a model to a file with exact codes; see `exact.store`."""
        rewrite = functools.partial(exact.store, kernels=kernels)
        return self.convert(model, "float32", rewrite=rewrite)

    def tabulate(self, name: str) -> bytes:
        """A file of the run with kernels as tables, and sets `parity` of the two."""
        plain = (self._folder / f"student.{name}.tflite").read_bytes()
        file, self.parity = tables.make(plain, self._material.check_inputs)
        return file

    def layers(self, file: bytes) -> list[dict]:
        """See `layer_errors.Reference.errors`; empty for a student without a twin."""
        return self._reference.errors(file) if self._reference else []

    @functools.cached_property
    def _reference(self):
        try:
            examples = self._material.sample(layer_errors.EXAMPLES, "layers")
            return layer_errors.Reference(self._twin, examples.floats())
        except twin.NoTwin:
            return None

    def stamp(self, name: str, file: bytes) -> bytes:
        """Writes the file's origin into it; see `Material.stamp`."""
        return self._material.stamp(name, file, self._config)

    def part(self, name: str) -> finisher.Finisher:
        """The finisher of this name in the run."""
        return self._parts[name]

    def simulate(self, part, model: tf_keras.Model) -> tf_keras.Model:
        """Wraps a twin for training with simulated eight bits; records the engine.

        Args:
            part: The finisher, with `engine` and `scheme`.
            model: The twin to start from; kernels on levels stay on them.

        Raises:
            FinishError: If no engine supports the model, or the outputs then differ.
        """
        name, simulated = capabilities.simulate(model, part.engine, part.scheme)
        self.engines[finishers.name_of(part)] = name
        return equivalence.require(model, simulated, self._material.check_inputs)

    def store(self, name: str) -> checkpoint.Store:
        """The store of checkpoints of one finisher's training."""
        return checkpoint.Store(files.checkpoints(self._folder), f"finish.{name}")

    def fit(self, model: tf_keras.Model, part, **changes: Any) -> None:
        """Trains on labels and the teacher's logits; history goes into `trained`.

        Args:
            model: A twin from inputs to logits, possibly wrapped.
            part: The `TrainedFinisher` with the options.
            **changes: Attributes of `training.Changes`.
        """
        name = finishers.name_of(part)
        self.trained[name] = training.fit(
            model, part, self._material, self.store(name), training.Changes(**changes)
        )

    def _weights_path(self, name):
        return files.checkpoints(self._folder) / f"finish.{name}.npz"
