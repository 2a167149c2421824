"""What several tests need."""

import sys

import pytest


@pytest.fixture
def dying_python(tmp_path_factory, monkeypatch):
    """Lets every process that this one starts in Python die of a signal at once."""

    def die(number):
        path = tmp_path_factory.mktemp("dying") / "python"
        path.write_text(f"#!/bin/sh\nkill -{number} $$\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return die
