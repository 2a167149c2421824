"""Files of elsewhere are rows of the report, measured as any file, and marked."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
from taught import taught

from distill import api, config, evaluate
from distill.compress import convert
from distill.config import finishing, lessons
from distill.config.reference import Reference
from distill.measure import accuracy, cost
from distill.report import console, front
from distill.run import finishing as finishing_steps
from distill.run import training
from distill.run.evaluation import gather, models, references
from distill.run.folder import check_ground
from distill.runtime import errors, packages
from distill.runtime.trust import loader
from distill.studies.compare import aggregate

DATA = "{name: digits, options: {train_examples: 128}}"


def network(split, size=8, classes=10):
    """From images in [0, 1] to logits, which know most of the digits."""
    keras.utils.set_random_seed(0)
    images = keras.Input((size, size, 1))
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(images))
    made = keras.Model(images, keras.layers.Dense(classes)(x))
    return taught(made, split) if (size, classes) == (8, 10) else made


def of_bytes(made):
    """The same network, of pixels from 0 to 255."""
    images = keras.Input(made.inputs[0].shape[1:])
    return keras.Model(images, made(keras.layers.Rescaling(1 / 255)(images)))


def named(made):
    return keras.Model(made.inputs, {"logits": made.outputs[0]})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of files that know the digits, and the splits of these."""
    folder = tmp_path_factory.mktemp("elsewhere")
    splits = load(folder).data.load()
    knows = network(splits.train)
    seen = splits.train.floats()
    files = {
        "unit": convert.to_tflite(named(knows), "float32", None, "float32"),
        "bytes": convert.to_tflite(named(of_bytes(knows)), "float32", None, "float32"),
        "int8": convert.to_tflite(named(of_bytes(knows)), "int8", 255 * seen, "int8"),
    }
    for name, shape in {"large": (9, 10), "classes": (8, 11)}.items():
        other = named(network(splits.train, *shape))
        files[name] = convert.to_tflite(other, "float32", None, "float32")
    for name, content in files.items():
        (folder / f"{name}.tflite").write_bytes(content)
    (folder / "damaged.tflite").write_bytes(files["unit"][:1000])
    for name in ("teacher", "student"):
        named(knows).save(folder / f"{name}.keras")
    return folder, splits


def load(folder, *parts, more=()):
    listed = [f"{{file: {folder}/{part}.tflite, {rest}}}" for part, rest in parts]
    overrides = [f"data={DATA}", "finish=[]", "controls=[]"]
    overrides += [f"references=[{', '.join(listed)}]"] if parts else []
    return config.load("kd_resnet.yaml", [*overrides, *more])


BYTES = "input_range: [0, 255]"


def test_they_are_measured_as_evaluate_measures_the_same_file(made, monkeypatch):
    folder, splits = made
    parts = (("unit", "name: plain"), ("bytes", BYTES), ("int8", BYTES))
    run = load(folder, *parts)
    records, unmeasured = references.measure(run, splits.test, None)
    assert not unmeasured
    said = []
    monkeypatch.setattr(evaluate, "_lines", lambda record: said.append(record) or "")
    for name, limits in (("unit", "0 1"), ("bytes", "0 255"), ("int8", "0 255")):
        flags = [f"--model={folder / name}.tflite", "--config=kd_resnet.yaml"]
        flags += [f"--set=data={DATA}", "--input-range", *limits.split()]
        assert evaluate.main(flags, limited=True) == 0
    own = {"name", "file", "reference", "latency_ms", "latency_all_threads_ms"}
    for record, expected in zip(records, said, strict=True):
        expected = json.loads(json.dumps(expected))
        kept = set(expected) - own
        assert {k: record[k] for k in kept} == {k: expected[k] for k in kept}
    plain, of_pixels, integers = (record["accuracy"] for record in records)
    assert plain == of_pixels > 80 and abs(integers - plain) < 2
    low, high = records[0]["reference"]["interval"]
    assert low < plain < high < low + 10
    # Given other numbers, a file knows less: the range is what tells.
    blind, _ = references.measure(load(folder, ("bytes", "")), splits.test, None)
    assert blind[0]["accuracy"] < plain - 5


def test_the_report_has_them_as_rows_that_were_not_made_here(
    made, tmp_path, monkeypatch
):
    folder, splits = made
    opened, counted = [], []
    of_file, of_network = loader.open_own, cost.count
    monkeypatch.setattr(
        loader, "open_own", lambda p: opened.append(p.stem) or of_file(p)
    )
    monkeypatch.setattr(cost, "count", lambda n: counted.append(n) or of_network(n))
    asked, ask = [], accuracy.logits
    monkeypatch.setattr(
        accuracy,
        "logits",
        lambda m, split: asked.append((id(m), id(split.labels))) or ask(m, split),
    )
    for name in ("teacher", "student"):
        shutil.copy(folder / f"{name}.keras", tmp_path)
    # A name as a file of the run's own has: it is none.
    shutil.copy(folder / "int8.tflite", tmp_path / "student.int8.tflite")
    parts = (("unit", ""), (f"../{tmp_path.name}/student.int8", BYTES))
    run = load(tmp_path.parent / folder.name, *parts)
    own = models.measure_networks(run, splits, tmp_path)
    report = gather.gather(run, splits, tmp_path, [], own)
    assert opened.count("student") == 1 and len(counted) == 2
    # Teacher and student on two splits, each once.
    assert len(set(asked)) == len(asked) == 4
    *own, unit, int8 = report["models"]
    assert [model["name"] for model in own] == ["teacher", "student"]
    assert (unit["name"], int8["name"]) == (
        "reference.unit",
        "reference.student.int8",
    )
    assert not any("reference" in model for model in own)
    assert int8["reference"]["input_range"] == [0, 255]
    # The student is the very network of that file, and so is its teacher.
    assert unit["accuracy"] == own[1]["accuracy"]
    assert unit["agreement_with_teacher"] == 100
    assert int8["latency_ms"]["median"] > 0 < unit["latency_ms"]["median"]
    written = json.loads((tmp_path / "report.json").read_text())["models"]
    assert [model["name"] for model in written[2:]] == [unit["name"], int8["name"]]
    texts = [console.table(report), (tmp_path / "MODEL_CARD.md").read_text()]
    texts += [(tmp_path / f"{page}.html").read_text() for page in ("report", "front")]
    for text in texts:
        text = " ".join(text.split())
        assert "reference.unit was not made here" in text
        assert "given numbers from 0 to 255" in text
    assert texts[2].count("not made here</em>") == 2
    assert 'class="point reference' in texts[2]
    # It is compared with, and is nothing that a run ships.
    assert front.front(report["models"])["chosen"] is None
    rows = aggregate.aggregate([report])
    assert [row["name"] for row in rows if row["ships"]] == []
    assert not api.Files(tmp_path)


@pytest.mark.parametrize(
    ("part", "rest", "said"),
    [
        ("absent", "", "file that exists.*DISTILL_DATA"),
        ("damaged", "", "damaged TFLite file"),
        ("large", "", r"must take inputs of 8 x 8 x 1\. Received: float32 9 x 9 x 1"),
        ("classes", "", r"must give 10 numbers.*Received: float32 11"),
        ("int8", "", r"from 0 to 255.*Received: \[0\.0, 1\.0\]"),
        ("int8", "input_range: [-1, 1]", r"Received: \[-1\.0, 1\.0\]"),
        ("int8", "input_range: [-128, 127]", r"Received: \[-128\.0, 127\.0\]"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(made, part, rest, said):
    run = load(made[0], (part, rest))
    with pytest.raises(errors.ConfigError, match=said):
        references.check(run)


def test_what_fits_is_not_refused_and_a_wrong_pin_is(made):
    references.check(load(made[0], ("unit", ""), ("int8", BYTES)))
    with pytest.raises(errors.Untrusted, match="expected 0000"):
        references.hashes(load(made[0], ("unit", f"sha256: '{64 * '0'}'")))


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("input_range: [1, 0]", "two numbers, the smaller first"),
        ("input_range: [0, 1, 2]", "two numbers"),
        ("name: a/b", "`name` must be"),
        ("sha256: abc", "64 hexadecimal digits"),
    ],
)
def test_an_impossible_option_is_refused_with_the_config(made, rest, said):
    with pytest.raises(errors.ConfigError, match=rf"references\[0\].*{said}"):
        load(made[0], ("unit", rest))


def test_names_differ_and_ids_have_no_range(made):
    with pytest.raises(errors.ConfigError, match="of different names"):
        load(made[0], ("unit", ""), ("unit", ""))
    given = "references=[{file: x.tflite, input_range: [0, 255]}]"
    with pytest.raises(errors.ConfigError, match=r"input_range.*no images"):
        config.load("lit_vdcnn_sst2.yaml", [given])


def test_another_file_under_the_same_name_does_not_continue_a_run(made, tmp_path):
    folder, splits = made
    file = shutil.copy(folder / "unit.tflite", tmp_path / "it.tflite")
    run = load(tmp_path, ("it", ""))
    settings = finishing.Finishing(
        model=str(folder / "student.keras"),
        data=run.data,
        references=run.references,
        max_accuracy_drop=1.0,
        finish=config.load("lit_resnet.yaml").finish[:1],
    )
    for ground, of in ((training.ground, run), (finishing_steps.ground, settings)):
        shutil.copy(folder / "unit.tflite", file)
        place = tmp_path / ground.__module__
        place.mkdir()
        check_ground(place, ground(of, splits))
        (place / "student.keras").touch()
        check_ground(place, ground(of, splits))
        shutil.copy(folder / "bytes.tflite", file)
        with pytest.raises(errors.ConfigError, match=r"reference\.it: "):
            check_ground(place, ground(of, splits))


def test_without_litert_they_are_left_out_and_this_is_said(made, monkeypatch):
    run = load(made[0], ("absent", ""))
    monkeypatch.setattr(packages, "missing", lambda *names: ["constriction"])
    references.check(run)
    assert references.hashes(run) == {} and references.measure(run, None, None)[0] == []
    (line,) = references.missing_warning(run)
    assert "constriction" in line


def test_what_was_trained_is_not_lost_with_a_reference(made):
    folder, splits = made
    some = splits.test.take(np.arange(20))
    run = load(folder, ("unit", ""), ("damaged", ""))
    (record,), (line,) = references.measure(run, some, None)
    assert record["test_examples"] == 20
    assert line.startswith("reference.damaged was not measured")


def test_it_may_lie_with_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path))
    part = Reference(file="a/x.tflite")
    assert part.path == pathlib.Path("a/x.tflite") and part.title == "reference.x"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.tflite").touch()
    assert part.path == tmp_path / "a" / "x.tflite"


def test_they_may_know_a_test_split_that_is_drawn_here(made):
    assert lessons.pretrained_names(load(made[0], ("unit", ""))) == ["reference.unit"]


def test_a_config_without_them_is_written_as_before():
    assert "references" not in config.plain(config.load("lit_resnet.yaml"))
