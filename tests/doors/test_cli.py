"""Commands answer fast and without TensorFlow; mistakes end in one line and a 2."""

import pathlib
import subprocess
import sys

import pytest

import distill
from distill import cli
from distill.cli import COMMANDS

# Runs a command, then says on stderr which heavy packages it imported.
WATCHED = """
import atexit, runpy, sys
heavy = ("keras", "tensorflow", "tf_keras", "sklearn", "jax")
atexit.register(lambda: print("HEAVY", [m for m in heavy if m in sys.modules],
                              file=sys.stderr))
module = sys.argv.pop(1)
sys.argv[0] = module
runpy.run_module(module, run_name="__main__")
"""


def run(folder, module, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, module, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(pathlib.Path(__file__).parents[2]), "PATH": ""},
        capture_output=True,
        text=True,
    )
    *stderr, heavy = done.stderr.splitlines()
    assert heavy == "HEAVY []"
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, stderr


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_needs_no_tensorflow(command, tmp_path):
    code, out, _ = run(tmp_path, f"distill.{command}", "--help")
    assert code == 0
    assert f"distill.{command}" in out
    assert ("--config" in out) == (
        command not in ("inspect", "pack", "unpack", "aggregate", "clean")
    )


@pytest.mark.parametrize("command", ["train", "check", "evaluate", "compare", "score"])
@pytest.mark.parametrize(
    "flags",
    [
        ["--config=none.yaml"],
        ["--config=lit_resnet.yaml", "--set=batchsize=1"],
        ["--config=lit_resnet.yaml", "--seed=-1"],
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(command, flags, tmp_path):
    if command == "evaluate":
        (tmp_path / "some.keras").write_text("")
        flags = [*flags, "--model=some.keras"]
    if command == "compare":
        flags = [flag.replace("--config=", "--configs=") for flag in flags]
        flags = [flag.replace("--seed=", "--set=seed=") for flag in flags]
    before = list(tmp_path.iterdir())
    code, out, stderr = run(tmp_path, f"distill.{command}", *flags)
    assert code == 2
    assert out == ""
    assert len(stderr) == 1
    assert stderr[0].startswith("error: ")
    assert list(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "flags",
    [
        ["--config=none.yaml"],
        ["--config=lit_resnet.yaml"],
        ["--config=tabular_breast_cancer.yaml", "--seeds=0"],
        ["--config=tabular_magic.yaml"],
        ["--config=tabular_magic.yaml", "--set=data.options.folder=nowhere"],
    ],
)
def test_a_mistake_in_a_study_is_one_line_and_leaves_nothing(flags, tmp_path):
    code, out, stderr = run(tmp_path, "distill.tabular", *flags)
    assert (code, out, len(stderr)) == (2, "", 1)
    assert stderr[0].startswith("error: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [[], ["--config"], ["--seed=x", "--config=a.yaml"]])
def test_wrong_flags_end_in_a_2(flags, tmp_path):
    assert run(tmp_path, "distill.train", *flags)[0] == 2


def test_export_refuses_what_is_no_model(tmp_path):
    code, _, stderr = run(tmp_path, "distill.export", "--model=none.keras")
    assert code == 2
    assert stderr[0].startswith("error: --model: no such file: none.keras")


def test_the_console_script_finds_the_commands(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out and what in out for name, what in COMMANDS.items())
    assert max(map(len, out.splitlines())) <= 80
    assert cli.main(["dance"]) == 2
    assert cli.main(["tran"]) == 2
    assert "Did you mean `train`?" in capsys.readouterr().err
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"distill {distill.__version__}\n"
    assert cli.main(["train", "--config=none.yaml"]) == 2


@pytest.mark.parametrize(
    ("flags", "near"),
    [
        (["--confg=lit_resnet.yaml"], "`--confg` is no flag. Did you mean `--config`?"),
        (["--config=lit_resnet.yaml", "--sede", "1"], "Did you mean `--seed`?"),
        (["--config=a", "--model=b", "--split=tst"], "Did you mean `test`?"),
    ],
)
def test_a_wrong_flag_names_the_one_that_was_meant(flags, near, tmp_path):
    code, out, stderr = run(tmp_path, "distill.evaluate", *flags)
    assert (code, out, len(stderr)) == (2, "", 1)
    assert near in stderr[0]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("distill tr", {"train"}),
        ("distill check --expl", {"--explain"}),
        ("distill train --config lit_resnet_", {"lit_resnet_cifar10.yaml"}),
    ],
)
def test_a_shell_is_told_what_may_follow(line, offered, tmp_path):
    pytest.importorskip("argcomplete")
    answer = tmp_path / "answer"
    done = subprocess.run(
        [sys.executable, "-c", "from distill import cli; cli.main([])"],
        env={
            "PYTHONPATH": ":".join(sys.path),
            "PATH": "",
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert offered <= set(answer.read_text().split("\n"))
