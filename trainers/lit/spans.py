"""What LIT trains as one piece: sections between representations of both networks."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trainers.methods.representations import section_names

Shapes = Mapping[str, tuple[int, ...]]


class Span(NamedTuple):
    """Neighbouring sections of the student, trained as one.

    Attributes:
        given: The representation that goes in.
        sections: Names of the sections, in order.
    """

    given: str
    sections: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the last section, which is that of what comes out."""
        return self.sections[-1]


def spans(teacher: Shapes, student: Shapes, merge: int = 1) -> list[Span]:
    """The pieces of a student, in order.

    A section belongs to one if its input and its output have namesakes of the same
    size, whatever the channels, in the teacher. A piece ends where a section does not.

    Args:
        teacher: Name of each representation to its shape, channels last.
        student: The same for the student.
        merge: Sections in a span; the last of a row may have fewer.
    """
    names = [name for name in student if name == "stem"] + section_names(student)
    fits = [
        name in teacher and teacher[name][:-1] == student[name][:-1] for name in names
    ]
    found: list[Span] = []
    for index in range(1, len(names)):
        given, name = names[index - 1 : index + 1]
        if not (fits[index - 1] and fits[index]):
            continue
        if found and found[-1].name == given and len(found[-1].sections) < merge:
            found[-1] = Span(found[-1].given, (*found[-1].sections, name))
        else:
            found.append(Span(given, (name,)))
    return found


def starts(pieces: Sequence[Span]) -> list[str]:
    """The representations that go into a span and come out of none."""
    made = {span.name for span in pieces}
    return [span.given for span in pieces if span.given not in made]
