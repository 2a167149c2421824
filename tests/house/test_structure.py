"""The house keeps its form: small files, small folders, imports at the top, one way."""

import ast
import pathlib
import subprocess
import sys

import pytest

from distill import cli

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ("distill", "gan", "students", "trainers")
LINES, FILES = 250, 15
# In `distill/`: one file each, `api.py`, `cli.py` and `__main__.py`.
COMMANDS = len(cli.COMMANDS) + 3
# Own imports inside functions, by file. Doors have a block each, which comes after the
# config has been read; parts that a config reads import Keras when they build. A number
# may fall, never rise.
INSIDE = {
    "distill/api.py": 2,
    "distill/benchmark.py": 1,
    "distill/check.py": 5,
    "distill/cli.py": 1,
    "distill/compare.py": 2,
    "distill/compress/__init__.py": 1,
    "distill/doctor.py": 2,
    "distill/evaluate.py": 1,
    "distill/export.py": 1,
    "distill/finish.py": 1,
    "distill/generate.py": 1,
    "distill/inspect.py": 3,
    "distill/run/arguments.py": 1,
    "distill/run/child.py": 10,
    "distill/run/conductor.py": 4,
    "distill/run/own/child.py": 1,
    "distill/runtime/resume/building.py": 1,
    "distill/runtime/trust/sandbox.py": 1,
    "distill/score.py": 1,
    "distill/studies/coresets/__main__.py": 2,
    "distill/studies/tabular/transfer.py": 1,
    "distill/tabular.py": 1,
    "distill/train.py": 1,
}


def modules():
    """Name of each of our modules to its file."""
    result = {}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            parts = file.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            result[name] = file
    return result


MODULES = modules()


def imports(tree):
    """Our modules that a piece of code imports; those of annotations are none."""
    typing_only = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for part in ast.walk(node)
    }
    result = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            result |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            result |= {name if name in MODULES else node.module for name in whole}
    return result & set(MODULES)


def imports_in_functions(tree):
    """Import statements of our modules that stand inside functions."""
    return [
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom) and imports(node)
    ]


def test_the_walk_sees_the_house():
    assert {"distill.run.conductor", "trainers.lit.lit"} <= set(MODULES)
    tree = ast.parse(MODULES["distill.run.training"].read_text())
    assert "distill.run.preflight" in imports(tree)


@pytest.mark.parametrize("name", MODULES)
def test_a_file_has_at_most_250_lines(name):
    assert len(MODULES[name].read_text().splitlines()) <= LINES


def test_a_folder_has_at_most_15_files():
    folders = {file.parent for file in MODULES.values()}
    crowded = {
        str(folder): count
        for folder in folders
        if (count := len({*folder.glob("*.py")} - {folder / "__init__.py"}))
        > (COMMANDS if folder == ROOT / "distill" else FILES)
    }
    assert not crowded


def test_no_module_imports_itself_by_way_of_others():
    arrows = {
        name: imports(ast.parse(file.read_text())) - {name}
        for name, file in MODULES.items()
        if file.name != "__init__.py"
    }

    def reachable(start):
        seen, todo = set(), [start]
        while todo:
            for name in arrows.get(todo.pop(), ()):
                if name not in seen:
                    seen.add(name)
                    todo.append(name)
        return seen

    assert not {name for name in arrows if name in reachable(name)}


def test_own_imports_inside_functions_only_become_fewer():
    counts = {
        str(file.relative_to(ROOT)): len(
            imports_in_functions(ast.parse(file.read_text()))
        )
        for file in MODULES.values()
        if file.is_relative_to(ROOT / "distill")
    }
    more = {
        file: count for file, count in counts.items() if count > INSIDE.get(file, 0)
    }
    assert not more, "import at the top, or open the circle that forbids it"
    fewer = {file: counts.get(file, 0) for file in INSIDE}
    assert fewer == INSIDE, "fewer than written here: write it"


def test_public_names_are_there_and_wait_until_they_are_asked_for():
    code = (
        "import sys, distill; before = set(sys.modules); "
        "print([callable(getattr(distill, name)) for name in distill.__all__], "
        "'distill.compress' in before, hasattr(distill, 'nothing'), "
        "{'keras', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[True, True, True] False False set()", done.stderr
