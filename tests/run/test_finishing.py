"""A network made elsewhere becomes measured files, with a teacher or without one."""

import json
import shutil

import keras
import numpy as np
import pytest
from taught import taught

from distill import config, data, evaluate, finish, inspect
from distill.compress import finishers
from distill.config import finishing
from distill.data import split_file
from distill.measure import codec
from distill.report import console, front
from distill.report.card import model_card
from distill.report.charts import pareto
from distill.run.finishing import open_networks
from distill.runtime import errors, formats, hashes
from distill.runtime.trust import loader, provenance

LINES = """
data: {name: digits, options: {train_examples: 128}}
batch_size: 64
finish:
  - {name: float32}
  - {name: int8, options: {epochs: 1}}
max_accuracy_drop: 100
"""
WHOLE = """
data: {name: digits, options: {train_examples: 600}}
batch_size: 64
finish:
  - {name: float32}
  - {name: int8_calibrated}
  - {name: int8, options: {epochs: 2}}
  - {name: pruned, options: {sparsity: 0.5, epochs: 6}}
  - {name: pruned_int8, options: {epochs: 2}}
  - {name: clustered, options: {epochs: 2}}
  - {name: clustered_int8, options: {epochs: 2}}
  - {name: nary, options: {levels: 7, ends: levels, epochs: 12, learning_rate: 0.003}}
max_accuracy_drop: 3
"""

MADE = ["float32", "int8_calibrated", "int8", "pruned", "pruned_int8"]
MADE += ["clustered", "clustered_int8", "nary"]


def network(activation=None, classes=10, size=8, filters=4):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((size, size, 1)),
            keras.layers.Conv2D(filters, 3, 2),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(classes, activation=activation),
        ]
    )


def train_network(train):
    finished_run = network(filters=16)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    finished_run.compile(keras.optimizers.Adam(0.01), loss)
    finished_run.fit(train.floats(), train.labels, batch_size=64, epochs=15, verbose=0)
    return finished_run


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """The run folder of a network without a teacher, and its report."""
    folder = tmp_path_factory.mktemp("finishing")
    (folder / "finish.yaml").write_text(WHOLE)
    digits = data.DATASETS["digits"](train_examples=600)
    train_network(digits.load().train).save(folder / "given.keras")
    flags = [f"--model={folder / 'given.keras'}", f"--config={folder / 'finish.yaml'}"]
    assert finish.main([*flags, f"--out={folder / 'run'}"]) == 0
    report = json.loads((folder / "run" / "report.json").read_text())
    return folder / "run", report


def test_its_files_are_made_and_measured(finished_run):
    folder, report = finished_run
    names = [model["name"] for model in report["models"]]
    assert names == ["student", *(f"student.{name}" for name in MADE)]
    assert not any(model["agreement_with_teacher"] for model in report["models"])
    assert (folder / "report.html").exists()


def test_packed_bytes_are_those_of_the_container_and_explained(finished_run, capfd):
    folder, report = finished_run
    rows = {row["name"]: row for row in front.front(report["models"])["models"]}
    for model in report["models"]:
        content = (folder / model["file"]).read_bytes()
        packed = codec.pack(content)
        assert codec.unpack(packed) == content
        assert model["packed_bytes"] == len(packed) < model["gzip_bytes"]
        assert rows[model["name"]]["packed_bytes"] == len(packed)
        assert f"{len(packed):,}" in (folder / "MODEL_CARD.md").read_text()
    for page in ("MODEL_CARD.md", "report.html", "front.html"):
        assert formats.PACKED in (folder / page).read_text()
    assert formats.PACKED in console.table(report)
    assert inspect.main([str(folder / "student.int8.tflite")], limited=True) == 0
    packed = rows["student.int8"]["packed_bytes"]
    assert f"{packed:,}: {formats.PACKED}" in capfd.readouterr().out


def test_what_was_trained_elsewhere_may_know_the_test_split_and_this_is_said(
    finished_run,
):
    folder, report = finished_run
    (line,) = [line for line in report["warnings"] if "trained elsewhere" in line]
    assert "(model)" in line
    assert line in " ".join((folder / "MODEL_CARD.md").read_text().split())
    splits = config.read(finishing.Finishing, folder / "run.yaml").data.load()
    assert split_file.is_of(folder, splits)


def test_a_file_beside_its_splits_is_not_of_elsewhere(finished_run, caplog, tmp_path):
    file = shutil.copy(finished_run[0] / "student.keras", tmp_path / "student.keras")
    data = "--set=data={name: digits, options: {train_examples: 600}}"
    flags = [f"--model={file}", "--config=kd_resnet.yaml", data]
    caplog.set_level("INFO", "distill")
    assert evaluate.main(flags) == 0
    assert "trained elsewhere (student.keras)" in caplog.text
    caplog.clear()
    shutil.copy(finished_run[0] / "splits.csv", tmp_path)
    assert evaluate.main(flags) == 0
    assert "trained elsewhere" not in caplog.text


@pytest.mark.parametrize("name", MADE)
def test_its_files_are_nearly_as_accurate_as_it_is(finished_run, name):
    accuracy = {model["name"]: model["accuracy"] for model in finished_run[1]["models"]}
    assert accuracy["student"] > 90
    fall = 0 if name == "float32" else 2
    assert accuracy[f"student.{name}"] >= accuracy["student"] - fall


def test_labels_alone_teach_it(finished_run):
    _, report = finished_run
    metrics = next(s for s in report["stages"] if s["name"] == "int8")["metrics"]
    assert "task_loss" in metrics
    assert "kd_loss" not in metrics


def test_answers_before_and_after_conversion_are_compared(finished_run):
    _, report = finished_run
    actual = {model["name"]: model for model in report["models"]}
    parity = actual["student.float32"]["parity"]
    assert parity["examples"] == 256 < report["data"]["train"]
    assert 0 < parity["mean"] <= parity["max"] <= 1e-4 * parity["scale"]
    eight = actual["student.int8"]["parity"]
    assert eight["max"] <= 0.2 * eight["scale"] > 0
    assert eight["scale"] != parity["scale"]  # Of the model that learned to bear it.
    assert actual["student.float32"]["ops"] == {"CONV_2D": 1, **_dense()}


def _dense():
    return {"FULLY_CONNECTED": 1, "RESHAPE": 1}


def test_every_file_says_what_it_was_made_of(finished_run):
    folder, report = finished_run
    student = loader.open_own(folder / "student.keras")
    for name in ("student.float32", "student.int8"):
        origin = provenance.read(folder / f"{name}.tflite")
        assert origin["model"] == name
        assert origin["data"] == report["data"]["fingerprint"]
        assert origin["config"]["max_accuracy_drop"] == 3
        assert origin["weights"] == {"student": hashes.weights_hash(student)}
        assert 0 <= origin["validation"]["accuracy"] <= 100
        (model,) = (m for m in report["models"] if m["name"] == name)
        assert model["validation_accuracy"] == origin["validation"]["accuracy"]


def test_only_a_finisher_that_asks_for_it_has_its_error_bounded(finished_run):
    folder, report = finished_run
    found = {m["name"]: m.get("certificate") for m in report["models"]}
    certificate = found.pop("student.nary")
    assert set(found.values()) == {None}
    assert certificate["vacuous"]
    assert certificate["examples"] == report["data"]["train"]
    for text in ("MODEL_CARD.md", "report.html"):
        assert "certificate of student.nary: none" in (folder / text).read_text()


def test_few_examples_to_decide_by_are_said(finished_run):
    _, report = finished_run
    (line,) = [x for x in report["warnings"] if x.startswith("The validation split")]
    assert f"has {report['data']['validation']} examples" in line


def test_names_of_classes_go_with_the_files(finished_run, capfd):
    folder, _ = finished_run
    names = [str(digit) for digit in range(10)]
    assert (folder / "labels.txt").read_text().splitlines() == names
    assert provenance.read(folder / "student.int8.tflite")["classes"] == names
    assert inspect.main([str(folder / "student.int8.tflite")], limited=True) == 0
    assert ", ".join(names) in capfd.readouterr().out


def test_a_card_says_what_the_files_take_and_what_they_promised(finished_run):
    folder, report = finished_run
    text = (folder / "MODEL_CARD.md").read_text()
    assert "images 8 x 8 x 1, numbers in [0, 1], to the logits of 10 classes" in text
    rows = [line for line in text.splitlines() if line.startswith("| student")]
    assert len(rows) == 1 + len(MADE)
    assert all("| float32 8 x 8 x 1 | float32 10 |" in row for row in rows)
    assert "- no file broke a promise" in text
    files = report["models"]
    texts = model_card.text(
        {
            **report,
            "data": {**report["data"], "kind": "texts", "input_shape": [64]},
            "models": [{**files[0], "failed": []}],
        }
    )
    assert "64 int32 ids, which `tokenizer.json` makes of a text" in texts
    assert "nothing was promised" in texts and "broke" not in texts
    # Of a budget, that the last file alone must keep, the others' are no failures.
    first = {**files[1], "failed": ["too large"]}
    text = model_card.text(
        {**report, "failures": [], "models": [files[0], first, files[2]]}
    )
    assert "no file broke" not in text and "- student.float32: too large" in text


def test_a_card_and_a_front_lie_beside_the_files(finished_run):
    folder, report = finished_run
    card = (folder / "MODEL_CARD.md").read_text()
    for text in (
        "student.int8.tflite",
        report["data"]["fingerprint"],
        "batch_size: 64",
    ):
        assert text in card
    actual = json.loads((folder / "front.json").read_text())
    assert actual["reference"] == "student"
    lines = (folder / "front.csv").read_text().splitlines()
    assert len(lines) == 1 + len(actual["models"])
    page = (folder / "front.html").read_text()
    shown = {key for key, each in pareto.MEASURES.items() if each.title in page}
    assert set(pareto.MEASURES) - shown == {"arena_bytes"}  # Not of this target.


def test_the_same_command_again_makes_nothing(finished_run):
    folder, _ = finished_run
    before = {path: path.read_bytes() for path in folder.glob("*.tflite")}
    paths = folder.parent / "given.keras", folder.parent / "finish.yaml"
    flags = [f"--model={paths[0]}", f"--config={paths[1]}", f"--out={folder}"]
    assert finish.main(flags) == 0
    assert before == {path: path.read_bytes() for path in folder.glob("*.tflite")}
    assert finish.main([*flags, "--seed=3"]) == 2


@pytest.fixture
def prepare_networks(tmp_path, monkeypatch):
    """A function: writes a network, and makes it ready as a run would."""
    monkeypatch.setattr(
        loader, "open_foreign", lambda path, sha256: loader.open_own(path)
    )

    def prepare(source, teacher=None, changes=()):
        (tmp_path / "finish.yaml").write_text(LINES)
        source.save(tmp_path / "given.keras")
        changes = [f"model={tmp_path / 'given.keras'}", *changes]
        if teacher is not None:
            teacher.save(tmp_path / "its_teacher.keras")
            changes.append(f"teacher={tmp_path / 'its_teacher.keras'}")
        run = config.read(finishing.Finishing, tmp_path / "finish.yaml", changes)
        open_networks(run, run.data.load(), tmp_path)
        return tmp_path

    return prepare


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("{rules: [{layers: heat, sparsity: 0}]}", r"`rules\[0\].layers` must match"),
        ("{scope: network, sparsity: 0.99}", "`sparsity` must be at most 0.9"),
    ],
)
def test_pruning_must_fit_the_layers_that_were_given(prepare_networks, options, words):
    with pytest.raises(errors.ConfigError, match=f"finish.pruned: {words}"):
        prepare_networks(
            network(), changes=[f"finish=[{{name: pruned, options: {options}}}]"]
        )


def test_probabilities_are_refused_with_the_cure(prepare_networks):
    cure = r"as from a softmax.*activations.linear"
    with pytest.raises(errors.ConfigError, match=cure):
        prepare_networks(network("softmax"))
    with pytest.raises(errors.ConfigError, match=r"its_teacher.*probabilities"):
        prepare_networks(network(), network("softmax"))


def test_a_network_that_knows_nothing_is_named(prepare_networks, monkeypatch):
    output = []
    monkeypatch.setattr("distill.runtime.progress.say", output.append)
    source = network()
    source.layers[-1].set_weights([0 * x for x in source.layers[-1].get_weights()])
    prepare_networks(source)
    assert "given.keras: 15.4 % of 13 validation examples right" in output[0]


def test_the_cure_cures(prepare_networks):
    source = network("softmax")
    source.layers[-1].activation = keras.activations.linear
    assert (prepare_networks(source) / "student.keras").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (network(classes=9), r"to 10 logits. Received: \(8, 8, 1\) to \(9,\)"),
        (network(size=9), r"Received: \(9, 9, 1\) to"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(prepare_networks, source, words):
    with pytest.raises(errors.ConfigError, match=words):
        prepare_networks(source)


def test_several_inputs_or_outputs_are_refused(prepare_networks):
    images = keras.Input((8, 8, 1))
    x = keras.layers.Dense(10)(keras.layers.Flatten()(images))
    with pytest.raises(
        errors.ConfigError, match=r"Received: 1 inputs, and \['other'\]"
    ):
        prepare_networks(keras.Model(images, {"other": x}))
    with pytest.raises(errors.ConfigError, match="several outputs"):
        prepare_networks(keras.Model(images, [x, x]))


def test_a_teacher_and_named_outputs_are_kept_as_networks_of_the_house(
    prepare_networks,
):
    images = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(images)
    source = keras.Model(images, {"x": x, "logits": keras.layers.Dense(10)(x)})
    digits = data.DATASETS["digits"](train_examples=128).load()
    folder = prepare_networks(source, taught(network(), digits.train))
    inputs = np.random.default_rng(0).uniform(size=(3, 8, 8, 1)).astype("float32")
    for name, expected in (("student", source(inputs)["logits"]), ("teacher", None)):
        saved = loader.open_own(folder / f"{name}.keras")
        assert list(saved.output) == ["logits"]
        if expected is not None:
            np.testing.assert_allclose(saved(inputs)["logits"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("model=none.keras", "`model` must be a file that exists"),
        ("teacher=none.keras", "`teacher` must be a file that exists"),
        ("finish=[]", "`finish` must be a list of at least one"),
        ("batch_size=0", "`batch_size` must be at least 1"),
        ("finish=[{name: pruned_int8}]", "must be after `pruned`"),
    ],
)
def test_mistakes_of_a_config_are_named(tmp_path, change, words):
    (tmp_path / "finish.yaml").write_text(LINES)
    (tmp_path / "given.keras").write_text("")
    changes = [f"model={tmp_path / 'given.keras'}", change]
    with pytest.raises(errors.ConfigError, match=words):
        config.read(finishing.Finishing, tmp_path / "finish.yaml", changes)


def test_a_config_is_told_by_whether_it_has_a_student(tmp_path):
    (tmp_path / "finish.yaml").write_text(LINES)
    assert finishing.config_class(tmp_path / "finish.yaml") is finishing.Finishing
    assert finishing.config_class("lit_resnet.yaml") is config.Run


@pytest.mark.parametrize("name", finishers.FINISHERS)
def test_a_difference_beyond_the_tolerance_is_a_breach(name):
    part = finishers.FINISHERS[name]()
    parity = {"examples": 9, "mean": 0.0, "scale": 5.0}
    allowed = 5 * part.tolerance
    within = {"max": 0.99 * allowed, "most": 0.99 * allowed}
    assert part.conversion_breaches({**parity, **within}) == []
    for wrong in (1.01 * allowed, float("nan")):
        (line,) = part.conversion_breaches({**parity, "max": wrong, "most": wrong})
        assert "conversion changed the answers" in line
        assert "9 examples" in line


def test_one_clipped_example_in_a_hundred_is_no_breach_in_integers_alone():
    parity = {"examples": 256, "mean": 0.3, "scale": 37.0, "max": 9.4, "most": 2.0}
    breaches = {
        name: part().conversion_breaches(parity)
        for name, part in finishers.FINISHERS.items()
    }
    assert breaches["int8_calibrated"] == breaches["int16x8"] == breaches["int8"] == []
    for name in ("float32", "dynamic_int8", "clustered_int8_lut"):
        assert "by 9.4 on 256 examples" in breaches[name][0]
    (line,) = finishers.FINISHERS["int8"]().conversion_breaches({**parity, "most": 9.3})
    assert "by 9.3 on 99 % of 256 examples" in line


def model(name, accuracy, size, macs=10, latency=None, failed=()):
    return {
        "name": name,
        "file": name,
        "accuracy": accuracy,
        "validation_accuracy": accuracy,
        "bytes": size,
        "gzip_bytes": 1000 - size,
        "packed_bytes": size // 2,
        "macs": macs,
        "latency_ms": latency and {"median": latency},
        "latency_all_threads_ms": latency and {"median": 1 - latency},
        "failed": list(failed),
    }


def test_the_front_marks_what_another_sound_model_beats_in_each_measure():
    models = [
        model("teacher", 97.0, 900, 90),
        model("student.a", 96.0, 300, 10, 0.5),
        model("student.b", 95.9, 400, 10, 0.2),
        model("student.c", 99.0, 100, 5, 0.1, ["broken"]),
        model("student.d", 95.9, 200, 10, 0.3),
    ]
    actual = front.front(models)
    beaten = {row["name"]: row["dominated_in"] for row in actual["models"]}
    every = [key for key in pareto.MEASURES if key != "arena_bytes"]  # Not measured.
    fast = "latency_all_threads_ms"  # There, those that are slow alone are fast.
    assert beaten == {
        "teacher": [],
        "student.a": ["gzip_bytes"],
        "student.b": ["bytes", "gzip_bytes", "packed_bytes", "macs", fast],
        "student.c": every,
        "student.d": ["gzip_bytes", "macs", "latency_ms", fast],
    }
    assert actual["chosen"] == "student.a"  # 95.9 and less are not within a point.
    assert front.front(models[:1])["chosen"] is None


def test_what_the_front_chooses_the_validation_split_decides():
    models = [
        model("student", 97.0, 900),
        model("student.a", 96.9, 300),
        model("student.b", 90.0, 400),
    ]
    models[1]["validation_accuracy"] = 95.9
    models[2]["validation_accuracy"] = 96.0
    actual = front.front(models)
    assert actual["chosen"] == "student.b"
    assert actual["models"][1]["accuracy"] == 96.9
    assert actual["models"][1]["validation_accuracy"] == 95.9
