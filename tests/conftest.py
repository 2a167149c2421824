"""What several tests need."""

import os
import sys

import pytest

# What a file is timed for: no test asks how fast one is.
os.environ.setdefault("DISTILL_LATENCY_SECONDS", "0.02")


@pytest.fixture
def dying_python(tmp_path_factory, monkeypatch):
    """Lets every process that this one starts in Python die of a signal at once."""

    def die(number):
        path = tmp_path_factory.mktemp("dying") / "python"
        path.write_text(f"#!/bin/sh\nkill -{number} $$\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return die
