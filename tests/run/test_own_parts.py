"""Parts named `python`: called once, and only if allowed; then a run as any other."""

import pathlib
import re

import keras
import pytest
import yaml
from stopping import stop_in

import distill
from distill import api, config, evaluate
from distill.config import yaml_tree
from distill.run.arguments import read_config
from distill.runtime import errors
from distill.runtime.process import signals

ROOT = pathlib.Path(__file__).parents[2]
NETS = """
import keras, pathlib
with open("calls", "a") as file:
    file.write("n")

class Own(keras.Model):
    def __init__(self, width, classes):
        super().__init__()
        self.parts = [keras.layers.Conv2D(width, 3, activation="relu")]
        self.parts += [keras.layers.Flatten(), keras.layers.Dense(classes)]

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x

def build(num_classes, width=2):
    return Own(width, num_classes)
def nothing():
    return 3
"""
DATA = """
import numpy as np
from beside import SIZE
with open("calls", "a") as file:
    file.write("d")

def load(count=100, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % SIZE
    images = rng.uniform(0, 0.4, (count, 8, 8, 1)) + labels[:, None, None, None] / 9
    yield_all = ((x, y) for x, y in zip(images.astype("float32"), labels))
    return yield_all, None, (images[:50], labels[:50])
def one_hot():
    return np.tile([0.0, 1.0], (9, 8, 8, 1)), np.eye(9)
"""
SUPERVISED = {"trainer": {"name": "supervised"}, "epochs": 1}
OWN = {"name": "python", "options": {"source": "my_nets.py:build", "width": 3}}
RUN = {
    "data": {"name": "python", "options": {"source": "my_data.py:load", "count": 120}},
    "batch_size": 20,
    "teacher": {
        "network": {"name": "resnet", "options": {"depth": 8, "width": 2}},
        "stages": [SUPERVISED],
    },
    "student": OWN,
    "stages": [{"trainer": {"name": "kd"}, "epochs": 3}],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "my_nets.py").write_text(NETS)
    (home / "my_data.py").write_text(DATA)
    (home / "beside.py").write_text("SIZE = 4\n")
    (home / "run.yaml").write_text(yaml.safe_dump(RUN))
    return home


@pytest.fixture(autouse=True)
def inside(home, monkeypatch):
    monkeypatch.chdir(home)
    (home / "calls").unlink(missing_ok=True)


def calls(home):
    path = home / "calls"
    return path.read_text() if path.exists() else ""


def weights(folder):
    network = keras.models.load_model(folder / "student.keras", compile=False)
    return [array.tobytes() for array in network.get_weights()]


def train(*flags):
    return distill.train.main(["--config=run.yaml", *flags])


@pytest.mark.parametrize("command", ["train", "check", "benchmark", "doctor"])
def test_nothing_runs_without_the_flag(command, home, capsys):
    function = getattr(__import__(f"distill.{command}"), command).main
    assert function(["--config=run.yaml"]) == 2
    line = capsys.readouterr().err
    assert f"`load` of {home}/my_data.py" in line and "--allow-python" in line
    assert not calls(home)
    with pytest.raises(errors.ConfigError, match="allow_python=True"):
        distill.train("run.yaml", out="runs/refused")
    assert not calls(home)
    assert not (home / "runs").exists()


def test_killed_and_resumed_it_ends_with_the_same_bytes(home, monkeypatch, capsys):
    assert train("--allow-python", "--out=runs/whole") == 0
    assert calls(home) == "dn"
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "0")
    again = home / "runs" / "again"
    stop_in("student.0", again)
    with pytest.raises(signals.Stopped):
        distill.train("run.yaml", out=again, allow_python=True)
    assert not (again / "student.keras").exists()
    (home / "calls").unlink()
    assert train(f"--out={again}") == 0  # Nothing is left to be called.
    assert not calls(home)
    assert weights(again) == weights(home / "runs" / "whole")
    run = config.load(again / "run.yaml")
    assert run.student.keywords == '{"width": 3}'
    # What it wrote needs no Python, also as a config.
    flags = [f"--model={again}/student.keras", f"--config={again}/run.yaml"]
    assert evaluate.main(flags) == 0
    # A changed file is another run.
    (home / "my_data.py").write_text(DATA + "# changed\n")
    try:
        capsys.readouterr()
        assert train("--allow-python", f"--out={again}") == 2
    finally:
        (home / "my_data.py").write_text(DATA)
    assert "data.options.source_sha256: " in capsys.readouterr().err
    assert calls(home) == "d"


def test_a_file_is_read_once_for_whatever_it_names(home, monkeypatch):
    read, files = yaml_tree.read, []

    def count(path, find):
        files.append(path)
        return read(path, find)

    monkeypatch.setattr(yaml_tree, "read", count)
    flags = ["teacher.network.name=lenet", "student.name=lenet", "data.name=digits"]
    assert read_config(config.Run, "run.yaml", flags).student
    assert len(files) == 1


def test_rows_that_differ_each_time_are_read_once_in_a_folder(home, tmp_path):
    given = {**RUN, "student": RUN["teacher"]["network"]}
    with api._session(allow_python=True):
        read = [
            read_config(config.Run, given, ["data.options.seed=null"], tmp_path / name)
            for name in "aab"
        ]
    assert read[0] == read[1] and read[1].data.path != read[2].data.path
    assert calls(home) == "dd"


def test_the_example_of_the_page_is_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "own_python.md").read_text()
    blocks = re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", page, re.DOTALL)
    for name, text in blocks:
        pathlib.Path(name).write_text(text)
    with api._session(allow_python=True):
        run = read_config(config.Run, "config", folder=tmp_path)
    assert run.data.input_shape == (8, 8, 1) and len(blocks) == 3
    network = keras.models.load_model(run.student.path)
    assert network.layers[1].filters == 4 and network.output_shape == (None, 2)


def test_finishing_reads_the_rows_and_calls_nothing(home):
    network = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    network.add(keras.layers.Dense(4))
    files = distill.finish(
        network, data=RUN["data"], finish=["float32"], out="f", allow_python=True
    )
    assert calls(home) == "d" and files["float32"].is_file()


def test_networks_are_drawn_by_seed_and_role_and_each_is_called_once(home, tmp_path):
    data = {"data": {"name": "digits", "options": {"train_examples": 100}}}
    own = {"teacher": {"network": OWN, "stages": [SUPERVISED]}}
    files = set()
    with api._session(allow_python=True):
        for seed, more in ((0, own), (0, own), (1, {})):
            given = {**RUN, **data, **more, "seed": seed}
            run = read_config(config.Run, given, folder=tmp_path)
            files |= {run.student.path, getattr(run.teacher.network, "path", "")}
    assert len(files - {""}) == 3 and calls(home) == "nnn"


@pytest.mark.parametrize(
    ("part", "source", "options", "said"),
    [
        ("student", "my_nets.py:build", {"wide": 3}, "unexpected keyword argument"),
        ("student", "my_nets.py:nothing", {}, "must be a keras.Model of Keras 3"),
        ("data", "my_data.py:load", {"count": "x"}, "line 9, `labels = np.arange"),
        (
            "data",
            "my_data.py:one_hot",
            {},
            "data: y of train must be one number for each image",
        ),
        ("data", "nosuch.py:load", {}, "no such file: nosuch.py"),
        ("data", "my_data.py:load", {"source_sha256": "0" * 64}, "has SHA-256"),
    ],
)
def test_a_mistake_is_one_line(part, source, options, said, tmp_path):
    given = {**RUN, "data": {"name": "digits"}}
    given[part] = {"name": "python", "options": {"source": source, **options}}
    if part == "data":
        given["student"] = RUN["teacher"]["network"]
    known = (errors.ConfigError, errors.DataError, errors.Untrusted)
    with pytest.raises(known) as caught, api._session(allow_python=True):
        read_config(config.Run, given, folder=tmp_path)
    assert said in str(caught.value) and "\n" not in str(caught.value)
