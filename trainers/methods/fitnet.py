"""FitNet: the student's representations are regressed onto the teacher's."""

import dataclasses
from typing import ClassVar

from trainers.methods.representations import FromRepresentations, linear


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitNet(FromRepresentations):
    """Hints: each compared representation is regressed onto the teacher's.

    Where the numbers of channels differ, a 1x1 convolution, trained with the student,
    maps the student's representation to the teacher's channels. The source compares
    one representation in the middle, in a stage of its own before `kd`: that is
    `representations` of one name, `kd_weight` 0 and `task_weight` 0. Here several
    hints may be combined, and added to the other losses.

    Attributes:
        hint_weight: Multiplies the mean squared error of each representation.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, section 2.2.
        https://arxiv.org/abs/1412.6550
    """

    only_with: ClassVar[dict[str, str]] = {"representations": "hint_weight"}
    compares_positions: ClassVar[bool] = True

    hint_weight: float = 1.0

    def companions(self, teacher, student):
        """A regressor for each pair of representations with unequal channels."""
        regressors = {}
        for name in self.select(student.output):
            shape = student.output[name].shape[1:]
            channels = teacher.output[name].shape[-1]
            if shape[-1] != channels:
                label = f"{name}_regressor"
                regressors[label] = linear(label, shape, channels)
        return regressors

    def compare(self, name, trainer, step):
        """One term, `hint_loss`."""
        from trainers.losses import response

        regressor = trainer.companions.get(f"{name}_regressor")
        learned = step.learned[name]
        mapped = learned if regressor is None else regressor(learned)
        loss = response.representation_loss(step.taught[name], mapped)
        return {"hint_loss": self.hint_weight * loss}
