"""Options of parts named `python` that no dataclass declares are a function's."""

import json

import pytest

import students
from distill import config
from distill.config import reader, writer
from distill.runtime import errors

TEXT = """
source: nets.py:build
a: 1e-3
b: [1, {c: on, d: null}, "2", -3]
e: 2020-01-01
sections: []
"""


def test_keywords_are_read_as_options_of_a_declared_type_are(tmp_path):
    file = tmp_path / "run.yaml"
    options = TEXT.strip().replace("\n", "\n    ")
    file.write_text(f"student:\n  name: python\n  options:\n    {options}\n")
    root = reader.tree(file, ["student.options.a=4", "student.options.f=x y"], {})
    part = reader.read_part(config.Run, root, "student")
    assert json.loads(part.keywords) == {
        "a": 4,
        "b": [1, {"c": True, "d": None}, "2", -3],
        "e": "2020-01-01",
        "f": "x y",
    }
    assert part.sections == () and part.source == "nets.py:build"
    root = reader.tree(file, [], {})
    part = reader.read_part(config.Run, root, "student")
    assert json.loads(part.keywords)["a"] == 0.001


def test_a_part_is_read_as_it_was_written_and_may_be_changed_then():
    part = students.OwnPython(source="n.py:f", keywords='{"a": "1", "b": 2.0}')
    given = {"student": writer.plain_value(part)}
    again = reader.read_part(config.Run, reader.tree(given, (), {}), "student")
    assert again == part
    root = reader.tree(given, ["student.options.b=3", "student.options.c=4"], {})
    changed = reader.read_part(config.Run, root, "student")
    assert json.loads(changed.keywords) == {"a": "1", "b": 3, "c": 4}


def test_the_other_parts_keep_their_own_options():
    wrong = {"student": {"name": "resnet", "options": {"source": "a.py:b"}}}
    with pytest.raises(errors.ConfigError, match="unknown key `source`"):
        reader.read_part(config.Run, reader.tree(wrong, (), {}), "student")
    options = {"source": "a.py:b", "keywords": "3", "c": 1}
    wrong = {"data": {"name": "python", "options": options}}
    with pytest.raises(errors.ConfigError, match="expected keywords, as JSON"):
        reader.tree(wrong, (), {})
