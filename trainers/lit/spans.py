"""Spans: neighbouring sections that LIT trains together."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trainers.methods.representations import section_names

Shapes = Mapping[str, tuple[int, ...]]


class Span(NamedTuple):
    """Neighbouring sections of the student, trained together.

    Attributes:
        source: Name of the representation that is its input.
        sections: Names of the sections, in order.
    """

    source: str
    sections: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the last section, and so of the span's output."""
        return self.sections[-1]


def spans(teacher: Shapes, student: Shapes, merge: int = 1) -> list[Span]:
    """Finds the spans of a student, in order.

    A section is part of a span if its input and its output have namesakes of the same
    size in the teacher, with any number of channels. A section that is part of none
    ends the span before it.

    Args:
        teacher: Name of each representation to its shape, channels last.
        student: The same for the student.
        merge: Sections in a span; the last one before a gap may have fewer.
    """
    names = [name for name in student if name == "stem"] + section_names(student)
    fits = [
        name in teacher and teacher[name][:-1] == student[name][:-1] for name in names
    ]
    pieces: list[Span] = []
    for index in range(1, len(names)):
        source, name = names[index - 1 : index + 1]
        if not (fits[index - 1] and fits[index]):
            continue
        if pieces and pieces[-1].name == source and len(pieces[-1].sections) < merge:
            pieces[-1] = Span(pieces[-1].source, (*pieces[-1].sections, name))
        else:
            pieces.append(Span(source, (name,)))
    return pieces


def entries(pieces: Sequence[Span]) -> list[str]:
    """Representations that are the input of a span and the output of none."""
    outputs = {span.name for span in pieces}
    return [span.source for span in pieces if span.source not in outputs]
