"""LIT: each section of the student learns the map of the teacher's own section."""

import dataclasses
from typing import ClassVar

from trainers.kd import KD


@dataclasses.dataclass(frozen=True, kw_only=True)
class LIT(KD):
    """Learned intermediate representation training, the first of its two stages.

    Section `i` of the student is fed the teacher's representation `i - 1` and
    must return the teacher's representation `i`, so that an early section's
    errors do not reach a later one. Everything outside the sections (stem and
    head) is copied from the teacher and frozen; the second stage, `kd`, thaws
    it. BatchNormalization keeps the statistics of the student's own pass alone:
    the pass on the teacher's representations must not move them.

    Attributes:
        section_weight: Multiplies the sum of the sections' losses.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Koratana et al., "LIT: Learned Intermediate Representation Training for
        Model Compression", ICML 2019, section 3.
    """

    recalibrates: ClassVar[bool] = True

    section_weight: float = 1.0

    def __post_init__(self):
        """Refuses weights without a meaning."""
        super().__post_init__()
        if self.section_weight < 0:
            raise ValueError(
                f"`section_weight` must be at least 0. Received: {self.section_weight}"
            )

    def check_shapes(self, teacher, student):
        """Each representation must have a counterpart of the same shape."""
        if list(teacher) != list(student):
            raise ValueError(
                "LIT needs the same sections in teacher and student. Received: "
                f"teacher {', '.join(teacher)}; student {', '.join(student)}"
            )
        for name, shape in teacher.items():
            if shape != student[name]:
                raise ValueError(
                    f"LIT needs representations of equal shape. At `{name}` the "
                    f"teacher has {shape}, the student {student[name]}: give both "
                    "networks the same `width`"
                )

    def prepare(self, teacher, student):
        """Copies and freezes everything that is not a section."""
        sections = section_names(student)
        for layer in student.layers:
            if layer.name not in sections:
                _copy(teacher, layer)
                layer.trainable = False

    def terms(self, trainer, step):
        """`kd_loss`, and one term for each section."""
        return {
            **super().terms(trainer, step),
            **self.section_terms(step, self.made(trainer, step)),
        }

    def made(self, trainer, step) -> dict:
        """Name of each section to what the student's makes of the teacher's input."""
        from keras import ops

        made = {}
        for given, wanted in section_pairs(trainer.student):
            section = trainer.student.get_layer(wanted)
            # Stateless: the updates of BatchNormalization's statistics by this
            # pass are thrown away.
            output, _ = section.stateless_call(
                [variable.value for variable in section.trainable_variables],
                [variable.value for variable in section.non_trainable_variables],
                step.taught[given],
                training=step.training,
            )
            made[wanted] = ops.cast(output, "float32")
        return made

    def section_terms(self, step, made) -> dict:
        """The loss of each section, by what it `made`."""
        from trainers import losses

        return {
            f"{name}_loss": self.section_weight
            * losses.representation_loss(step.taught[name], output)
            for name, output in made.items()
        }


def section_names(network) -> list[str]:
    """Names of the sections of a network under the contract, in order."""
    names = [name for name in network.output if name.startswith("section")]
    return sorted(names, key=lambda name: int(name.removeprefix("section")))


def section_pairs(network) -> list[tuple[str, str]]:
    """Of each section, in order: the representation it is given, and its own name."""
    names = section_names(network)
    return list(zip(["stem", *names], names, strict=False))


def _copy(teacher, layer):
    """Gives a layer of the student the weights of its namesake in the teacher."""
    if not layer.weights:
        return
    try:
        layer.set_weights(teacher.get_layer(layer.name).get_weights())
    except ValueError as error:
        raise ValueError(
            f"LIT copies stem and head from the teacher, whose layer `{layer.name}` "
            f"does not fit the student's: {error}"
        ) from None
