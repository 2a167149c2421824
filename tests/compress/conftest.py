"""The finishing process of the tests: tf_keras and TF-MOT stay out of pytest's own."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).parents[1]  # Has `benches`, which scripts import.


@pytest.fixture(scope="module")
def results(request, tmp_path_factory):
    """What the module's script `CHILD` prints last, as JSON.

    The script runs once in a process of its own, and gets an empty folder.
    """
    folder = tmp_path_factory.mktemp("run")
    paths = [str(TESTS), os.environ.get("PYTHONPATH")]
    done = subprocess.run(
        [sys.executable, "-c", request.module.CHILD, str(folder)],
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
