"""The Python of a config: nothing runs unless allowed, and mistakes are one line."""

import hashlib
import importlib

import pytest

from distill import api, cli
from distill.runtime import errors
from distill.runtime.trust import own_python

FILE = """
import pathlib
pathlib.Path("it_ran").touch()
SIZE = 3
def build(number=SIZE):
    return number
def broken():
    return undefined
"""
WITH_FLAG = """benchmark check compare doctor evaluate export finish generate score
train"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_nets.py").write_text(FILE)
    return tmp_path


def test_nothing_runs_unless_allowed_and_the_line_names_what_would(folder):
    with pytest.raises(errors.ConfigError) as caught:
        own_python.load("my_nets.py:build", False)
    line = str(caught.value)
    assert f"`build` of {folder / 'my_nets.py'}" in line and "--allow-python" in line
    assert not (folder / "it_ran").exists()
    assert own_python.load("my_nets.py:build", True)() == 3
    assert (folder / "it_ran").exists()


@pytest.mark.parametrize(
    ("content", "source", "said"),
    [
        (FILE, "my_net.py:build", "no such file: my_net.py"),
        (FILE, "my_nets.py:make", "no function `make`. Its functions: build, broken"),
        (
            FILE,
            "my_nets.py:SIZE",
            "has no function `SIZE`. Its functions: build",
        ),
        ("", "my_nets.py:build", "Its functions: none"),
        ("import nosuch\n", "my_nets.py:build", "line 1, `import nosuch`: ModuleNot"),
        ("x = (\n", "my_nets.py:build", "line 1: SyntaxError: '(' was never closed"),
        ("raise SystemExit(5)\n", "my_nets.py:build", "`raise SystemExit(5)`: System"),
        ("def f():\n  1 / 0\nf()\n", "my_nets.py:f", "line 2, `1 / 0`: ZeroDivision"),
        (FILE, "my_nets.py", "such as my_nets.py:build. Received: my_nets.py"),
        (FILE, "my_nets:build", "such as my_nets.py:build. Received: my_nets:build"),
        (FILE, "my_nets.py:a b", "Received: my_nets.py:a b"),
    ],
)
def test_a_mistake_is_one_line(content, source, said, folder):
    (folder / "my_nets.py").write_text(content)
    with pytest.raises(errors.ConfigError) as caught:
        own_python.load(source, True)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_an_error_of_the_function_names_its_line_and_keeps_its_traceback():
    source = "my_nets.py:broken"
    broken = own_python.load(source, True)
    with pytest.raises(errors.ConfigError) as caught, own_python.running(source):
        broken()
    said = f"{source}: line 8, `return undefined`: NameError: name 'undefined'"
    assert said in str(caught.value)
    assert isinstance(caught.value.__cause__, NameError)


def test_modules_beside_the_file_are_found_then_and_only_then(folder):
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "beside_it.py").write_text("SIZE = 7\n")
    text = "import dataclasses\n@dataclasses.dataclass\nclass A:\n  b: 'A' = None\n"
    text += "def build():\n  import beside_it\n  return beside_it.SIZE\n"
    (folder / "elsewhere" / "nets.py").write_text(text)
    source = f"{folder}/elsewhere/nets.py:build"
    build = own_python.load(source, True)
    with pytest.raises(ModuleNotFoundError):
        build()
    with own_python.running(source):
        assert build() == 7


def test_the_hash_is_the_files_and_a_change_is_seen_at_once(folder):
    source = "my_nets.py:build"
    assert own_python.file_hash(source) == hashlib.sha256(FILE.encode()).hexdigest()
    assert own_python.load(source, True)() == 3
    (folder / "my_nets.py").write_text(FILE.replace("SIZE = 3", "SIZE = 4"))
    assert own_python.load(source, True)() == 4
    assert not (folder / "__pycache__").exists()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_commands_that_may_run_a_configs_python_have_the_flag(name, capsys):
    with pytest.raises(SystemExit):
        importlib.import_module(f"distill.{name}").main(["--help"])
    assert ("--allow-python" in capsys.readouterr().out) == (name in WITH_FLAG.split())


def test_a_permission_holds_for_one_call():
    flags = ["--allow-python", "--config=lit_resnet.yaml", "--set=nosuch=1"]
    for given in (flags, flags[1:]):
        assert importlib.import_module("distill.check").main(given) == 2
        assert own_python.is_allowed() == ("--allow-python" in given)
    with pytest.raises(ZeroDivisionError), api._session(allow_python=True):
        assert own_python.is_allowed()
        raise ZeroDivisionError
    assert not own_python.is_allowed()
