"""Renders a `.tflite` file as C++ sources for TFLite Micro, with a test of itself."""

import json
import pathlib
import re
from collections.abc import Sequence

import jinja2
import numpy as np

from distill.measure import graph as graphs
from distill.measure.end import End
from distill.report.firmware import golden as goldens
from distill.report.firmware import ops
from distill.runtime import hashes

LARGEST = 16 << 20  # Bytes of a file: more than any microcontroller holds.
_TYPES = {
    "float32": "float",
    "int8": "std::int8_t",
    "uint8": "std::uint8_t",
    "int16": "std::int16_t",
    "int32": "std::int32_t",
    "int64": "std::int64_t",
}
_STEPS = ("int8", "uint8", "int16")  # Types that are converted from and to floats.
_ROW = 12  # Numbers in a line of an array.
_TEMPLATES = (
    *("model.h", "model.cc", "golden.h", "golden.cc", "selftest.h", "micro.h"),
    "README.md",
)


def render(
    path: pathlib.Path,
    *,
    classes: Sequence[str] | None = None,
    kind: str | None = None,
    examples: np.ndarray | None = None,
) -> dict[str, str]:
    """The sources and the page of a file.

    Args:
        path: The `.tflite` file.
        classes: Names of the classes, in the order of the outputs; None if unknown.
        kind: Kind of the inputs, `images` or `texts`; None if unknown.
        examples: Inputs for the test, as `interpreter.predict` takes them; None draws
            random ones.

    Returns:
        Name of each file to its text.

    Raises:
        ValueError: If TFLite Micro cannot run the file, or it has another form than
            one input and one output of numbers.
    """
    content = path.read_bytes()
    part = graphs.Graph(content, path.name)
    takes, gives = _ends(part)
    adders = ops.adders(part)
    if classes is not None and len(classes) != _size(gives):
        raise ValueError(
            f"it gives {_size(gives)} numbers, and there are {len(classes)} classes"
        )
    name = identifier(path.stem)
    values = {
        "name": name,
        "title": f"`{_printable(path.name)}`",
        "source": json.dumps(path.name),  # ASCII, and no end of a line.
        "sha256": hashes.file_hash(path),
        "content": content,
        "takes": takes,
        "gives": gives,
        "classes": classes,
        "kind": kind,
        "adders": adders,
        "keeps_state": ops.keeps_state(part),
        "golden": goldens.make(path, takes, examples),
    }
    return {f"{name}_{source}": _render(source, values) for source in _TEMPLATES}


def identifier(stem: str) -> str:
    """The name in C++ of a file: `student.int8` -> `student_int8`.

    It is the beginning of the names of the sources, and of their namespace.
    """
    words = re.sub("[^A-Za-z0-9]+", "_", stem).strip("_")
    return words if re.match("[A-Za-z]", words) else f"model_{words}".rstrip("_")


def origin(said: dict | None) -> dict:
    """What a file says of its classes and inputs, for `render`; empty if nothing.

    Args:
        said: See `provenance.read`. A foreign file may say anything.
    """
    said = said if isinstance(said, dict) else {}
    classes, kind = said.get("classes"), said.get("kind")
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    return {"classes": classes if named else None, "kind": str(kind)}


def _printable(text):
    """A file's name on a page: nothing in it may end its line or its quotation."""
    return re.sub("[^ -_a-~]", "?", text)


def _ends(part):
    """The only input and the only output."""
    both = part.ends()
    for word, found in zip(("input", "output"), both, strict=True):
        if len(found) != 1:
            raise ValueError(f"it has {len(found)} {word}s, expected one")
        (end,) = found
        if end.dtype not in _TYPES:
            raise ValueError(f"its {word} is {end.dtype}, no number of C++")
        if _size(end) < 1:
            raise ValueError(f"the size of its {word} is left open: {end.shape}")
        if end.scale is not None and not 0 < end.scale < np.inf:
            raise ValueError(f"its {word} has the scale {end.scale}")
    takes, gives = both[0][0], both[1][0]
    if takes.shape[:1] != (1,):
        raise ValueError(f"its input {takes.shape} is not one example")
    return takes, gives


def _size(end: End) -> int:
    """The number of entries."""
    return int(np.prod(end.shape, dtype=np.int64))


def _render(source, values):
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("distill.report.firmware"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "array": _array,
        "bounds": lambda end: np.iinfo(end.dtype),
        "literal": _literal,
        "size": _size,
        "string": _string,
        "type": lambda end: _TYPES[end.dtype],
    }
    environment.tests["scaled"] = lambda end: (
        end.scale is not None and end.dtype in _STEPS
    )
    return environment.get_template(source).render(values)


def _array(numbers):
    """The entries of an array, in lines."""
    words = [_literal(number) for number in numbers]
    rows = range(0, len(words), _ROW)
    return ",\n".join("    " + ", ".join(words[row : row + _ROW]) for row in rows)


def _literal(number):
    """A number in C++; of a float all digits."""
    if not isinstance(number, (float, np.floating)):
        return str(int(number))
    digits = f"{float(number):.9g}"
    return digits + ("f" if re.search("[.e]", digits) else ".0f")


def _string(text):
    """A text in C++: its bytes in UTF-8, whatever they are."""
    encoded = text.encode(errors="replace")
    return f'"{"".join(map(_character, encoded))}"'


def _character(byte):
    """A byte in a text of C++."""
    if 0x20 <= byte < 0x7F and byte not in b'"\\?':
        return chr(byte)
    return f"\\{byte:03o}"  # Three octal digits end by themselves; hexadecimal may not.
