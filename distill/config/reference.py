"""Files that were made elsewhere, measured beside those of a run."""

import dataclasses
import math
import os
import pathlib
import re

from distill.runtime.errors import check

_BEGIN = "reference."  # Of the name of a reference in the report.


def is_reference(name: str) -> bool:
    """Whether a model of a report was made elsewhere, by its name."""
    return name.startswith(_BEGIN)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """A `.tflite` file that was made elsewhere, measured as the student's files are.

    Attributes:
        file: The file, of one input and one output, a number for each class. If there
            is none at that path, it is looked for in the folder that the environment
            variable `DISTILL_DATA` names.
        name: Its name in the report, after `reference.`; absent, that of the file.
        sha256: SHA-256 hash of `file`; another file is refused.
        input_range: The numbers that the file wants for black and for white, 0 and 1
            in our images, such as `[0, 255]` or `[-1, 1]`. If the file takes integers,
            these numbers are quantized by its own scale and zero point.
    """

    file: str
    name: str | None = None
    sha256: str | None = None
    input_range: tuple[float, ...] = (0.0, 1.0)

    def __post_init__(self):
        """Refuses names that are no part of a file's name, and impossible ranges."""
        named = self.name is None or re.fullmatch(r"\w[\w.-]*", self.name)
        check(named, "name", "letters, digits, `_`, `-` and `.`", self.name)
        check_hash(self.sha256)
        check_range("input_range", self.input_range)

    @property
    def title(self) -> str:
        """Its name in the report."""
        return _BEGIN + (self.name or pathlib.Path(self.file).stem)

    @property
    def path(self) -> pathlib.Path:
        """The file, here or in the folder of the data."""
        path = pathlib.Path(self.file).expanduser()
        folder = os.environ.get("DISTILL_DATA")
        if folder and not path.exists():
            beside = pathlib.Path(folder).expanduser() / path
            return beside if beside.exists() else path
        return path


def check_hash(sha256: str | None) -> None:
    """Refuses what is no SHA-256 hash, but for its absence.

    Raises:
        ValueError: If it is not 64 hexadecimal digits.
    """
    valid = sha256 is None or re.fullmatch("[0-9a-fA-F]{64}", sha256)
    check(valid, "sha256", "64 hexadecimal digits", sha256)


def check_range(name: str, limits: tuple[float, ...]) -> None:
    """Refuses what is no range of numbers.

    Args:
        name: Of the option.
        limits: Its value.

    Raises:
        ValueError: If it is not two finite numbers, the smaller first.
    """
    valid = len(limits) == 2 and all(map(math.isfinite, limits))
    rule = "two numbers, the smaller first"
    check(valid and limits[0] < limits[1], name, rule, list(limits))
