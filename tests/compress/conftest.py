"""The finishing process of the tests: tf_keras and TF-MOT stay out of pytest's own."""

import json
import pathlib
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def results(request, tmp_path_factory):
    """What the module's script `CHILD` prints last, as JSON.

    The script runs once in a process of its own, and gets an empty folder.
    """
    folder = tmp_path_factory.mktemp("run")
    done = subprocess.run(
        [sys.executable, "-c", request.module.CHILD, str(folder)],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
