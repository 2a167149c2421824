"""What a run computes with changes how fast it is, and nothing else.

`DISTILL_SCALE=1` also trains each method by itself, and kills processes of whole runs.
"""

import contextlib
import copy
import json
import os
import pathlib
import queue
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from distill import check, config, data
from distill.config import hardware
from distill.data import augmentation, batches
from distill.data.synthetic import sources
from distill.runtime import errors
from distill.runtime.process import distributed, launch, liveness
from distill.runtime.resume import resume
from distill.runtime.trust import loader
from distill.teach import fit as training
from distill.teach import synthetic
from distill.teach.hardware import precision
from distill.teach.hardware.strategy import check_steps, resolve
from distill.teach.learner import compile_options
from students.resnet import ResNet
from trainers import trainer
from trainers.methods import adversarial, kd

ROOT = pathlib.Path(__file__).parents[2]
LONG = bool(os.environ.get("DISTILL_SCALE"))
METHODS = "lit,kd,adversarial,lit_adversarial" if LONG else "lit_adversarial"
SPLIT = data.Split(
    np.random.default_rng(0).random((20, 6, 6, 1), np.float32), np.arange(20) % 3
)


def launched(*command, **environment):
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pair(port, *command, **environment):
    """Two processes of one run, that meet at a port of this machine."""
    return [
        launched(
            *command,
            **environment,
            KERAS_BACKEND="jax",
            JAX_COORDINATOR_ADDRESS=f"127.0.0.1:{port}",
            JAX_NUM_PROCESSES="2",
            JAX_PROCESS_ID=str(index),
        )
        for index in range(2)
    ]


def numbers(said):
    return [json.loads(line) for line in said.splitlines() if line[:1] == "{"]


@pytest.fixture(scope="module")
def spread(tmp_path_factory):
    """Name of each way to train to what came of it, and how processes ended.

    Of two, one is lost on the way; then they are started again.
    """
    folder = tmp_path_factory.mktemp("spread")
    quick = {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "DISTILL_CHECKPOINT_SECONDS": "0",
    }
    two = "--xla_force_host_platform_device_count=2"

    def script(name):
        return str(ROOT / "tests" / "spread.py"), str(folder / name), METHODS

    jax = [*script("jax"), "one_device", "data_parallel"]
    flow = [*script("tensorflow"), "one_device", "mirrored"]
    started = {
        "jax": launched(*jax, KERAS_BACKEND="jax", XLA_FLAGS=two, **quick),
        "tensorflow": launched(*flow, KERAS_BACKEND="tensorflow", VALIDATING="6"),
    }
    found, ended = {}, {}

    def finish(name):
        said, errors = started[name].communicate(timeout=900)
        found[name], ended[name] = numbers(said), (started[name].returncode, errors)

    try:
        for port, dies, names in (
            (12377, "1", ("left", "lost")),
            (12378, "", ("chief", "other")),
        ):
            both = pair(port, *script("pair"), "data_parallel", DIES=dies, **quick)
            started |= dict(zip(names, both, strict=True))
            for name in names:
                finish(name)
        for name in ("jax", "tensorflow"):
            finish(name)
            assert len(found[name]) == 2, ended[name][1][-3000:]
    finally:
        for process in started.values():
            process.kill()
            process.communicate()
    return found, ended


def equal(one, other):
    """Everything logged, and all weights, of every method."""
    assert one.keys() == other.keys()
    for method, logged in one.items():
        assert len(logged["loss"]) == 2
        for name, values in logged.items():
            np.testing.assert_allclose(
                other[method][name], values, rtol=0, atol=1e-5, err_msg=name
            )


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_two_devices_log_what_one_does(spread, backend):
    one, two = spread[0][backend]
    assert "val_kd_loss" in one["lit_adversarial"]
    equal(one, two)


def test_two_processes_go_on_and_log_what_one_does(spread):
    found, ended = spread
    for name in ("chief", "other"):
        assert len(found[name]) == 1, ended[name][1][-3000:]
        equal(found["jax"][0], found[name][0])


@pytest.mark.parametrize(("lost", "left"), [("lost", "left"), ("chief", "other")])
def test_who_loses_another_says_so_in_one_line(lost, left, spread):
    assert spread[1][lost][0] == -signal.SIGKILL
    code, errors = spread[1][left]
    assert code == 8, errors[-3000:]
    assert len([line for line in errors.splitlines() if "gone" in line]) == 1
    assert "Traceback" not in errors
    if lost != "chief":  # JAX notices a dead chief at once, and prints of its own.
        assert "stack trace" not in errors


def test_an_error_of_a_lone_process_stays_what_it_is():
    with pytest.raises(errors.ConfigError, match="igloo"), distributed.join("auto"):
        raise errors.ConfigError("no images in igloo")
    distributed.exit(8)  # Ends nobody.


@pytest.mark.parametrize("goodbye", [True, False])
@pytest.mark.parametrize("who", ["chief", "other"])
def test_who_leaves_without_a_goodbye_is_missed(who, goodbye):
    missed = {name: queue.Queue() for name in ("chief", "other")}
    lines = {name: liveness.Lifeline(said.put) for name, said in missed.items()}
    port = lines["chief"].listen()
    lines["other"].connect("127.0.0.1", port)
    lines["chief"].accept(1)
    leaves = lines.pop(who)
    leaves.leave(goodbye)
    ((stays, line),) = lines.items()
    if not goodbye:
        assert missed[stays].get(timeout=10)
    started = time.monotonic()
    leaves.wait(0.3)  # In vain.
    assert time.monotonic() - started > 0.25
    line.leave(goodbye=True)
    leaves.wait(60)
    assert time.monotonic() - started < 30
    assert missed[stays].empty() and missed[who].empty()


def test_who_dies_does_not_wait():
    missed = queue.Queue()
    stays, dies = liveness.Lifeline(missed.put), liveness.Lifeline(missed.put)
    dies.connect("127.0.0.1", stays.listen())
    stays.accept(1)
    dies._ends[0].shutdown(socket.SHUT_RDWR)  # As a system does.
    assert not missed.get(timeout=10)
    for line in (stays, dies):
        line.leave(goodbye=True)


@pytest.mark.parametrize("mixture", [None, sources.Mixup(p_fake=0.5, mix="part")])
def test_processes_share_the_batches_of_one(mixture, monkeypatch):
    def stream():
        made = batches.Batches(
            SPLIT,
            batch_size=6,
            seed=3,
            augmentation=augmentation.Augmentation(shift=1, flip=True),
            mixture=synthetic.mixture(mixture, SPLIT, generator=None, teacher=None),
        ).stream(2)
        return [next(made) for _ in range(5)]

    whole, shares = stream(), []
    for index in range(3):
        state = {"count": 3, "index": index}
        monkeypatch.setattr(distributed, "_state", state)
        shares.append(stream())
    for step, (images, labels) in enumerate(whole):
        assert {len(share[step][1]) for share in shares} == {2}
        parts = [np.concatenate([share[step][i] for share in shares]) for i in (0, 1)]
        np.testing.assert_array_equal(parts[0], images)
        np.testing.assert_array_equal(parts[1], labels)


ADDRESS, COUNT, PROCESS = launch.NAMES


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, None),
        ({"SLURM_STEP_NUM_TASKS": "1"}, None),
        ({"SLURM_STEP_NUM_TASKS": "4"}, {}),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, {}),
        ({ADDRESS: "a:1", COUNT: "1", PROCESS: "0"}, None),
        (
            {ADDRESS: "a:1", COUNT: "3", PROCESS: "2", "SLURM_STEP_NUM_TASKS": "4"},
            {"coordinator_address": "a:1", "num_processes": 3, "process_id": 2},
        ),
    ],
)
def test_how_a_process_was_launched(environment, wanted):
    assert launch.launch(environment) == wanted


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({ADDRESS: "a:1"}, f"without {COUNT}, {PROCESS}"),
        ({ADDRESS: "a", COUNT: "2", PROCESS: "0"}, "HOST:PORT. Received: 'a'"),
        ({ADDRESS: "a:1", COUNT: "two", PROCESS: "0"}, "whole numbers"),
        ({ADDRESS: "a:1", COUNT: "2", PROCESS: "2"}, "0 to 1, of 2 processes"),
    ],
)
def test_a_launch_that_makes_no_sense_is_bad_input(environment, words):
    with pytest.raises(errors.ConfigError, match=words):
        launch.launch(environment)


def test_several_processes_need_jax(monkeypatch, capsys):
    for name, value in zip(launch.NAMES, ("a:1", "2", "0"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    wrong = pytest.raises(errors.ConfigError, match="need KERAS_BACKEND=jax")
    with wrong, distributed.join("auto"):
        pass
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    wrong = pytest.raises(errors.ConfigError, match="one_device")
    with wrong, distributed.join("one_device"):
        pass


def asked(strategy, monkeypatch, *assignments, backend="jax", there=("gpu:0", "gpu:1")):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: list(there))
    assignments = [f"hardware.strategy={strategy}", *assignments]
    return resolve(config.load("kd_resnet.yaml", assignments)).strategy


@pytest.mark.parametrize(
    ("backend", "there", "way"),
    [
        ("jax", ["gpu:0", "gpu:1"], "data_parallel"),
        ("jax", ["tpu:0", "tpu:1"], "data_parallel"),
        ("tensorflow", ["gpu:0", "gpu:1"], "mirrored"),
        ("tensorflow", ["gpu:0"], "one_device"),
        ("jax", ["cpu:0", "cpu:1"], "one_device"),
        ("torch", ["gpu:0", "gpu:1"], "one_device"),
        ("jax", [f"gpu:{index}" for index in range(3)], "one_device"),  # 64 / 3.
    ],
)
def test_auto_takes_what_the_run_can_share(backend, there, way, monkeypatch):
    assert asked("auto", monkeypatch, backend=backend, there=there) == way


TOO_FEW = ["cpu:0"]
CRD = "stages=[{trainer: {name: crd}, epochs: 1}]"


@pytest.mark.parametrize(
    ("strategy", "options", "words"),
    [
        ("mirrored", {}, "mirrored` needs KERAS_BACKEND=tensorflow. Received: jax"),
        ("data_parallel", {"backend": "tensorflow"}, "needs KERAS_BACKEND=jax"),
        ("data_parallel", {"backend": "torch"}, "needs KERAS_BACKEND=jax"),
        ("tpu", {"there": TOO_FEW}, "tpu` needs a TPU. Received: cpu:0"),
        ("data_parallel", {"there": TOO_FEW}, "at least 2 devices. Received: cpu:0"),
    ],
)
def test_what_is_not_there_is_bad_input(strategy, options, words, monkeypatch):
    with pytest.raises(errors.ConfigError, match=words):
        asked(strategy, monkeypatch, **options)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("batch_size=63", "`batch_size` must be a multiple of the 2 devices"),
        (CRD, "compares the examples of a batch.*Received: crd"),
        ("stages.0.clip_norm=1", "with `clip_norm`"),
        ("hardware.gradient_accumulation=2", "`gradient_accumulation` must be 1"),
    ],
)
def test_what_replicas_cannot_share_is_bad_input(assignment, words, monkeypatch):
    given = ["controls=[]", assignment]
    with pytest.raises(errors.ConfigError, match=words):
        asked("mirrored", monkeypatch, *given, backend="tensorflow")
    if "batch_size" not in assignment:
        assert asked("data_parallel", monkeypatch, *given) == "data_parallel"


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("hardware.steps_per_execution=0", "`steps_per_execution` must be at least 1"),
        ("hardware.gradient_accumulation=0", "must be at least 1"),
        ("hardware.precision=float16", "one of auto, float32, mixed_bfloat16"),
        ("hardware={jit: 'false', strategy: tpu}", "`jit` must be auto or true"),
    ],
)
def test_options_without_a_meaning_are_bad_input(assignment, words):
    with pytest.raises(errors.ConfigError, match=words):
        config.load("kd_resnet.yaml", [assignment])


def test_check_says_before_training_what_is_not_there(monkeypatch, capsys):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    flags = ["--config=kd_resnet.yaml", "--set=hardware.strategy=data_parallel"]
    assert check.main(flags) == 2
    assert "needs KERAS_BACKEND=jax" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("steps_per_execution=3", "must divide the 10 steps"),
        ("gradient_accumulation=11", "must be at most 10, the steps of an epoch"),
    ],
)
def test_an_epoch_has_whole_executions_and_an_update(assignment, words):
    run = config.load("kd_resnet.yaml", [f"hardware.{assignment}"])
    with pytest.raises(errors.ConfigError, match=words):
        check_steps(run.hardware, 10)


@pytest.mark.parametrize(
    "moved", ["precision=mixed_bfloat16", "gradient_accumulation=2"]
)
def test_what_changes_a_teacher_is_in_its_fingerprint(moved):
    plain, other, same = (
        config.load("kd_resnet.yaml", [f"hardware.{text}"]).hardware.decides
        for text in ("jit=auto", moved, "steps_per_execution=2")
    )
    assert plain == same != other


def learner(method=None, part=None, width=2):
    keras.utils.set_random_seed(0)
    pair = [ResNet(depth=8, width=width).build((6, 6, 1), 3) for _ in range(2)]
    made = trainer.Trainer(student=pair[0], teacher=pair[1], method=method or kd.KD())
    made.compile(
        **compile_options(
            part or hardware.Hardware(),
            made.sides(keras.optimizers.SGD(0.1, name="optimizer")),
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return made


def test_a_stage_computes_in_the_precision_of_the_run(monkeypatch):
    seen = set()

    def fit(model, *_, **__):
        seen.update(layer.compute_dtype for layer in model.student._flatten_layers())
        return {}, 1.0

    monkeypatch.setattr(resume, "fit", fit)
    run = config.load("kd_resnet.yaml", ["hardware.precision=mixed_bfloat16"])
    plain = augmentation.Augmentation()
    source = batches.Batches(SPLIT, batch_size=4, seed=0, augmentation=plain)
    training.fit_stage(
        learner(),
        run.stages[0],
        source,
        (source, None),
        lambda past: [],
        store=None,
        hardware=run.hardware,
    )
    assert seen == {"bfloat16"}


def test_half_precision_is_for_training_alone(tmp_path):
    made = learner()
    images = SPLIT.inputs[:4]
    with precision.scope(made, "mixed_bfloat16"):
        outputs = made.student(images)
        taught = made.teacher(images)
        made.train_on_batch(images, SPLIT.labels[:4])
    kinds = {
        keras.backend.standardize_dtype(value.dtype)
        for value in [*outputs.values(), *taught.values()]
    }
    assert kinds == {"bfloat16"}
    path = tmp_path / "student.keras"
    made.student.save(path)
    opened = loader.open_own(path)
    names = {layer.dtype_policy.name for layer in opened._flatten_layers()}
    assert names == {"float32"}
    whole = made.student(images)["logits"]
    assert keras.backend.standardize_dtype(whole.dtype) == "float32"
    np.testing.assert_array_equal(opened(images)["logits"], whole)
    assert np.abs(np.array(whole) - np.array(outputs["logits"], "float32")).max() > 0


@pytest.mark.parametrize("rounds", [1, 2])
def test_gradients_are_accumulated_on_every_side(rounds):
    part = hardware.Hardware(gradient_accumulation=2)
    method = adversarial.Adversarial(discriminator_steps=rounds)
    sides = learner(method, part).optimizer.parts
    steps = {side.name: side.gradient_accumulation_steps for side in sides}
    assert steps == {"optimizer": 2 * rounds, "against": 2}


class Moments:
    """Keeps every moment in memory."""

    def __init__(self, *moments):
        self.moments = list(moments)

    def newest(self):
        return self.moments[-1] if self.moments else None

    def save(self, moment):
        self.moments.append(copy.deepcopy(moment))  # As a file would be.


def test_several_steps_at_once_are_the_same_and_go_on(monkeypatch):
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "0")
    source = batches.Batches(
        SPLIT, batch_size=5, seed=0, augmentation=augmentation.Augmentation()
    )

    def fitted(store, at_once):
        made = learner(part=hardware.Hardware(steps_per_execution=at_once))
        history, _ = resume.fit(
            made,
            source,
            callback=keras.callbacks.Callback,
            epochs=2,
            store=store,
            variables=lambda: made.moving_variables,
            shuffle=False,
            verbose=0,
        )
        return history["loss"], made.student.get_weights()

    one, all_moments = fitted(Moments(), 1), Moments()
    two = fitted(all_moments, 2)
    assert [moment.step for moment in all_moments.moments] == [2, 4, 6]
    resumed = fitted(Moments(all_moments.moments[0]), 2)
    for other in (two, resumed):
        np.testing.assert_allclose(other[0], one[0], rtol=1e-6)
        for here, there in zip(other[1], one[1], strict=True):
            np.testing.assert_allclose(here, there, atol=1e-6)


RUN = [
    "data.options.train_examples=100",
    "batch_size=20",
    "student.options.width=2",
    "teacher.network.options={depth: 8, width: 2}",
    "teacher.stages.0.epochs=4",
    "stages.0.epochs=30",
    "stages.1.epochs=2",
    "controls=[]",
    "finish=[]",
]


@contextlib.contextmanager
def running(folder, port):
    """Two processes of a whole run, which do not outlive this."""
    command = ["-m", "distill.train", "--config", "lit_resnet.yaml"]
    for assignment in RUN:
        command += ["--set", assignment]
    both = pair(
        port,
        *command,
        "--out",
        str(folder / "run"),
        DISTILL_CHECKPOINT_SECONDS="0",
        JAX_DISABLE_MOST_OPTIMIZATIONS="1",
    )
    try:
        yield both
    finally:
        for process in both:
            process.kill()
            process.communicate()


@pytest.mark.skipif(not LONG, reason="long: DISTILL_SCALE=1 kills processes of runs")
@pytest.mark.parametrize("victim", [0, 1])
def test_both_resume_when_one_was_killed(victim, tmp_path):
    def student(name):
        return loader.open_own(tmp_path / name / "run" / "student.keras").get_weights()

    moments = tmp_path / "killed" / "run" / "checkpoint"
    with running(tmp_path / "killed", 12380 + victim) as both:
        while not list(moments.glob("student.0.step*.ckpt")):
            assert all(process.poll() is None for process in both)
            time.sleep(0.1)
        both[victim].kill()
        left, begun = both[1 - victim], time.monotonic()
        _, errors = left.communicate(timeout=60)
    assert time.monotonic() - begun < 60
    assert left.returncode == 8, errors[-2000:]
    assert "Traceback" not in errors
    assert len([line for line in errors.splitlines() if line[:6] == "error:"]) == 1
    assert list(moments.glob("student.0.step*.ckpt"))
    for name, port in (("killed", 12384 + victim), ("undisturbed", 12386 + victim)):
        with running(tmp_path / name, port) as both:
            for process in both:
                _, errors = process.communicate(timeout=900)
                assert process.returncode == 0, errors[-2000:]
    for one, other in zip(student("killed"), student("undisturbed"), strict=True):
        np.testing.assert_array_equal(one, other)
    files = {path.name for path in (tmp_path / "killed").rglob("report.json")}
    assert files == {"report.json"}
