"""A process that is started early waits, is told, and never outlives its starter."""

import time

import pytest

from distill.runtime import errors
from distill.runtime.process import worker

MODULE = """
import pathlib, sys
from distill.runtime.process import worker

worker.end_with_parent()
folder = pathlib.Path(sys.argv[1])
(folder / "begun").touch()
worker.wait_for_parent()
(folder / "told").touch()
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture
def started(tmp_path, monkeypatch):
    (tmp_path / "works.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def start(code=0):
        return worker.started("works", [str(tmp_path), str(code)], "the work")

    return start


def wait_for(path):
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_it_begins_at_once_and_goes_on_when_it_is_told(started, tmp_path):
    with started() as end:
        wait_for(tmp_path / "begun")
        time.sleep(0.1)
        assert not (tmp_path / "told").exists()

        def meanwhile():
            wait_for(tmp_path / "told")
            return "done"

        assert end(meanwhile) == "done"


def test_it_is_gone_with_the_block_though_it_was_never_told(started, tmp_path):
    with pytest.raises(ZeroDivisionError), started():
        wait_for(tmp_path / "begun")
        raise ZeroDivisionError
    assert not (tmp_path / "told").exists()


def test_its_failure_is_raised_where_it_is_waited_for(started):
    with started(code=3) as end, pytest.raises(errors.FinishError, match="the work"):
        end()
