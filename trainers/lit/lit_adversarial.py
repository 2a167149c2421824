"""LIT, with a discriminator a section that tells it from the teacher's own."""

import dataclasses
from typing import ClassVar

from trainers.lit.lit import LIT
from trainers.methods import game
from trainers.methods.adversarial import Adversarial
from trainers.methods.kd import KD


@dataclasses.dataclass(frozen=True, kw_only=True)
class LITAdversarial(LIT, Adversarial):
    """What each section makes of the teacher's input must pass for the teacher's.

    Beside the losses of LIT, each section plays a game of its own: its
    discriminator sees the teacher's representation as real and what the
    student's section made of the teacher's input as fake. With `condition:
    input` it is told that input. Options are those of `LIT` and `Adversarial`.

    Attributes:
        sees: To be left out: each discriminator sees its own section.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        See `LIT` and `Adversarial`.
    """

    # The games are about what sections make, whatever their losses weigh.
    only_with: ClassVar[dict[str, str]] = {"section_noise": "", "merge": ""}
    takes: ClassVar[tuple[str, ...]] = KD.takes  # `input` is a representation here.

    stop_on_collapse: bool = False  # `LIT` would hide that it is an option.

    def __post_init__(self):
        """Refuses an option without effect."""
        super().__post_init__()
        if self.sees != ("logits",):
            raise ValueError(
                "`sees` must be left out: each discriminator sees its own section. "
                f"Received: {list(self.sees)}"
            )

    def check_shapes(self, teacher, student):
        """As LIT: all representations have counterparts."""
        LIT.check_shapes(self, teacher, student)

    def companions(self, teacher, student):
        """Those of LIT, and a discriminator for each section."""
        outputs = teacher.output  # What is judged has the teacher's shape.
        return LIT.companions(self, teacher, student) | {
            _discriminator(span.name): self.opponent(
                student, {span.name: outputs[span.name]}, outputs[span.given]
            )
            for span in self.spans(teacher, student)
        }

    def optimizers(self, companions):
        """As Adversarial, for the discriminators alone."""
        against = [name for name in companions if _is_discriminator(name)]
        return super().optimizers({name: companions[name] for name in against})

    def terms(self, trainer, step):
        """The terms of LIT, and two for each section's game."""
        made = self.made(trainer, step)
        terms = KD.terms(self, trainer, step)
        terms |= self.section_terms(trainer, step, made)
        game.track_agreement(trainer, step)
        for span in self.spans(trainer.teacher, trainer.student):
            terms |= game.play(
                trainer,
                _discriminator(span.name),
                {span.name: step.taught[span.name]},
                {span.name: made[span.name]},
                self.told(step, step.taught[span.given]),
                step.training,
            )
        return terms

    def alarm(self, history):
        """Whether one side of any section's game has won."""
        if not self.adversarial_weight:
            return None
        names = [key for key in history if key.endswith("_accuracy_on_teacher")]
        games = (name.removesuffix("_accuracy_on_teacher") for name in names)
        alarms = (game.collapse(history, name) for name in games if name[:4] != "val_")
        return next(filter(None, alarms), None)


def _discriminator(section):
    return f"{section}_discriminator"


def _is_discriminator(name):
    return name.endswith("_discriminator")
