"""What several runs share is made once: the others wait for it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from distill.runtime import errors, files
from distill.runtime.process import signals
from distill.teach import shared

HOLD = """
import pathlib, sys
from distill.runtime import errors, files
with files.lock(pathlib.Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.readline()
    pathlib.Path(sys.argv[1], "made").touch()
"""


@pytest.fixture
def other(tmp_path):
    """A process that makes what the folder holds, until it reads a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "home")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"in\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_free_folder_is_locked_at_once(tmp_path, caplog):
    caplog.set_level("INFO")
    with (
        shared.lock(tmp_path / "home", "teacher"),
        pytest.raises(errors.FolderBusy),
        files.lock(tmp_path / "home"),
    ):
        pass
    assert "waiting" not in caplog.text


def test_a_second_run_waits_until_the_first_is_done(
    tmp_path, other, caplog, monkeypatch
):
    caplog.set_level("INFO")
    monkeypatch.setattr(shared, "_LOOK", 0.02)

    def let_go():
        other.stdin.write(b"\n")
        other.stdin.flush()

    threading.Timer(0.2, let_go).start()
    with shared.lock(tmp_path / "home", "teacher"):
        assert (tmp_path / "home" / "made").exists()
    line = "teacher: another process is making the same; waiting"
    assert caplog.text.count(line) == 1


@pytest.mark.usefixtures("other")
def test_a_signal_ends_the_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "_LOOK", 0.02)
    with signals.installed(), pytest.raises(signals.Stopped):
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        begun = time.monotonic()
        with shared.lock(tmp_path / "home", "teacher"):
            pytest.fail(f"locked after {time.monotonic() - begun:.1f} s")
