"""Base of the methods that compare representations, and helpers for them."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any, ClassVar

from trainers.methods.kd import KD
from trainers.methods.supervised import Step

_SECTION = re.compile("section[0-9]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FromRepresentations(KD):
    """Base of the methods that compare representations, in addition to `kd_loss`.

    Attributes:
        representations: Names of the compared ones, such as `section3`. Empty means
            all sections, or the last one alone where `compares_the_last`.
        compares_the_last: Whether the source of the method compares only the last
            representation before the head.
        compares_positions: Whether both shapes must be equal in all axes but the
            channels.

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
        """Each compared representation must exist in both networks, in equal size."""
        both = [name for name in student if name in teacher]
        names = self.select(student)
        if not names or not set(names) <= set(both):
            raise ValueError(
                f"{type(self).__name__} needs `representations` that teacher and "
                f"student have: {', '.join(both) or 'none'}. "
                f"Received: {', '.join(names) or 'none'}"
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
        """The logits and the compared representations."""
        return ("logits", *self.select(student))

    def select(self, names: Iterable[str]) -> list[str]:
        """The compared ones among the names of a network's outputs."""
        if self.representations:
            return list(self.representations)
        sections = section_names(names)
        return sections[-1:] if self.compares_the_last else sections

    def terms(self, trainer, step):
        """`kd_loss`, and the terms that `compare` returns for each representation."""
        terms = super().terms(trainer, step)
        for name in self.select(step.learned):
            losses = self.compare(name, trainer, step)
            terms |= {f"{name}_{key}": loss for key, loss in losses.items()}
        return terms

    def compare(self, name: str, trainer: Any, step: Step) -> dict[str, Any]:
        """The terms of one representation, as `terms` returns them.

        Args:
            name: Name of the representation in `step.taught` and `step.learned`.
            trainer: As in `terms`.
            step: As in `terms`.
        """
        raise NotImplementedError


def section_names(names: Iterable[str]) -> list[str]:
    """The sections among the outputs of a network under the contract, in order."""
    # By number: JAX sorts the keys of a dict as text, so `section10` would come before
    # `section2`.
    # A teacher from elsewhere may have outputs of any name.
    sections = [name for name in names if _SECTION.fullmatch(name)]
    return sorted(sections, key=lambda name: int(name.removeprefix("section")))


def shapes(network: Any) -> dict[str, tuple[int, ...]]:
    """Name of each representation of a built network, in order, to its shape."""
    outputs = network.output
    names = [*(name for name in outputs if name == "stem"), *section_names(outputs)]
    return {name: tuple(outputs[name].shape[1:]) for name in names}


def features(network: Any) -> dict[str, tuple[int, ...]]:
    """Name of each output of a built teacher but the logits to its shape.

    The representations come first, in order; a method that names its outputs also
    finds those of other names, such as a foundation model's features.
    """
    outputs = network.output
    names = dict.fromkeys([*shapes(network), *outputs])
    return {name: tuple(outputs[name].shape[1:]) for name in names if name != "logits"}


def pooled(features: Any) -> Any:
    """Means over all positions: `(batch, ..., channels)` to `(batch, channels)`."""
    from keras import ops

    shape = (ops.shape(features)[0], -1, features.shape[-1])
    return ops.mean(ops.reshape(features, shape), axis=1)


def linear(name: str, shape: tuple[int, ...], channels: int) -> Any:
    """Builds a companion that is a linear map of the channels, equal at all positions.

    Args:
        name: Name of the `keras.Model`.
        shape: Shape of one example, channels last.
        channels: Channels of its output.
    """
    import keras

    from trainers.whole_precision import Float32

    # A Dense layer acts on the last axis: on maps it is a 1x1 convolution.
    # Its output goes into a difference, so it computes in float32 also where the
    # networks compute in half precision.
    layer = keras.layers.Dense(channels, dtype=Float32(), name=f"{name}_map")
    network = keras.Sequential([keras.Input(shape), layer], name=name)
    network.dtype_policy = Float32()
    return network
