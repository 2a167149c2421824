"""LIT with one discriminator for each section."""

import dataclasses
from typing import ClassVar

from trainers.lit.lit import LIT
from trainers.methods import game
from trainers.methods.adversarial import Adversarial
from trainers.methods.kd import KD


@dataclasses.dataclass(frozen=True, kw_only=True)
class LITAdversarial(LIT, Adversarial):
    """Each section's output must fool a discriminator of its own.

    In addition to the losses of LIT, each section plays its own game: its
    discriminator sees the teacher's representation as real, and as fake the output
    of the student's section for the teacher's input. With `condition: input` that
    input is the condition. Options are those of `LIT` and `Adversarial`.

    Attributes:
        sees: Must be left out: each discriminator sees its own section.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        See `LIT` and `Adversarial`.
    """

    # The games are about what sections make, whatever their losses weigh.
    only_with: ClassVar[dict[str, str]] = {"section_noise": "", "merge": ""}
    # Texts too: `condition: input` is a representation here, not the ids of a text.
    takes: ClassVar[tuple[str, ...]] = KD.takes

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
        """Checks what LIT needs: discriminators see the same representations."""
        LIT.check_shapes(self, teacher, student)

    def companions(self, teacher, student):
        """LIT's projectors, and a discriminator for each section."""
        # Projectors come first, so what a discriminator sees has the teacher's shape.
        outputs = teacher.output
        return LIT.companions(self, teacher, student) | {
            _discriminator(span.name): self.build_discriminator(
                student, {span.name: outputs[span.name]}, outputs[span.source]
            )
            for span in self.spans(teacher, student)
        }

    def optimizers(self, companions):
        """One Adam for all discriminators; projectors share the student's optimizer."""
        discriminators = [name for name in companions if _is_discriminator(name)]
        return super().optimizers({name: companions[name] for name in discriminators})

    def terms(self, trainer, step):
        """The terms of LIT, and two for each section's game."""
        outputs = self.run_spans(trainer, step)
        terms = KD.terms(self, trainer, step)
        terms |= self.section_terms(trainer, step, outputs)
        game.track_agreement(trainer, step)
        for span in self.spans(trainer.teacher, trainer.student):
            terms |= game.play(
                trainer,
                _discriminator(span.name),
                {span.name: step.taught[span.name]},
                {span.name: outputs[span.name]},
                self.select_condition(step, step.taught[span.source]),
                step.training,
            )
        return terms

    def alarm(self, history):
        """Whether one side of any section's game has won."""
        if not self.adversarial_weight:
            return None
        # Found by their metrics. Keras logs each for validation too (`val_...`), which
        # is no game of its own.
        names = [key for key in history if key.endswith("_accuracy_on_teacher")]
        games = (name.removesuffix("_accuracy_on_teacher") for name in names)
        alarms = (game.collapse(history, name) for name in games if name[:4] != "val_")
        return next(filter(None, alarms), None)


def _discriminator(section):
    return f"{section}_discriminator"


def _is_discriminator(name):
    return name.endswith("_discriminator")
