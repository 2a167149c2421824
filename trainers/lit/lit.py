"""LIT: each section of the student learns the map of the teacher's own section."""

import dataclasses
from typing import ClassVar, Literal

from trainers.lit import copied, spans
from trainers.methods import representations
from trainers.methods.kd import KD
from trainers.methods.representations import linear, section_names


@dataclasses.dataclass(frozen=True, kw_only=True)
class LIT(KD):
    """Learned intermediate representation training, the first of its two stages.

    Section `i` of the student is fed the teacher's representation `i - 1` and
    must return the teacher's representation `i`, so that an early section's
    errors do not reach a later one. Everything outside the sections (stem and
    head) is copied from the teacher and frozen; the second stage, `kd`, thaws
    it. BatchNormalization keeps the statistics of the student's own pass alone:
    the pass on the teacher's representations must not move them.

    A section whose input or output has no namesake of the same size in the teacher
    stays out of this, and learns from the student's own pass alone. Then, and with
    `projectors`, a layer outside the sections is copied and frozen where the teacher
    has one of its name and shapes, and learns where it has not; the representations
    that go into sections and come out of none are compared as the student's own pass
    makes them, under `<name>_loss`.

    Attributes:
        section_weight: Multiplies the sum of the sections' losses.
        section_weights: Multiplies each section's loss once more: one number a
            section, or a span of them, in order. Empty means 1 for all, as in LIT.
        section_loss: `mse`, as in LIT: `response.representation_loss`;
            `normalized_mse`, in shares of the variance of the teacher's
            representation, so that sections of large activations do not outweigh the
            others: `response.normalized_loss`; or `cosine`, the directions alone:
            `response.cosine_loss`.
        section_noise: Standard deviation of the Gaussian noise that is added in
            training to what a section is fed, as a share of the standard deviation
            of that representation, of each example. The authors' code has an unused
            0.1, in units of the activations.
        merge: Neighbouring sections that are trained as one span: fed the teacher's
            representation before it, the span must return the one after it, and what
            passes between its sections is compared no more. Stages with 1, 2, 3 and
            then `kd` are StableKD's recomposition, which goes from separate blocks to
            the whole network.
        projectors: Whether the two networks may differ in channels. Where they do, a
            linear map of the channels, trained beside the student, stands before a
            section (to the student's channels) and another after it (to the
            teacher's), as the regressor of FitNet.
        thaw: Whether what was copied learns too. LIT on images freezes it, on text
            its authors' code does so in the first stage alone.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Koratana et al., "LIT: Learned Intermediate Representation Training for
        Model Compression", ICML 2019, section 3; noise: the authors' code,
        `stanford-futuredata/lit-code`. `merge`: "StableKD: Breaking Inter-block
        Optimization Entanglement for Stable Knowledge Distillation", 2023, of which
        the abstract alone was read: what is compared within a span is our choice.
        https://arxiv.org/abs/2312.13223. `projectors`: see `FitNet`.
    """

    only_with: ClassVar[dict[str, str]] = dict.fromkeys(
        ("section_weights", "section_loss", "section_noise", "merge"), "section_weight"
    )
    recalibrates: ClassVar[bool] = True

    section_weight: float = 1.0
    section_weights: tuple[float, ...] = ()
    section_loss: Literal["mse", "normalized_mse", "cosine"] = "mse"
    section_noise: float = 0.0
    merge: int = 1
    projectors: bool = False
    thaw: bool = False

    def __post_init__(self):
        """Refuses numbers without a meaning."""
        super().__post_init__()
        weights = self.section_weights
        if weights and (min(weights) < 0 or not any(weights)):
            raise ValueError(
                "`section_weights` must be at least 0, and one of them positive. "
                f"Received: {list(weights)}"
            )
        for name, least in (("section_noise", 0), ("merge", 1)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(
                    f"`{name}` must be at least {least}. Received: {value}"
                )

    def check_shapes(self, teacher, student):
        """There must be a section with counterparts, all of the same channels."""
        pieces = spans.spans(teacher, student, self.merge)
        if not pieces:
            raise ValueError(
                "LIT needs a section whose input and output have the same names and "
                "sizes in teacher and student. Received: "
                f"teacher {_listed(teacher)}; student {_listed(student)}"
            )
        for name in dict.fromkeys(end for span in pieces for end in _ends(span)):
            if teacher[name] != student[name] and not self.projectors:
                raise ValueError(
                    f"LIT needs representations of equal shape. At `{name}` the "
                    f"teacher has {teacher[name]}, the student {student[name]}: give "
                    "both networks the same `width`, or set `projectors: true`"
                )
        sections = sum(len(span.sections) for span in pieces)
        if self.merge > sections:
            raise ValueError(
                f"LIT's `merge` must be at most the {sections} sections that teacher "
                f"and student have in common. Received: {self.merge}"
            )
        if self.section_weights and len(self.section_weights) != len(pieces):
            raise ValueError(
                f"LIT needs {len(pieces)} `section_weights`, for "
                f"{', '.join(span.name for span in pieces)}. "
                f"Received: {list(self.section_weights)}"
            )

    def asks(self, teacher, student):
        """What goes into a span or must come out of one, beside the logits."""
        pieces = spans.spans(teacher, student, self.merge)
        ends = (end for span in pieces for end in _ends(span))
        return tuple(dict.fromkeys(["logits", *ends]))

    def spans(self, teacher, student) -> list[spans.Span]:
        """What is trained as one piece, in two built networks."""
        return spans.spans(
            representations.shapes(teacher), representations.shapes(student), self.merge
        )

    def starts(self, teacher, student) -> list[str]:
        """Representations that are compared as the student's own pass makes them."""
        alike = representations.shapes(teacher) == representations.shapes(student)
        return [] if alike else spans.starts(self.spans(teacher, student))

    def prepare(self, teacher, student):
        """Copies and freezes what is not a section."""
        sections = section_names(student.output)
        alike = representations.shapes(teacher) == representations.shapes(student)
        for layer in student.layers:
            # Between networks whose representations are alike, a layer that does
            # not fit is a mistake, and is named.
            if layer.name not in sections and (alike or copied.fits(teacher, layer)):
                copied.copy(teacher, layer)
                layer.trainable = self.thaw

    def companions(self, teacher, student):
        """A projector on each side of a section where the channels differ."""
        given, made = representations.shapes(teacher), representations.shapes(student)
        pieces = self.spans(teacher, student)
        found = {}
        for span in pieces:
            if given[span.given] != made[span.given]:
                name = _projector("input", span.name)
                found[name] = linear(name, given[span.given], made[span.given][-1])
        ends = [span.name for span in pieces]
        for end in [*self.starts(teacher, student), *ends]:
            if given[end] != made[end]:
                name = _projector("output", end)
                found[name] = linear(name, made[end], given[end][-1])
        return found

    def terms(self, trainer, step):
        """`kd_loss`, and one term for each section."""
        return {
            **super().terms(trainer, step),
            **self.section_terms(trainer, step, self.made(trainer, step)),
        }

    def made(self, trainer, step) -> dict:
        """Name of each span to what it makes of the teacher's input."""
        from keras import ops

        made = {}
        for span in self.spans(trainer.teacher, trainer.student):
            output = self._fed(trainer, step.taught[span.given], step.training)
            output = _projected(trainer, "input", span.name, output)
            for name in span.sections:
                section = trainer.student.get_layer(name)
                output = self.passed(section, output, step.training)
            output = ops.cast(output, "float32")
            made[span.name] = _projected(trainer, "output", span.name, output)
        return made

    def passed(self, section, given, training):
        """What a section makes of what it is given."""
        # Stateless: the updates of BatchNormalization's statistics by this pass
        # are thrown away.
        output, _ = section.stateless_call(
            [variable.value for variable in section.trainable_variables],
            [variable.value for variable in section.non_trainable_variables],
            given,
            training=training,
        )
        return output

    def section_terms(self, trainer, step, made) -> dict:
        """The loss of each span, by what it `made`, and those of what starts a row."""
        from trainers.losses import response

        loss = {
            "mse": response.representation_loss,
            "normalized_mse": response.normalized_loss,
            "cosine": response.cosine_loss,
        }[self.section_loss]
        weights = dict(zip(made, self.section_weights, strict=False))
        own = {
            name: _projected(trainer, "output", name, step.learned[name])
            for name in self.starts(trainer.teacher, trainer.student)
        }
        return {
            f"{name}_loss": self.section_weight
            * weights.get(name, 1.0)
            * loss(step.taught[name], output)
            for name, output in {**own, **made}.items()
        }

    def _fed(self, trainer, taught, training):
        """The teacher's representation as a section is fed it."""
        from keras import ops, random

        if not self.section_noise or not training:
            return taught
        axes = tuple(range(1, len(taught.shape)))
        scale = self.section_noise * ops.std(taught, axis=axes, keepdims=True)
        return taught + scale * random.normal(ops.shape(taught), seed=trainer.draws)


def _projector(side, name):
    return f"{name}_{side}_projector"


def _projected(trainer, side, name, value):
    """Through the projector there, if there is one."""
    projector = trainer.companions.get(_projector(side, name))
    return value if projector is None else projector(value)


def _ends(span):
    return span.given, span.name


def _listed(shapes):
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())
