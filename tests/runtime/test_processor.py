"""An operation computes in as many threads as a config says, whoever computes it."""

import os
import subprocess
import sys
import types

import keras
import pytest

import distill
from distill import cli, config
from distill.run import folder
from distill.runtime import errors, processor, versions
from distill.runtime.process import python
from distill.studies.compare import jobs
from distill.studies.speed import peers
from distill.teach import teacher

NAME, OTHER = versions.THREADS
FEW = [1, min(2, versions.cores())]


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch):
    """As in a fresh process of a user who has set nothing, on TensorFlow."""
    for name in (NAME, OTHER, "KERAS_BACKEND"):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    monkeypatch.setattr(processor, "sys", types.SimpleNamespace(modules={}))
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    monkeypatch.setattr(versions, "cores", lambda: 2)


def hardware(threads="auto"):
    return config.load("kd_resnet.yaml", [f"hardware.threads={threads}"]).hardware


def test_without_the_option_everything_is_as_before(monkeypatch):
    run = config.load("kd_resnet.yaml")
    before = dict(os.environ), versions.versions()
    processor.choose(run.hardware)
    processor.check(run.hardware)
    assert (dict(os.environ), versions.versions()) == before
    assert NAME not in before[1]
    assert "threads" not in config.dump(run)
    monkeypatch.setenv(NAME, "2")  # Who does not care takes what there is.
    processor.choose(run.hardware)
    assert os.environ[NAME] == versions.versions()[NAME] == "2"


@pytest.mark.parametrize(("backend", "numbers"), [("tensorflow", FEW), ("torch", [1])])
def test_the_backend_and_its_children_hear_of_it(backend, numbers):
    """In a fresh process. TensorFlow starts as many threads as it is told of."""
    pytest.importorskip(backend)
    code = """
import argparse, os, subprocess, sys
from distill import cli
from distill.runtime.process import python
given = [f"hardware.threads={sys.argv[1]}"]
run = cli.load_run(argparse.Namespace(config="lit_resnet.yaml", set=given, seed=None))
assert not {"tensorflow", "keras", "torch"} & set(sys.modules)
inherited = "import os; print(os.environ['TF_NUM_INTRAOP_THREADS'])"
subprocess.run([sys.executable, "-c", inherited], env=python.environment(), check=True)
import keras
if os.environ["KERAS_BACKEND"] == "torch":
    import torch
    print(torch.get_num_threads())
else:
    keras.ops.ones(1)
    print(len(os.listdir("/proc/self/task")))
"""
    told, has = [], []
    for threads in numbers:
        lines = subprocess.run(
            [sys.executable, "-c", code, str(threads)],
            env=python.environment(KERAS_BACKEND=backend),
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout.split()
        told.append(lines[0])
        has.append(int(lines[1]))
    assert told == [str(number) for number in numbers]
    assert has[-1] - has[0] == numbers[-1] - 1
    assert backend != "torch" or has == [1]


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_every_variable_of_a_backend_is_set_and_recorded(backend, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    for _ in range(2):
        processor.choose(hardware(1))
    # Files are finished by TensorFlow, whoever trains.
    expected = {NAME: "1"} | ({OTHER: "1"} if backend == "torch" else {})
    assert versions.threads() == expected
    assert versions.versions().items() >= expected.items()
    assert (OTHER in os.environ) == (backend == "torch")


@pytest.mark.parametrize("word", ["2", "", "many"])
def test_two_who_want_different_numbers_are_not_one_process(word, monkeypatch):
    monkeypatch.setenv(NAME, word)
    with pytest.raises(errors.ConfigError, match=f"or unset. Received: {NAME}={word}$"):
        processor.choose(hardware(1))
    assert os.environ[NAME] == word


def test_told_too_late_is_bad_input(monkeypatch):
    processor.sys.modules["tensorflow"] = object()
    late = "before tensorflow is imported. Received: "
    with pytest.raises(errors.ConfigError, match=f"{late}{NAME} is not set"):
        processor.choose(hardware(1))
    monkeypatch.setenv(NAME, "2")
    with pytest.raises(errors.ConfigError, match=f"{late}{NAME}=2"):
        processor.choose(hardware(1))
    processor.choose(hardware(2))


def test_torch_that_was_not_told_is_found_out(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    with pytest.raises(errors.ConfigError, match="Received: PyTorch with 7 threads"):
        processor.check(hardware(1))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    processor.check(hardware(1))


def test_more_than_the_cores_is_refused_before_they_are_started():
    with pytest.raises(errors.ConfigError, match=r"at most 2, .* Received: 3$"):
        processor.choose(hardware(3))
    assert NAME not in os.environ
    processor.choose(hardware(2))


def test_an_evaluation_needs_none_of_the_cores_of_the_training(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_text("_base_: kd_resnet.yaml\nhardware: {threads: 64}\n")
    found = cli.dataset(str(path), tmp_path / "student.tflite")
    assert found == config.load("kd_resnet.yaml").data
    assert NAME not in os.environ


def test_where_it_has_no_effect_it_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    processor.check(hardware())
    with pytest.raises(errors.ConfigError, match="auto with KERAS_BACKEND=jax"):
        processor.check(hardware(1))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0", "`threads` must be auto or at least 1. Received: 0"),
        ("-1", "`threads` must be auto or at least 1. Received: -1"),
        ("1.5", "expected a whole number, or auto. Received: 1.5"),
        ("true", "expected a whole number, or auto. Received: true"),
        ("'2'", "expected a whole number, or auto. Received: '2'"),
        ("all", "expected a whole number, or auto. Received: all"),
        ("null", "expected a whole number, or auto. Received: null"),
        ("[1]", "expected a whole number. Received: a list"),
    ],
)
def test_what_is_no_number_of_threads_is_one_line(value, words):
    with pytest.raises(errors.ConfigError) as caught:
        hardware(value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_and_a_teacher_stand_on_the_number(tmp_path, monkeypatch):
    run = config.load("lit_resnet.yaml", ["data.options.train_examples=100"])
    splits = run.data.load()
    folder.check_ground(tmp_path, versions.versions())
    before = teacher.fingerprint(run, splits)
    monkeypatch.setenv(NAME, "1")
    with pytest.raises(errors.ConfigError, match=f"{NAME}: None -> 1"):
        folder.check_ground(tmp_path, versions.versions(), yields=False)
    assert teacher.fingerprint(run, splits) != before


def test_a_folder_of_one_number_is_not_one_of_another(tmp_path):
    load = config.load
    folder.claim(tmp_path, load("kd_resnet.yaml", ["hardware.threads=1"]))
    with pytest.raises(errors.ConfigError, match=r"hardware\.threads: 1 -> 2"):
        other = load("kd_resnet.yaml", ["hardware.threads=2"])
        folder.claim(tmp_path, other, yields=False)


def test_who_is_compared_computes_alike(tmp_path):
    text = "_base_: kd_resnet.yaml\nhardware: {threads: 1}\n"
    (tmp_path / "one.yaml").write_text(text)
    paths = [str(tmp_path / "one.yaml"), "kd_resnet.yaml"]
    wrong = "agree in `hardware.threads`, .* Received: 1 in one, auto in kd_resnet"
    with pytest.raises(errors.ConfigError, match=wrong):
        jobs.plan(paths, 1, tmp_path / "out")


def test_peers_have_the_threads_of_the_config():
    auto, one = (
        config.load("kd_resnet.yaml", [f"hardware.threads={threads}"])
        for threads in ("auto", 1)
    )
    found = [peers.threads_of(run, given) for run in (auto, one) for given in (None, 1)]
    assert found == [2, 1, 1, 1]
    assert peers.threads_of(auto, 4) == 4
    with pytest.raises(errors.ConfigError, match=r"`hardware.threads: 1`.*Received: 2"):
        peers.threads_of(one, 2)


@pytest.mark.parametrize("door", ["train", "check", "benchmark", "score", "compare"])
def test_every_door_hears_of_it_before_anything_is_made(
    door, monkeypatch, tmp_path, capfd
):
    monkeypatch.setenv(NAME, "2")
    monkeypatch.chdir(tmp_path)
    flag = "--configs" if door == "compare" else "--config"
    given = [flag, "kd_resnet.yaml", "--set", "hardware.threads=1"]
    assert cli.main([door, *given]) == 2
    assert f"or unset. Received: {NAME}=2" in capfd.readouterr().err
    assert not list(tmp_path.rglob("*.yaml"))


def test_a_program_hears_of_it_too(monkeypatch, tmp_path):
    monkeypatch.setenv(NAME, "2")
    with pytest.raises(errors.ConfigError, match=f"or unset. Received: {NAME}=2"):
        distill.train("kd_resnet.yaml", out=tmp_path, hardware={"threads": 1})
