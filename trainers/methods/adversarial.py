"""Adversarial alignment: the student learns to fool a discriminator."""

import dataclasses
from typing import ClassVar, Literal

from gan import losses
from gan.discriminators import Discriminator
from trainers.methods import game
from trainers.methods.kd import KD


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adversarial(KD):
    """A discriminator tells the teacher's outputs from the student's.

    The teacher's outputs are real, the student's are fake. The discriminator learns
    to tell them apart, the student learns to fool it, in one step and one
    loss: the discriminator's part sees the student's outputs as constants, the
    student's part sees the discriminator's weights as constants. Add it to KD
    with a small weight. Alone and without `condition: input` it can match only the
    distribution of the teacher's outputs, not the output of each example.

    Attributes:
        adversarial_weight: Multiplies the student's adversarial loss.
        sees: Outputs that the discriminator sees: `logits` and names of
            representations, which must have equal shapes in both networks.
        condition: Its second input: `none`, the true `label`, or the network's
            `input`, which it reads with a small network of its own.
        loss: `non_saturating`, `hinge`, `least_squares` or `wasserstein`; see
            `gan.losses`.
        discriminator: The network; see `gan.discriminators`.
        discriminator_learning_rate: Rate of its own Adam optimizer.
        discriminator_steps: Its updates for each update of the student, whose
            gradient is then the mean over as many batches.
        gradient_penalty: Weight of Wasserstein's penalty on gradients that are
            not of length 1, between the teacher's and the student's outputs.
        r1: Weight of the penalty on gradients at the teacher's outputs.
        label_smoothing: Subtracted from the target of real outputs.
        mismatch_weight: Multiplies the discriminator's loss for the teacher's
            outputs with another example's condition, which count as fake.
        noise_weight: Multiplies the discriminator's loss for the student's
            outputs after dropout, which count as real: this keeps the
            discriminator from winning early.
        noise_rate: Rate of that dropout.
        stop_on_collapse: Whether an alarm ends the run instead of warning.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Discriminator on outputs of teacher and student: Belagiannis et al.,
        "Adversarial Network Compression", ECCV workshops 2018, section 3 (its
        regulariser is `noise_weight`); Xu et al., "Training Shallow and Thin
        Networks for Acceleration via Knowledge Distillation with Conditional
        Adversarial Networks", 2018, section 3. Gradient penalty: Gulrajani et
        al., 2017, section 4. R1: Mescheder et al., "Which Training Methods for
        GANs do actually Converge?", ICML 2018, section 4.1. Mismatched pairs:
        Reed et al., "Generative Adversarial Text to Image Synthesis", ICML
        2016, section 4.2.
    """

    only_with: ClassVar[dict[str, str]] = {
        "label_smoothing": "loss: non_saturating|least_squares",
        "mismatch_weight": "condition: label|input",
        "noise_rate": "noise_weight",
        "stop_on_collapse": "adversarial_weight",
    }
    # A discriminator that can only guess still has a loss, and so has the student.
    teaches_copies: ClassVar[bool] = True
    # With several teachers it is undefined whose outputs would be real.
    imitates_several: ClassVar[bool] = False

    adversarial_weight: float = 0.1
    sees: tuple[str, ...] = ("logits",)
    condition: Literal["none", "label", "input"] = "none"
    loss: Literal["non_saturating", "hinge", "least_squares", "wasserstein"] = (
        "non_saturating"
    )
    discriminator: Discriminator = Discriminator()
    discriminator_learning_rate: float = 1e-3
    discriminator_steps: int = 1
    gradient_penalty: float = 0.0
    r1: float = 0.0
    label_smoothing: float = 0.0
    mismatch_weight: float = 0.0
    noise_weight: float = 0.0
    noise_rate: float = 0.5
    stop_on_collapse: bool = False

    def __post_init__(self):
        """Refuses weights without a meaning."""
        super().__post_init__()
        for name in ("gradient_penalty", "r1"):
            _check(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        for name in ("label_smoothing", "noise_rate"):
            value = getattr(self, name)
            _check(0 <= value < 1, name, "in [0, 1)", value)
        rate, steps = self.discriminator_learning_rate, self.discriminator_steps
        _check(rate > 0, "discriminator_learning_rate", "positive", rate)
        _check(steps >= 1, "discriminator_steps", "at least 1", steps)
        _check(
            len(set(self.sees)) == len(self.sees) > 0,
            "sees",
            "a list of different names, at least one",
            list(self.sees),
        )
        _check(
            self.gradient_penalty > 0 or self.loss != "wasserstein",
            "gradient_penalty",
            "positive with `loss: wasserstein`, such as 10",
            self.gradient_penalty,
        )
        _check(
            not self.label_smoothing or self.loss in losses.WITH_TARGETS,
            "label_smoothing",
            f"0 with `loss: {self.loss}`, which has no target to smooth",
            self.label_smoothing,
        )
        _check(
            not self.mismatch_weight or self.condition != "none",
            "mismatch_weight",
            "0 without a `condition`",
            self.mismatch_weight,
        )

    @property
    def takes(self):
        """Images alone where the discriminator reads the input itself."""
        return ("images",) if self.condition == "input" else KD.takes

    @property
    def steps_per_update(self):
        """Batches for each update of the student."""
        return self.discriminator_steps

    @property
    def softens_at(self):
        """None where the discriminator sees logits too."""
        return None if "logits" in self.sees else super().softens_at

    def asks(self, teacher, student):
        """The logits and the outputs that the discriminator sees."""
        return tuple(dict.fromkeys(["logits", *self.sees]))

    def check_shapes(self, teacher, student):
        """What the discriminator sees must have equal shapes in both networks."""
        super().check_shapes(teacher, student)
        for name in self.sees:
            if name == "logits":
                continue
            if name not in teacher or teacher[name] != student.get(name):
                raise ValueError(
                    f"the discriminator must see outputs of equal shape. At `{name}` "
                    f"the teacher has {teacher.get(name)}, the student "
                    f"{student.get(name)}. Both have: "
                    f"{', '.join(k for k in teacher if teacher[k] == student.get(k))}"
                )

    def companions(self, teacher, student):
        """The discriminator."""
        seen = {name: student.output[name] for name in self.sees}
        return {
            "discriminator": self.build_discriminator(student, seen, student.inputs[0])
        }

    def build_discriminator(self, student, seen, inputs):
        """Builds a discriminator.

        Args:
            student: The built student.
            seen: Name of each output that it sees to the symbolic tensor.
            inputs: The symbolic tensor that `condition: input` stands for.
        """
        # A label is given one-hot, which has the shape of the logits.
        tensors = {"none": None, "label": student.output["logits"], "input": inputs}
        condition = tensors[self.condition]
        return self.discriminator.build(
            {name: tuple(tensor.shape[1:]) for name, tensor in seen.items()},
            None if condition is None else tuple(condition.shape[1:]),
        )

    def optimizers(self, companions):
        """One Adam for all discriminators, with the usual first momentum of 0.5."""
        import keras

        # Gradients of the past mislead: the opponent has moved since.
        optimizer = keras.optimizers.Adam(
            self.discriminator_learning_rate, beta_1=0.5, name="against"
        )
        return dict.fromkeys(companions, optimizer)

    def terms(self, trainer, step):
        """`kd_loss`, `adversarial_loss`, and `discriminator_loss`."""
        real = {name: step.taught[name] for name in self.sees}
        fake = {name: step.learned[name] for name in self.sees}
        condition = self.select_condition(step, step.inputs)
        game.track_agreement(trainer, step)
        return {
            **super().terms(trainer, step),
            **game.play(trainer, "discriminator", real, fake, condition, step.training),
        }

    def select_condition(self, step, inputs):
        """The discriminator's condition; `inputs` are what `input` stands for."""
        from keras import ops

        if self.condition == "label":
            return ops.one_hot(step.labels, step.learned["logits"].shape[-1])
        return inputs if self.condition == "input" else None

    def alarm(self, history):
        """Whether one side has won; see `game.collapse`."""
        if not self.adversarial_weight:
            return None  # The student does not play, so the discriminator always wins.
        return game.collapse(history, "discriminator")


def _check(condition, name, rule, value):
    if not condition:
        raise ValueError(f"`{name}` must be {rule}. Received: {value!r}")
