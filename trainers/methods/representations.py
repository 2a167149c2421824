"""Methods that compare representations: which ones, and of what shapes."""

import dataclasses
from collections.abc import Iterable
from typing import Any, ClassVar

from trainers.methods.kd import KD
from trainers.methods.supervised import Step


@dataclasses.dataclass(frozen=True, kw_only=True)
class FromRepresentations(KD):
    """Base of the methods that compare representations, beside `kd_loss`.

    Attributes:
        representations: Names of those compared, such as `section3`. Empty means
            all sections, or the last one alone where `compares_the_last`.
        compares_the_last: Whether the source of the method compares the last
            representation before the head alone.
        compares_positions: Whether teacher and student must agree in all but the
            number of channels.

    Raises:
        ValueError: If an option is out of its range.
    """

    compares_the_last: ClassVar[bool] = False
    compares_positions: ClassVar[bool] = False

    representations: tuple[str, ...] = ()

    def __post_init__(self):
        """Refuses a name given twice."""
        super().__post_init__()
        if len(set(self.representations)) < len(self.representations):
            raise ValueError(
                "`representations` must be of different names. "
                f"Received: {list(self.representations)}"
            )

    def check_shapes(self, teacher, student):
        """Each representation that is compared must be there, in the right size."""
        both = [name for name in student if name in teacher]
        names = self.chosen(student)
        if not names or not set(names) <= set(both):
            raise ValueError(
                f"{type(self).__name__} needs `representations` that teacher and "
                f"student have: {', '.join(both)}. Received: {', '.join(names)}"
            )
        for name in names:
            sizes = teacher[name][:-1], student[name][:-1]
            if self.compares_positions and sizes[0] != sizes[1]:
                raise ValueError(
                    f"{type(self).__name__} needs representations of equal size. At "
                    f"`{name}` the teacher has {sizes[0]}, the student {sizes[1]}: "
                    "leave it out of `representations`"
                )

    def asks(self, teacher, student):
        """Those that are compared, beside the logits."""
        return ("logits", *self.chosen(student))

    def chosen(self, names: Iterable[str]) -> list[str]:
        """The names that are compared, of all those that a network has."""
        if self.representations:
            return list(self.representations)
        sections = section_names(names)
        return sections[-1:] if self.compares_the_last else sections

    def terms(self, trainer, step):
        """`kd_loss`, and what `compare` says of each representation."""
        terms = super().terms(trainer, step)
        for name in self.chosen(step.learned):
            found = self.compare(name, trainer, step)
            terms |= {f"{name}_{key}": value for key, value in found.items()}
        return terms

    def compare(self, name: str, trainer: Any, step: Step) -> dict[str, Any]:
        """The terms of one representation, as `terms` returns them.

        Args:
            name: Of the representation, in `step.taught` and `step.learned`.
            trainer: As in `terms`.
            step: As in `terms`.
        """
        raise NotImplementedError


def section_names(names: Iterable[str]) -> list[str]:
    """The sections among the outputs of a network under the contract, in order."""
    # By number: outputs that passed through JAX are sorted as text.
    sections = [name for name in names if name.startswith("section")]
    return sorted(sections, key=lambda name: int(name.removeprefix("section")))


def shapes(network: Any) -> dict[str, tuple[int, ...]]:
    """Name of each representation of a built network, in order, to its shape."""
    outputs = network.output
    names = [*(name for name in outputs if name == "stem"), *section_names(outputs)]
    return {name: tuple(outputs[name].shape[1:]) for name in names}


def pooled(features: Any) -> Any:
    """Means over all positions: `(batch, ..., channels)` to `(batch, channels)`."""
    from keras import ops

    shape = (ops.shape(features)[0], -1, features.shape[-1])
    return ops.mean(ops.reshape(features, shape), axis=1)


def linear(name: str, shape: tuple[int, ...], channels: int) -> Any:
    """A learned linear map of the channels alone: a companion.

    Args:
        name: Of the `keras.Model`.
        shape: Of one example, channels last.
        channels: Of what it returns.
    """
    import keras

    # At two dimensions of positions, the same as a 1x1 convolution.
    # What it returns is compared, so it computes in full precision.
    layer = keras.layers.Dense(channels, dtype="float32", name=f"{name}_map")
    return keras.Sequential([keras.Input(shape), layer], name=name)
