"""A process that opens a foreign model may wait for its turn, but not for ever."""

import contextlib
import os
import signal
import threading

import numpy as np
import pytest

from distill.runtime import errors
from distill.runtime.trust import serving

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
from onnx_models import sound  # noqa: E402

BATCH = np.ones((2, 3), np.float32)


def test_a_process_that_must_wait_answers_late_but_not_too_late(tmp_path, monkeypatch):
    path = tmp_path / "x.onnx"
    onnx.save(sound(), path)
    with contextlib.closing(serving.Server(str(path), ["onnx", str(path)])) as server:
        wanted = server.ask(BATCH)["y"]
        monkeypatch.setattr(serving, "_SECONDS", 1)
        stopped = server._process.pid
        os.kill(stopped, signal.SIGSTOP)  # As on a machine that has no time for it.
        threading.Timer(1.5, os.kill, (stopped, signal.SIGCONT)).start()
        np.testing.assert_array_equal(server.ask(BATCH)["y"], wanted)
        monkeypatch.setattr(serving, "_PATIENCE", 1)
        os.kill(stopped, signal.SIGSTOP)
        with pytest.raises(errors.Untrusted, match="no answer within 1 s"):
            server.ask(BATCH)
