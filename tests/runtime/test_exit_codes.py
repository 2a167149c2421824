"""Each way a run can end badly: its exit code, one line, nothing lost."""

import errno
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
import traceback

import pytest

from distill import config
from distill.runtime import errors
from distill.runtime.process import death, signals
from distill.runtime.process.command import IN_CHILD, run_command

ROOT = pathlib.Path(__file__).parents[2]
TINY = [
    "data.options.train_examples=100",
    "batch_size=20",
    "student.options.width=2",
    "teacher.network.options={depth: 8, width: 2}",
    "controls=[]",
    "finish=[]",
]


def train(folder, *assignments, **options):
    command = [sys.executable, "-m", "distill.train", "--config", "lit_resnet.yaml"]
    for assignment in [*TINY, *assignments]:
        command += ["--set", assignment]
    return subprocess.Popen(
        [*command, "--out", str(folder / "run")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def error_line(process, code, timeout=200):
    """The one line of a run that ends with a code."""
    _, errors = process.communicate(timeout=timeout)
    assert process.returncode == code, errors[-2000:]
    assert "Traceback" not in errors
    (line,) = [text for text in errors.splitlines() if text.startswith("error: ")]
    return line


def wait_for(process, pattern, folder):
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_a_loss_that_explodes_is_6_and_named(tmp_path):
    process = train(tmp_path, "teacher.stages.0.learning_rate=1e30")
    line = error_line(process, 6)
    assert "loss` is " in line
    assert "at step" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_a_second_process_is_kept_out(number, tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "0")
    process = train(tmp_path, "teacher.stages.0.epochs=100000")
    wait_for(process, "teachers/*/checkpoint/*.ckpt", tmp_path)
    if number == signal.SIGTERM:
        start = time.monotonic()
        second = train(tmp_path, "teacher.stages.0.epochs=100000")
        assert "in use" in error_line(second, 7)
        assert time.monotonic() - start < 5
    before = max(path.name for path in tmp_path.glob("teachers/*/checkpoint/*.ckpt"))
    process.send_signal(number)
    line = error_line(process, 128 + number)
    assert "goes on" in line
    after = max(path.name for path in tmp_path.glob("teachers/*/checkpoint/*.ckpt"))
    assert after >= before


def test_a_disk_that_is_full_is_4_and_leaves_no_half_file(tmp_path):
    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    process = train(tmp_path, "teacher.stages.0.epochs=1", preexec_fn=small_files)
    assert "cannot write" in error_line(process, 4)
    assert not list(tmp_path.rglob("*.keras"))
    assert not list(tmp_path.rglob(".unfinished-*"))


def run_guarded(mistake, capsys, debug=False):
    """What `guarded` makes of an exception."""
    import argparse

    def command(arguments):
        raise mistake

    old = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        code = run_command(
            command, argparse.ArgumentParser(), ["--debug"] if debug else []
        )
    finally:
        signal.signal(signal.SIGINT, old[0])
        signal.signal(signal.SIGTERM, old[1])
    (line,) = capsys.readouterr().err.splitlines()
    return code, line


@pytest.mark.parametrize(
    ("mistake", "code"),
    [
        (errors.Untrusted("x"), 3),
        (errors.WriteError("x"), 4),
        (errors.Diverged("x"), 6),
        (errors.FolderBusy("x"), 7),
        (errors.FinishError("x"), 1),
        (errors.Killed("x"), 5),
        (signals.Stopped(signal.SIGINT), 130),
        (signals.Stopped(signal.SIGTERM), 143),
        (OSError(errno.ENOSPC, "no space"), 4),
        (MemoryError("3 GB"), 1),
        (ZeroDivisionError("two\nlines"), 1),
        (ModuleNotFoundError("No module", name="distill.nothing"), 1),
        (ModuleNotFoundError("No module", name="not_here.at_all"), 2),
    ],
)
def test_whatever_is_raised_is_one_line(mistake, code, capsys):
    got, line = run_guarded(mistake, capsys)
    assert got == code
    assert line.startswith("error: ")
    assert ("batch_size" in line) == isinstance(mistake, MemoryError)
    bug = isinstance(mistake, ZeroDivisionError | ModuleNotFoundError) and code == 1
    assert ("--debug" in line) == bug
    assert ("pip install not-here" in line) == (code == 2)


def test_debug_shows_where_it_came_from_also_in_processes_that_it_starts(
    capsys, monkeypatch
):
    monkeypatch.setenv("DISTILL_DEBUG", "")
    with pytest.raises(ZeroDivisionError):
        run_guarded(ZeroDivisionError(), capsys, debug=True)
    with pytest.raises(ZeroDivisionError):
        run_guarded(ZeroDivisionError(), capsys)


def test_a_refused_option_has_the_rule_as_its_cause():
    with pytest.raises(errors.ConfigError) as caught:
        config.read(config.Run, "lit_resnet.yaml", ["batch_size=0"])
    frames = traceback.extract_tb(caught.value.__cause__.__traceback__)
    assert any(x.filename.endswith("distill/config/run.py") for x in frames)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (-9, "SIGKILL"),
        (-11, "SIGSEGV"),
        (143, "SIGTERM"),
        (139, "SIGSEGV"),
        (-40, "40"),
    ],
)
def test_a_process_that_died_is_named_by_its_signal(code, cause):
    with pytest.raises(errors.Killed, match=f"It was ended by .*{cause}"):
        death.check(code, "It")


@pytest.mark.parametrize("code", [0, 1, 8, 128, 255])
def test_a_process_that_ended_by_itself_did_not_die(code):
    death.check(code, "It")


CRASH = """
import argparse, os, signal
from distill.runtime.process import command

run = lambda arguments: os.kill(os.getpid(), signal.SIGSEGV)
command.run_command(run, argparse.ArgumentParser(), [])
"""


@pytest.mark.parametrize("in_child", [False, True])
def test_a_command_that_crashes_says_of_what_and_leaves_the_code_to_the_shell(in_child):
    more = {IN_CHILD: "1"} if in_child else {}
    done = subprocess.run(
        [sys.executable, "-c", CRASH],
        env={**os.environ, "PYTHONPATH": str(ROOT), **more},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGSEGV
    has_traceback = "Fatal Python error: Segmentation fault" in done.stderr
    assert has_traceback != in_child  # Of a child, its parent says it.


def test_the_page_lists_every_code():
    page = (ROOT / "docs" / "exit_codes.md").read_text()
    codes = [
        code
        for name, code in vars(errors).items()
        if name.startswith("EXIT_") and isinstance(code, int)
    ]
    assert {1, 2, 5} <= {*codes}
    for code in [0, *codes]:
        assert f"\n| {code} |" in page
    assert "130, 143" in page
