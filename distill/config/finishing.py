"""What `python -m distill.finish` is told, and the networks that it is given."""

import dataclasses
import pathlib
from typing import Annotated, Any

import numpy as np

from distill import data
from distill.compress import finishers
from distill.compress.search import budget as budgets
from distill.config import reader, yaml_tree
from distill.config.run import Run, check_common
from distill.data.augmentation import Augmentation
from distill.runtime import errors, versions
from distill.runtime.hashes import file_hash
from distill.runtime.trust import loader

CHECKED = 256  # Examples that tell logits from probabilities.
_CURE = (
    "`model.layers[-1].activation = keras.activations.linear`, or leave the last "
    "layer out: `keras.Model(model.inputs, model.layers[-2].output)`; then save it"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finishing:
    """Everything that decides the outcome of `python -m distill.finish`.

    Attributes:
        model: A trained `.keras` file: a functional model of one input, to
            logits or a dict with `logits`.
        sha256: What the bytes of `model` must hash to; pins it.
        teacher: Another such file, whose answers the finishers that train learn
            from. Without it they learn from the labels alone.
        teacher_sha256: What the bytes of `teacher` must hash to.
        data: See `distill.data.DATASETS`.
        augmentation: Random changes to training images.
        batch_size: Images in a step.
        seed: Decides order and augmentation.
        finish: What is made of the model; see `distill.finish.FINISHERS`. For a
            search, the options of those that are tried; it may be left out.
        budget: What the last file may cost, and whether it is searched; see
            `distill.budget.Budget`.
        max_accuracy_drop: A file whose test accuracy is more than this many
            points (percent of the test split) below the model's has failed. Of
            files with a budget, that says it.
    """

    model: str
    sha256: str | None = None
    teacher: str | None = None
    teacher_sha256: str | None = None
    data: Annotated[data.Dataset, data.DATASETS]
    augmentation: Augmentation = Augmentation()
    batch_size: int = 128
    seed: int = 0
    finish: tuple[Annotated[finishers.Finisher, finishers.FINISHERS], ...] = ()
    budget: budgets.Budget | None = None
    max_accuracy_drop: float = 1.0

    def __post_init__(self):
        """Refuses parts that do not fit each other."""
        for name in ("model", "teacher"):
            path = getattr(self, name)
            if path is not None and not pathlib.Path(path).expanduser().exists():
                raise ValueError(
                    f"`{name}` must be a file that exists. Received: {path}"
                )
        if not self.finish and not self.searches:
            raise ValueError("`finish` must be a list of at least one. Received: []")
        check_common(self)

    @property
    def stages(self) -> tuple:
        """None: the student has been trained."""
        return ()

    controls = stages  # Nor is anything trained beside it.

    @property
    def searches(self) -> bool:
        """Whether what is made has yet to be found."""
        return self.budget is not None and self.budget.trials > 0


def config_class(path: str | pathlib.Path) -> type:
    """What a config fills: `config.Run` if it has a student to train, else `Finishing`.

    Args:
        path: As of `config.read`.

    Raises:
        ConfigError: If there is no such file, or it cannot be read.
    """
    node = yaml_tree.read(
        reader.find(path), lambda base, user: reader.find(base, user.parent)
    )
    return Run if "student" in yaml_tree.pairs(node) else Finishing


def ready(run: Finishing, splits: data.Splits, folder: pathlib.Path) -> None:
    """Writes the given networks into the run's folder, as the finishers want them.

    Args:
        run: The config.
        splits: The data.
        folder: `student.keras` and, if there is one, `teacher.keras` are written.

    Raises:
        ConfigError: If a network does not fit the data, or answers with
            probabilities.
        Untrusted: If something speaks against opening a file.
    """
    from distill import stages

    given = {"student": (run.model, run.sha256)}
    if run.teacher is not None:
        given["teacher"] = (run.teacher, run.teacher_sha256)
    for name, (path, sha256) in given.items():
        kept = folder / f"{name}.keras"
        if not kept.exists():
            network = _opened(pathlib.Path(path).expanduser(), sha256, run.data)
            _check_logits(network, path, splits)
            stages.keep(network, kept)


def ground(run: Finishing, splits: data.Splits) -> dict[str, str]:
    """What a run's numbers stand on beside its config; see `run_folder.stay_with`."""
    files = {"model": run.model, "teacher": run.teacher}
    hashes = {
        f"{name} file": file_hash(pathlib.Path(path).expanduser())
        for name, path in files.items()
        if path is not None
    }
    return {"data": splits.fingerprint(), **hashes, **versions.versions()}


def _opened(path, sha256, dataset):
    """A foreign network under the contract of `students`, if it fits the data."""
    import keras

    network = loader.open_foreign(path, sha256)
    if isinstance(network, keras.Sequential):
        network = keras.Model(network.inputs, network.outputs[0], name=network.name)
    outputs = network.output
    logits = outputs.get("logits") if isinstance(outputs, dict) else outputs
    if len(network.inputs) != 1 or not hasattr(logits, "shape"):
        raise errors.ConfigError(
            f"{path} must map one input to logits, or to a dict with `logits`. "
            f"Received: {len(network.inputs)} inputs, and "
            f"{sorted(outputs) if isinstance(outputs, dict) else 'several outputs'}"
        )
    wanted = dataset.input_shape, (dataset.num_classes,)
    received = tuple(network.inputs[0].shape[1:]), tuple(logits.shape[1:])
    if received != wanted:
        raise errors.ConfigError(
            f"{path} must map inputs {wanted[0]} to {wanted[1][0]} logits. "
            f"Received: {received[0]} to {received[1]}"
        )
    return keras.Model(network.inputs[0], {"logits": logits}, name=network.name)


def _check_logits(network: Any, path: str, splits: data.Splits) -> None:
    from distill.measure import accuracy

    answers = accuracy.logits(network, splits.train.take(slice(CHECKED)))
    if answers.min() >= 0 and np.allclose(answers.sum(-1), 1, atol=1e-3):
        raise errors.ConfigError(
            f"{path} answers with probabilities, and logits are wanted (before "
            f"softmax): {_CURE}"
        )
