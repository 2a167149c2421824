"""SIGKILL at any step of any stage, then the same command: not one bit differs.

Three kills here; 20 in each stage with
`DISTILL_KILLS=20 pytest tests/runtime/test_kill.py`.
"""

import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import zipfile

import pytest

KILLS = int(os.environ.get("DISTILL_KILLS", "0"))
EPOCHS = 3 + KILLS  # Of four steps each: a kill comes one to three steps later.
FINISHERS = ["int8", "pruned", "pruned_int8"]
if KILLS:
    FINISHERS += ["clustered", "clustered_int8", "pruned_clustered"]
    FINISHERS += ["pruned_clustered_int8", "narrowed", "narrowed_int8", "nary"]
    FINISHERS += ["coded", "coded_int8"]
# Weights that may return are remembered between two choices of zeros.
MORE = {"pruned": ", every: 2, returns: true"}
FINISH = [
    f"{{name: {name}, options: {{epochs: {EPOCHS}{MORE.get(name, '')}}}}}"
    for name in FINISHERS
]
SMALL = [
    "data.options.train_examples=100",
    "batch_size=20",
    "student.options.width=4",
    "teacher.network.options={depth: 8, width: 4}",
    f"teacher.stages.0.epochs={EPOCHS}",
    f"stages.0.epochs={EPOCHS}",
    f"stages.1.epochs={EPOCHS}",
    "controls=[]",
    f"finish=[{', '.join(FINISH)}]",
    "max_accuracy_drop=100",
]
STAGES = ["teacher.0", "student.0", "student.1"]
STAGES += [f"finish.{name}" for name in FINISHERS]


def start(folder, stdout=subprocess.DEVNULL):
    command = [sys.executable, "-m", "distill.train", "--config", "lit_resnet.yaml"]
    for assignment in SMALL:
        command += ["--set", assignment]
    return subprocess.Popen(
        [*command, "--out", str(folder / "run")],
        env={**os.environ, "DISTILL_CHECKPOINT_SECONDS": "0"},
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(folder):
    process = start(folder, subprocess.PIPE)
    output = process.communicate()[0]
    assert process.returncode == 0, output[-3000:]


def digests(folder):
    """File to SHA-256 of what it holds; archives without their dates."""
    result = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                content = archive.read("model.weights.h5")
        elif path.suffix in (".tflite", ".tflz"):
            content = path.read_bytes()
        elif path.name == "report.json":
            report = json.loads(path.read_text())
            for stage in report["stages"]:
                stage["metrics"].pop("examples_per_second", None)
            content = json.dumps([stage["metrics"] for stage in report["stages"]])
            content = content.encode()
        else:
            continue
        name = str(path.relative_to(folder))
        result[name] = hashlib.sha256(content).hexdigest()
    return result


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder)
    result = digests(folder)
    assert len(result) > 8
    return result


def kill_in(stage, folder, rng, number=signal.SIGKILL):
    """Starts the run, and kills it somewhere in a stage; returns how it ended."""
    process = start(folder)
    # Teachers are kept beside the runs, under their fingerprints.
    pattern = f"**/checkpoint/{stage}.step*.ckpt"
    expected = newest(folder, pattern) + rng.randint(1, 3)
    while process.poll() is None:
        if newest(folder, pattern) >= expected:
            time.sleep(rng.uniform(0, 0.02))
            process.send_signal(number)
            break
        time.sleep(0.001)
    process.communicate()
    return process.returncode


def newest(folder, pattern):
    """The last committed step of a stage."""
    steps = [int(path.name[-17:-5]) for path in folder.glob(pattern)]
    return max(steps, default=0)


def test_three_kills_and_not_one_bit_differs(uninterrupted, tmp_path):
    rng = random.Random(0)
    for stage in ("student.0", "student.1", "finish.pruned"):
        assert kill_in(stage, tmp_path, rng) == -signal.SIGKILL, stage
    # To the conductor alone, which hands it on to the finishing process.
    assert kill_in("finish.pruned_int8", tmp_path, rng, signal.SIGTERM) == 143
    finish(tmp_path)
    assert digests(tmp_path) == uninterrupted
    left = [p for p in pathlib.Path(tmp_path).rglob("*") if p.name[:4] == ".unf"]
    assert not left
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.skipif(not KILLS, reason="long: DISTILL_KILLS=20 makes 20 in each stage")
@pytest.mark.parametrize("stage", STAGES)
def test_kills_in_every_stage(stage, uninterrupted, tmp_path):
    rng = random.Random(stage)
    for number in range(KILLS):
        assert kill_in(stage, tmp_path, rng) == -signal.SIGKILL, number
    finish(tmp_path)
    assert digests(tmp_path) == uninterrupted
