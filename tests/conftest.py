"""What several tests need."""

import os
import sys

import numpy as np
import pytest

# What a file is timed for: no test asks how fast one is.
os.environ.setdefault("DISTILL_LATENCY_SECONDS", "0.02")


@pytest.fixture(autouse=True)
def the_same_draws(request):
    """What a test draws depends on no test that ran before it in its process."""
    if (rng := getattr(request.module, "RNG", None)) is not None:
        # Another seed than the module's: its constants are not drawn again.
        rng.bit_generator.state = np.random.default_rng(1).bit_generator.state
    if (keras := sys.modules.get("keras")) is not None:  # Importing it takes seconds.
        keras.utils.set_random_seed(0)


@pytest.fixture
def dying_python(tmp_path_factory, monkeypatch):
    """Lets every process that this one starts in Python die of a signal at once."""

    def die(number):
        path = tmp_path_factory.mktemp("dying") / "python"
        path.write_text(f"#!/bin/sh\nkill -{number} $$\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return die
