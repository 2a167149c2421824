"""A tracker gets what a run finds out, and its trouble never ends the run."""

import importlib.util
import json
import os
import subprocess
import sys
import types
import typing

import pytest

import distill
from distill import config
from distill.report.trackers import session
from distill.runtime import errors

REPORT = {"stages": [{"model": "student.int8", "metrics": {"loss": [3.0, 2.0]}}]}
SUPERVISED = {"trainer": {"name": "supervised"}, "epochs": 2}
SMALL = {"name": "resnet", "options": {"depth": 8, "width": 2}}
RUN = {
    "data": {"name": "digits", "options": {"train_examples": 100}},
    "batch_size": 20,
    "teacher": {"network": SMALL, "stages": [SUPERVISED]},
    "student": SMALL,
    "stages": [{"trainer": {"name": "kd"}, "epochs": 2}],
}


class Recorder:
    """A tracker that remembers its calls, and fails in one of its methods."""

    calls: typing.ClassVar[list] = []
    fails = ""

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, *arguments))
            if name == self.fails:
                raise OSError("the network\nis gone")
            return f"{name}ed"

        return call


@pytest.fixture
def recorder(monkeypatch):
    """Takes the place of MLflow."""
    monkeypatch.setattr(Recorder, "calls", [])
    monkeypatch.setattr(Recorder, "fails", "")
    monkeypatch.setitem(session.TRACKERS, "mlflow", Recorder)
    monkeypatch.setattr(session.packages, "missing", lambda *_: [])
    return Recorder


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "kd,seed=1"
    (folder / "checkpoint").mkdir(parents=True)
    for name in ("run.yaml", "report.html", "student.int8.tflite", "student.keras"):
        (folder / name).write_text(name)
    return folder


def send(folder, epochs, name="mlflow"):
    with session.open_session(name, folder, {"seed": 1}) as tracker:
        (callback,) = tracker.callbacks("student.0.kd")
        for epoch in epochs:
            callback.on_epoch_end(epoch, {"loss": epoch / 2})
        tracker.end(REPORT, {"test_accuracy/student": 97.0})


def named(calls, name):
    return [call[1:] for call in calls if call[0] == name]


def test_a_config_names_every_tracker_and_none_by_default():
    hint = typing.get_type_hints(config.Run)["track"]
    assert set(session.TRACKERS) == set(typing.get_args(typing.get_args(hint)[0]))
    assert "track" not in config.plain(config.load("lit_resnet.yaml"))
    with session.open_session(None, None, {}) as tracker:
        assert tracker is None


@pytest.mark.parametrize("name", session.TRACKERS)
def test_what_is_not_installed_is_one_line(name, monkeypatch, folder):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    said = f"`track: {name}` needs {name}.*pip install -e '.\\[{name}\\]'"
    with (
        pytest.raises(errors.ConfigError, match=said),
        session.open_session(name, folder, {}),
    ):
        pass


def test_it_is_opened_when_there_is_something_to_send_and_then_found_again(
    recorder, folder
):
    with session.open_session("mlflow", folder, {}):
        pass
    assert not recorder.calls
    send(folder, (0, 1))
    send(folder, (2,))
    opened = named(recorder.calls, "open")
    assert [call[:2] for call in opened] == [
        ("kd-seed-1", None),
        ("kd-seed-1", "opened"),
    ]
    # It is said where a run goes before anything is sent.
    assert [call[0] for call in recorder.calls[:2]] == ["place", "open"]
    losses = [
        call for call in named(recorder.calls, "log") if call[0] == "student.0.kd"
    ]
    assert losses == [("student.0.kd", {"loss": n / 2}, n) for n in range(3)]
    assert ("student.int8", {"loss": 2.0}, 1) in named(recorder.calls, "log")
    (kept,) = named(recorder.calls[:9], "keep")
    names = [path.name for path in kept[0]]
    assert names == ["run.yaml", "report.html", "student.int8.tflite"]
    assert named(recorder.calls, "close") == [(False,), (False,)]


def test_a_run_that_fails_is_closed_as_failed(recorder, folder):
    with (
        pytest.raises(ZeroDivisionError),
        session.open_session("mlflow", folder, {}) as tracker,
    ):
        tracker.callbacks("s")[0].on_epoch_end(0, {"loss": 1.0})
        raise ZeroDivisionError
    assert named(recorder.calls, "close") == [(True,)]


@pytest.mark.parametrize("method", ["place", "open", "log", "keep", "close"])
def test_trouble_is_one_warning_and_ends_nothing(method, recorder, folder, caplog):
    caplog.set_level("INFO", logger="distill")
    recorder.fails = method
    send(folder, (0, 1, 2))
    said = [line for line in caplog.messages if "warning" in line]
    assert len(said) == 1 and "OSError: the network is gone" in said[0]
    assert [call[0] for call in recorder.calls].count(method) == 1
    assert recorder.calls[-1][0] == method


def test_a_run_sends_its_epochs_its_numbers_and_its_files(recorder, tmp_path, caplog):
    recorder.fails = "keep"
    folder = tmp_path / "run"
    result = distill.train(RUN, out=folder, track="mlflow")
    logged = named(recorder.calls, "log")
    for stage in result.report["stages"]:
        history = stage["metrics"]
        name = f"{stage['model']}.0.{stage['name']}"
        sent = [numbers for where, numbers, _ in logged if where == name]
        assert len(sent) == 2
        assert [each["loss"] for each in sent] == history["loss"]
        assert [each["examples_per_second"] for each in sent] == (
            history["examples_per_second"]
        )
    (_, final, _) = logged[-1]
    accuracy = result.report["models"][1]["accuracy"]
    assert final["test_accuracy/student"] == accuracy
    ((paths,),) = named(recorder.calls, "keep")
    names = {path.name for path in paths}
    assert names == {"run.yaml", "report.json", "report.html", "MODEL_CARD.md"}
    (opened,) = named(recorder.calls, "open")
    assert opened[-1]["track"] == "mlflow"


class Client:
    """`mlflow.MlflowClient`, as far as it is used, by the signatures of 3.17."""

    calls: typing.ClassVar[list] = []

    def get_experiment_by_name(self, name): ...

    def create_experiment(self, name, artifact_location=None, tags=None):
        return "1"

    def create_run(self, experiment_id, start_time=None, tags=None, run_name=None):
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r"))

    def update_run(self, run_id, status=None, name=None): ...

    def log_dict(self, run_id, dictionary, artifact_file): ...

    def log_batch(self, run_id, metrics=(), params=(), tags=(), synchronous=None):
        self.calls.extend(metrics)

    def log_artifact(self, run_id, local_path, artifact_path=None):
        self.calls.append(local_path)

    def set_terminated(self, run_id, status=None, end_time=None):
        self.calls.append(status)


def test_mlflow_is_called_as_it_wants(monkeypatch, folder, caplog):
    caplog.set_level("INFO", logger="distill")
    monkeypatch.setattr(Client, "calls", [])
    module = types.ModuleType("mlflow")
    module.MlflowClient = Client
    module.get_tracking_uri = lambda: "https://x.org"
    module.entities = types.SimpleNamespace(Metric=lambda *given: given)
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setattr(session.packages, "missing", lambda *_: [])
    send(folder, (0, 1))
    assert "files go to MLflow, by the network: https://x.org" in caplog.text
    assert "warning" not in caplog.text
    assert [call[:2] for call in Client.calls if isinstance(call, tuple)] == [
        ("student.0.kd/loss", 0.0),
        ("student.0.kd/loss", 0.5),
        ("student.int8/loss", 3.0),
        ("student.int8/loss", 2.0),
        ("final/test_accuracy/student", 97.0),
    ]
    assert Client.calls[-2:] == [str(folder / "student.int8.tflite"), "FINISHED"]


REAL = """
import logging, pathlib, sys
from distill.report.trackers import session
logging.basicConfig(level="INFO")
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
for first in (0, 2):
    with session.open_session(name, folder, {"seed": {"a": 1}}) as tracker:
        (callback,) = tracker.callbacks("student.0.kd")
        for epoch in (first, first + 1):
            callback.on_epoch_end(epoch, {"loss": 0.5, "val_accuracy": 0.1})
        tracker.end({"stages": []}, {"test_accuracy/student": 97.0})
"""


@pytest.mark.parametrize("name", session.TRACKERS)
def test_the_package_itself_takes_it_on_this_machine(name, folder, tmp_path):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    wanted = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "WANDB_MODE": "offline",
    }
    done = subprocess.run(
        [sys.executable, "-c", REAL, name, str(folder)],
        cwd=tmp_path,
        env={**os.environ, **wanted},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "files go to" in done.stderr and "on this machine" in done.stderr
    assert "goes on without" not in done.stderr
    assert json.loads((folder / "checkpoint" / "tracking.json").read_text())
