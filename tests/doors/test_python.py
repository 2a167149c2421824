"""`distill.train` and `distill.finish` of Python are the commands, and nothing else."""

import contextlib
import json
import pathlib
import re
import signal
import types

import keras
import numpy as np
import pytest
import yaml
from stopping import stop_in

import distill
from distill import api, config, data
from distill.run.arguments import Arguments
from distill.runtime import errors
from distill.runtime.process import launch, signals
from trainers import KD

ROOT = pathlib.Path(__file__).parents[2]
RNG = np.random.default_rng(0)
SUPERVISED = {"trainer": {"name": "supervised"}, "epochs": 1}
SMALL = {"name": "resnet", "options": {"depth": 8, "width": 2}}
RUN = {
    "batch_size": 20,
    "augmentation": {"shift": 1},
    "teacher": {"network": SMALL, "stages": [SUPERVISED]},
    "student": SMALL,
    "stages": [{"trainer": {"name": "kd"}, "epochs": 3}],
}
DIGITS = {"name": "digits", "options": {"train_examples": 100}}


def weights(folder, name="student"):
    network = keras.models.load_model(folder / f"{name}.keras", compile=False)
    return b"".join(array.tobytes() for array in network.get_weights())


@pytest.fixture(scope="module")
def splits():
    return data.DATASETS["digits"](train_examples=100).load()


@pytest.fixture(scope="module")
def arrays(splits):
    return {name: (s.inputs, s.labels) for name, s in splits.by_name().items()}


@pytest.fixture(scope="module")
def by_command(tmp_path_factory):
    """The folder of the command's run on digits."""
    home = tmp_path_factory.mktemp("command")
    (home / "run.yaml").write_text(yaml.safe_dump({"data": DIGITS, **RUN}))
    flags = ["--config", str(home / "run.yaml"), "--out", str(home / "runs" / "run")]
    assert distill.train.main(flags) == 0
    return home / "runs" / "run"


class Batches(keras.utils.PyDataset):
    """Rows in another order."""

    def __init__(self, rows, labels):
        super().__init__()
        self._pair = rows[::-1], labels[::-1]

    def __len__(self):
        return -(-len(self._pair[1]) // 16)

    def __getitem__(self, index):
        chosen = slice(16 * index, 16 * index + 16)
        return self._pair[0][chosen], self._pair[1][chosen]


def test_given_arrays_stopped_and_given_again_end_as_the_command(
    by_command, arrays, tmp_path, monkeypatch
):
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "0")
    folder = tmp_path / "runs" / "run"
    stop_in("student.0", folder)
    with pytest.raises(signals.Stopped) as stopped:
        distill.train(data=arrays, out=folder, **RUN)
    assert stopped.value.code == 143
    assert not (folder / "student.keras").exists()
    again = {name: Batches(*pair) for name, pair in arrays.items()}
    result = distill.train(data=again, out=folder, **RUN)
    for name in ("teacher", "student"):
        assert weights(folder, name) == weights(by_command, name)
    wanted = json.loads((by_command / "report.json").read_text())
    assert result.report["models"][1]["accuracy"] == wanted["models"][1]["accuracy"]
    assert result.student.count_params() == wanted["models"][1]["parameters"]
    assert result.report == json.loads((folder / "report.json").read_text())
    assert "<iframe srcdoc=" in result.report._repr_html_()
    # The command goes on with the folder, and other data are refused.
    assert distill.train.main([f"--config={folder}/run.yaml", f"--out={folder}"]) == 0
    images, labels = arrays["train"]
    with pytest.raises(errors.ConfigError, match=r"data\.options\.path: .* -> "):
        distill.train(data={**arrays, "train": (images / 2, labels)}, out=folder, **RUN)


def test_the_programs_own_handlers_of_signals_are_back_afterwards():
    own = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with api._session():
            assert signal.getsignal(signal.SIGTERM) is signals._handle
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, own)


def test_a_signal_ends_one_call_and_not_the_next():
    with contextlib.suppress(signals.Stopped), api._session(), signals.deferred():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # At once.
    with api._session():
        assert not signals.pending()


def test_a_run_from_a_file_and_keywords_is_that_of_the_command(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    given = Arguments(
        config.Run,
        "lit_resnet.yaml",
        ["stages.0.learning_rate=0.01"],
        {"seed": 1, "data": None},
    )
    assert given.read() == config.load(
        "lit_resnet.yaml", ["stages.0.learning_rate=0.01", "seed=1"]
    )
    assert api._folder(given, "train", None) == pathlib.Path(
        "runs/lit_resnet,seed=1,stages.0.learning_rate=0.01"
    )
    assert not list(tmp_path.iterdir())


def test_keywords_may_be_dataclasses_names_or_a_whole_run():
    plain = {"data": DIGITS, **RUN, "finish": [{"name": "float32"}]}
    wanted = config.read(config.Run, plain)
    parts = {
        **plain,
        "data": wanted.data,
        "student": wanted.student,
        "teacher": wanted.teacher,
        "stages": (config.Stage(trainer=KD(), epochs=3),),
        "finish": ["float32"],
    }
    for source, options in ((None, parts), (wanted, {}), (plain, {})):
        assert Arguments(config.Run, source, (), options).read() == wanted
    changed = Arguments(config.Run, wanted, (), {"batch_size": 7}).read()
    assert changed.batch_size == 7
    assert Arguments(config.Run, None, (), {**plain, "student": "lenet"}).read()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batchsize": 3}, "unknown keyword `batchsize`. Did you mean `batch_size`?"),
        ({"batch_size": "x"}, "batch_size=: batch_size: expected a whole number"),
        ({"seed": object()}, "seed=.*not JSON serializable"),
        ({"student": 5}, "`student` must be a keras.Model"),
        ({"stages": []}, "`stages` must be a list of at least one"),
        ({"data": 5}, "data: train must be arrays"),
        ({"source": [1]}, "`source` must be a file, a dict or a config"),
    ],
)
def test_a_mistake_is_one_line_before_anything_trains(options, message, tmp_path):
    given = {"data": DIGITS, **RUN, **options}
    with pytest.raises((errors.ConfigError, errors.DataError), match=message) as caught:
        distill.train(out=tmp_path / "run", **given)
    assert len(str(caught.value).splitlines()) == 1
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in left if path.name != ".lock"] == []


def test_one_of_several_processes_is_told_to_use_files(tmp_path, monkeypatch):
    for name, value in zip(launch.NAMES, ("host:1", "2", "1"), strict=True):
        monkeypatch.setenv(name, value)
    given = Arguments(config.Run, RUN, (), {"data": (np.zeros((4, 8, 8, 1)), range(4))})
    with pytest.raises(errors.ConfigError, match="from files, as in YAML"):
        given.save(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_broken_promise_is_raised_and_has_the_result(tmp_path, monkeypatch):
    report = {
        "models": [{"name": "student.int8", "file": "student.int8.tflite"}],
        "failures": ["int8: too bad"],
    }
    monkeypatch.setattr(api.cli, "print_result", lambda *_: errors.EXIT_FAILED)
    (tmp_path / "report.json").write_text(json.dumps(report))
    files = api.Files(tmp_path)
    with pytest.raises(errors.BrokenPromise, match="int8: too bad") as caught:
        api._kept(files)
    assert caught.value.result is files
    assert files == {"int8": tmp_path / "student.int8.tflite"}
    monkeypatch.setattr(api.cli, "print_result", lambda *_: 0)
    assert api._kept(files) is files


def test_each_exit_code_is_an_exception_and_the_page_has_it():
    page = (ROOT / "docs" / "python.md").read_text()
    for kind, code in errors.EXIT_CODES.items():
        (row,) = re.findall(rf"^\| {code}\b.*", page, re.M)
        assert f"`{kind.__name__}`" in row
        assert errors.EXIT_CODES[errors.by_code(code)] == code


def test_the_public_surface_is_small_and_documented():
    assert distill.__all__ == ["finish", "to_tf_keras", "train"]
    page = (ROOT / "docs" / "python.md").read_text()
    for name in distill.__all__:
        assert f"`{name}`" in page
        function = getattr(distill, name)
        if isinstance(function, types.ModuleType):  # A command, too.
            assert callable(function.main)
    for function in (api.train, api.finish):
        named = re.findall(r"^        (\w+)(?: \(|:)", function.__doc__, re.M)
        assert set(named) >= set(function.__kwdefaults__)
