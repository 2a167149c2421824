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

    Section `i` of the student gets the teacher's representation `i - 1` and
    must return the teacher's representation `i`, so that an early section's
    errors do not reach a later one. Everything outside the sections (stem and
    head) is copied from the teacher and frozen; the second stage, `kd`, unfreezes
    it. BatchNormalization keeps the statistics of the student's own pass alone:
    the pass on the teacher's representations must not move them.

    A section whose input or output has no namesake of the same size in the teacher
    is left out and learns from the student's own pass alone. Then, and with
    `projectors`, a layer outside the sections is copied and frozen if the teacher
    has one of its name and shapes, and learns otherwise. Representations that are
    the input of a section and the output of none are then taken from the student's
    own pass and compared, under `<name>_loss`.

    Attributes:
        section_weight: Multiplies the sum of the sections' losses.
        section_weights: Multiplies each section's loss as well: one number for each
            section, or span of sections, in order. Empty means 1 for all, as in LIT.
        section_loss: `mse`, as in LIT: `response.representation_loss`;
            `normalized_mse`, as a share of the variance of the teacher's
            representation, so that sections of large activations do not outweigh the
            others: `response.normalized_loss`; or `cosine`, the directions alone:
            `response.cosine_loss`.
        section_noise: Standard deviation of the Gaussian noise added to a section's
            input in training, as a share of the representation's own, for each example.
            The authors' code has an unused 0.1, in units of the activations.
        merge: Neighbouring sections that are trained as one span: from the teacher's
            representation before it, the span must compute the one after it, and the
            representations between its sections are not compared. Stages with 1, 2, 3
            and then `kd` are StableKD's recomposition, which goes from separate blocks
            to the whole network.
        projectors: Whether the two networks may differ in channels. Where they do, a
            linear map of the channels, trained with the student, is put before a
            section (to the student's channels) and another after it (to the
            teacher's), like the regressor of FitNet.
        thaw: Whether the copied layers learn too. LIT freezes them on images; on texts
            its authors' code freezes them in the first stage alone.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Koratana et al., "LIT: Learned Intermediate Representation Training for
        Model Compression", ICML 2019, section 3; noise: the authors' code,
        `stanford-futuredata/lit-code`. `merge`: "StableKD: Breaking Inter-block
        Optimization Entanglement for Stable Knowledge Distillation", 2023,
        https://arxiv.org/abs/2312.13223, of which only the abstract was read: what is
        compared within a span is our choice. `projectors`: see `FitNet`.
    """

    only_with: ClassVar[dict[str, str]] = dict.fromkeys(
        ("section_weights", "section_loss", "section_noise", "merge"), "section_weight"
    )
    recalibrates: ClassVar[bool] = True
    needs_network: ClassVar[bool] = True  # `prepare` copies stem and head.

    section_weight: float = 1.0
    section_weights: tuple[float, ...] = ()
    section_loss: Literal["mse", "normalized_mse", "cosine"] = "mse"
    section_noise: float = 0.0
    merge: int = 1
    projectors: bool = False
    thaw: bool = False

    def __post_init__(self):
        """Refuses numbers out of range."""
        super().__post_init__()
        weights = self.section_weights
        if weights and (min(weights) < 0 or not any(weights)):
            raise ValueError(
                "`section_weights` must be at least 0, and one of them positive. "
                f"Received: {list(weights)}"
            )
        for name, least in (("section_noise", 0), ("merge", 1)):
            if (value := getattr(self, name)) < least:
                message = f"`{name}` must be at least {least}. Received: {value}"
                raise ValueError(message)

    def check_shapes(self, teacher, student):
        """Some section must have counterparts in the teacher, of equal channels."""
        pieces = spans.spans(teacher, student, self.merge)
        if not pieces:
            raise ValueError(
                "LIT needs a section whose input and output have the same names and "
                "sizes in teacher and student. Received: "
                f"teacher {_format_shapes(teacher)}; student {_format_shapes(student)}"
            )
        for name in dict.fromkeys(end for span in pieces for end in _endpoints(span)):
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
        """The logits, and the inputs and outputs of all spans."""
        pieces = spans.spans(teacher, student, self.merge)
        ends = (end for span in pieces for end in _endpoints(span))
        return tuple(dict.fromkeys(["logits", *ends]))

    def spans(self, teacher, student) -> list[spans.Span]:
        """The spans that two built networks have in common."""
        return spans.spans(
            representations.shapes(teacher), representations.shapes(student), self.merge
        )

    def entries(self, teacher, student) -> list[str]:
        """Representations that are compared as the student's own pass computes them."""
        alike = representations.shapes(teacher) == representations.shapes(student)
        return [] if alike else spans.entries(self.spans(teacher, student))

    def prepare(self, teacher, student):
        """Copies the layers outside the sections from the teacher and freezes them."""
        sections = section_names(student.output)
        alike = representations.shapes(teacher) == representations.shapes(student)
        for layer in student.layers:
            # In networks of equal representations every layer outside the sections
            # must fit. One that does not is a mistake: `copy` raises and names it.
            if layer.name not in sections and (alike or copied.fits(teacher, layer)):
                copied.copy(teacher, layer)
                layer.trainable = self.thaw

    def companions(self, teacher, student):
        """A projector on each side of a section where the channels differ."""
        theirs, ours = representations.shapes(teacher), representations.shapes(student)
        pieces = self.spans(teacher, student)
        projectors = {}
        for span in pieces:
            if theirs[span.source] != ours[span.source]:
                name = _projector("input", span.name)
                shape, channels = theirs[span.source], ours[span.source][-1]
                projectors[name] = linear(name, shape, channels)
        outputs = [span.name for span in pieces]
        for end in [*self.entries(teacher, student), *outputs]:
            if theirs[end] != ours[end]:
                name = _projector("output", end)
                projectors[name] = linear(name, ours[end], theirs[end][-1])
        return projectors

    def terms(self, trainer, step):
        """`kd_loss`, and one term for each section."""
        return {
            **super().terms(trainer, step),
            **self.section_terms(trainer, step, self.run_spans(trainer, step)),
        }

    def run_spans(self, trainer, step) -> dict:
        """Name of each span to its output for the teacher's representation."""
        from keras import ops

        outputs = {}
        for span in self.spans(trainer.teacher, trainer.student):
            output = self._section_input(
                trainer, step.taught[span.source], step.training
            )
            output = _project(trainer, "input", span.name, output)
            for name in span.sections:
                section = trainer.student.get_layer(name)
                output = self.run_section(section, output, step.training)
            output = ops.cast(output, "float32")
            outputs[span.name] = _project(trainer, "output", span.name, output)
        return outputs

    def run_section(self, section, inputs, training):
        """The output of one section, without a trace in its statistics."""
        # Stateless: this pass's updates of BatchNormalization's statistics are dropped.
        return section.stateless_call(
            [variable.value for variable in section.trainable_variables],
            [variable.value for variable in section.non_trainable_variables],
            inputs,
            training=training,
        )[0]

    def section_terms(self, trainer, step, outputs) -> dict:
        """The loss of each span, from its `outputs`, and of each entry."""
        from trainers.losses import response

        loss = {
            "mse": response.representation_loss,
            "normalized_mse": response.normalized_loss,
            "cosine": response.cosine_loss,
        }[self.section_loss]
        # No weights means 1 for each span, so the lengths may differ.
        weights = dict(zip(outputs, self.section_weights, strict=False))
        entries = {
            name: _project(trainer, "output", name, step.learned[name])
            for name in self.entries(trainer.teacher, trainer.student)
        }
        return {
            f"{name}_loss": self.section_weight
            * weights.get(name, 1.0)
            * loss(step.taught[name], output)
            for name, output in {**entries, **outputs}.items()
        }

    def _section_input(self, trainer, taught, training):
        """The teacher's representation, in training with `section_noise`."""
        from keras import ops, random

        if not self.section_noise or not training:
            return taught
        axes = tuple(range(1, len(taught.shape)))
        scale = self.section_noise * ops.std(taught, axis=axes, keepdims=True)
        return taught + scale * random.normal(ops.shape(taught), seed=trainer.draws)


def _projector(side, name):
    return f"{name}_{side}_projector"


def _project(trainer, side, name, value):
    """Applies the projector on this side of a section, if there is one."""
    projector = trainer.companions.get(_projector(side, name))
    return value if projector is None else projector(value)


def _endpoints(span):
    return span.source, span.name


def _format_shapes(shapes):
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())
