"""One whole run, small, from the command line to the report."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
from ai_edge_litert import interpreter
from taught import taught

from distill import config, train
from distill.data import split_file
from distill.measure import accuracy, stitching
from distill.runtime.trust import loader
from distill.studies.speed import whole_run
from distill.teach import stages, workspace
from trainers import trainer

SHORT = [
    "--config=lit_resnet.yaml",
    "--set=teacher.stages.0.epochs=2",
    "--set=stages.0.epochs=1",
    "--set=stages.1.epochs=1",
    "--set=controls.0.stages.0.epochs=2",
    "--set=max_accuracy_drop=100",
]
SHORT += [f"--set=finish.{index}.options.epochs=1" for index in (3, 4, 5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "short"
    assert train.main([*SHORT, f"--out={folder}"]) == 0
    return folder


@pytest.fixture
def report(folder):
    return json.loads((folder / "report.json").read_text())


def test_the_run_folder_holds_everything_and_nothing_half_written(folder):
    expected = {"run.yaml", "finish.json", "report.json", "report.html"}
    expected |= {"teacher.keras", "student.keras", "control.keras"}
    names = map(config.name_of, config.load("lit_resnet.yaml").finish)
    expected |= {f"student.{name}.tflite" for name in names}
    expected |= {"teacher.float32.tflite", "checkpoint", "tensorboard"}
    expected |= {"labels.txt", "MODEL_CARD.md", "front.html", "front.csv", "front.json"}
    expected |= {"splits.csv"}
    visible = {path.name for path in folder.iterdir() if path.name[0] != "."}
    assert visible == expected
    assert {path.name for path in folder.glob(".*")} <= {".lock"}


def test_the_time_of_a_run_is_told_by_its_stages_and_measurements(folder):
    parts = whole_run.read(folder)["parts"]
    stages = ("teacher, stage 1 of 1 (supervised)", "student, stage 2 of 2 (kd)")
    for name in stages:
        assert {"tracing", "steps"} <= set(parts[name])
    # The first validation of a part is its tracing.
    assert {"building", "validation"} <= set(parts[stages[0]])
    # What is made while the run measures costs no time: a file need not be there.
    measured = {"measure latency", "measure student.keras"}
    assert {"imports", "data", *measured, "measure student.int8.tflite"} <= set(parts)


def test_a_run_writes_who_is_in_which_split(folder):
    assert split_file.is_of(folder, config.load(folder / "run.yaml").data.load())


def test_every_file_is_in_the_report_with_its_own_numbers(folder, report):
    splits = config.load(folder / "run.yaml").data.load()
    images, labels = splits.test.floats(), splits.test.labels
    files = {model["file"]: model for model in report["models"]}
    assert set(files) == {
        path.name for path in folder.glob("*.*") if path.suffix in (".keras", ".tflite")
    }
    for name, model in files.items():
        assert model["test_examples"] == len(labels)
        assert model["bytes"] == (folder / name).stat().st_size
        if name.endswith(".tflite"):
            right = answers(folder / name, images).argmax(-1) == labels
            assert model["accuracy"] == pytest.approx(100 * right.mean())
            assert 0 < model["latency_ms"]["median"] <= model["latency_ms"]["p90"]


def answers(path, images):
    """A file's answers, one image at a time, as a user's program asks."""
    runner = interpreter.Interpreter(str(path))
    runner.allocate_tensors()
    takes, gives = runner.get_input_details()[0], runner.get_output_details()[0]
    collected = []
    for image in images:
        runner.set_tensor(takes["index"], image[None])
        runner.invoke()
        collected.append(runner.get_tensor(gives["index"])[0])
    return np.stack(collected)


def test_the_float_file_answers_as_the_student(folder):
    splits = config.load(folder / "run.yaml").data.load()
    images = splits.test.floats()[:64]
    student = keras.models.load_model(folder / "student.keras", compile=False)
    expected = keras.ops.convert_to_numpy(student(images)["logits"])
    got = answers(folder / "student.float32.tflite", images)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


def test_agreement_is_with_the_teacher_and_the_teacher_agrees_with_itself(report):
    agreement = {m["name"]: m["agreement_with_teacher"] for m in report["models"]}
    assert agreement["teacher"] == agreement["teacher.float32"] == 100
    assert 0 <= agreement["control"] < 100


def test_the_promised_sparsity_is_in_the_file(report):
    sparsity = {m["name"]: m["sparsity"] for m in report["models"]}
    assert sparsity["student.pruned"] >= 0.795
    assert sparsity["student.pruned_int8"] >= 0.795
    assert sparsity["student.float32"] < 0.01


def test_small_files_are_small(report):
    size = {m["name"]: m["bytes"] for m in report["models"]}
    assert size["student.int8"] <= 0.35 * size["student.float32"]
    assert size["student.pruned"] <= 0.45 * size["student.float32"]
    assert size["student.float16"] < 0.6 * size["student.float32"]


def test_the_report_tells_of_every_stage(report):
    trained = [(s["model"], s["name"], s["epochs"]) for s in report["stages"]]
    assert trained[:4] == [
        ("teacher", "supervised", 2),
        ("student", "lit", 1),
        ("student", "kd", 1),
        ("control", "supervised", 2),
    ]
    for stage in report["stages"][:4]:
        assert len(stage["metrics"]["val_accuracy"]) == stage["epochs"]
        assert stage["examples_per_second"] > 0


def test_after_lit_norms_know_what_the_student_makes_and_not_the_teacher(folder):
    run = config.load(folder / "run.yaml")
    student = loader.open_own(folder / "checkpoint" / "student.0.keras")
    work = workspace.Workspace(run, run.data.load(), folder)
    source = stages.build_batches(
        work, run.stages[0], 0, teacher=student, generator=None
    )
    norms = []
    for layer in student._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = not layer.name.startswith("stem")  # The teacher's.
            norms += [layer] if layer.trainable else []
    assert norms
    before = [np.array(layer.moving_variance) for layer in norms]
    batches = [source.batch(step)[0] for step in range(source.steps_per_epoch)]
    trainer.recalibrate(student, batches)
    for layer, variance in zip(norms, before, strict=True):
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-3)


def test_the_report_tells_at_which_section_the_student_loses(folder, report):
    splits = config.load(folder / "run.yaml").data.load()
    pair = (
        loader.open_own(folder / f"{name}.keras") for name in ("teacher", "student")
    )
    assert report["stitched"] == stitching.record(*pair, splits.test)
    assert len(report["stitched"]) == 3
    lit = next(stage for stage in report["stages"] if stage["name"] == "lit")
    assert sum(name.startswith("stitched/") for name in lit["metrics"]) == 6


def test_the_same_command_again_trains_nothing(folder, report, capfd):
    before = {p.name: p.read_bytes() for p in folder.glob("*.keras")}
    assert train.main([*SHORT, f"--out={folder}"]) == 0
    assert before == {p.name: p.read_bytes() for p in folder.glob("*.keras")}
    again = json.loads((folder / "report.json").read_text())
    assert again["stages"] == report["stages"]
    assert [m["accuracy"] for m in again["models"]] == [
        m["accuracy"] for m in report["models"]
    ]
    assert "Epoch" not in "".join(capfd.readouterr())


def test_another_config_in_the_same_folder_is_refused(folder, capsys):
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert train.main([*SHORT, "--seed=5", f"--out={folder}"]) == 2
    assert "seed: 0 -> 5" in capsys.readouterr().err
    assert before == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_later_run_reuses_the_teacher_and_the_same_seed_repeats_itself(
    folder, report, monkeypatch
):
    other, asked, ask = folder.with_name("other"), [], accuracy.logits
    monkeypatch.setattr(
        accuracy,
        "logits",
        lambda *given: asked.append(len(given[1].labels)) or ask(*given),
    )
    short = [flag for flag in SHORT if "accuracy" not in flag]  # Of files alone.
    assert train.main([*short, "--set=finish=[]", f"--out={other}"]) == 0
    assert len(list((folder.parent / "teachers").iterdir())) == 1
    # Teacher, student and control answer once each, which the report tells.
    assert asked.count(report["data"]["test"]) == 3
    again = json.loads((other / "report.json").read_text())
    for old, new in zip(report["models"][:3], again["models"], strict=True):
        for key in ("accuracy", "agreement_with_teacher", "per_class_accuracy"):
            assert old[key] == new[key]
    for name in ("teacher", "student", "control"):
        assert weights(folder / f"{name}.keras") == weights(other / f"{name}.keras")


def test_another_seed_is_another_student(folder):
    other, wise = folder.with_name("seed"), folder.with_name("wise.keras")
    digits = config.load("lit_resnet.yaml").data.load()
    taught(loader.open_own(folder / "teacher.keras"), digits.train).save(wise)
    teacher_flag = f"--set=teacher={{file: {wise}}}"
    flags = ["--set=finish=[]", "--set=controls=[]", "--seed=1", f"--out={other}"]
    teacher = [
        flag
        for flag in SHORT
        if not any(word in flag for word in ("accuracy", "controls", "finish"))
    ]
    teacher = [flag for flag in teacher if "teacher" not in flag]
    assert train.main([*teacher, teacher_flag, *flags]) == 0
    assert weights(wise) == weights(other / "teacher.keras")
    assert weights(folder / "student.keras") != weights(other / "student.keras")


def weights(path):
    """The bytes of all weights of a `.keras` file."""
    network = keras.models.load_model(path, compile=False)
    return [keras.ops.convert_to_numpy(v).tobytes() for v in network.variables]


def test_a_broken_promise_is_reported_by_name_and_exits_1(folder, capfd):
    """The dense file in the pruned one's place: right answers, sparsity lost."""
    broken = folder.with_name("broken")
    shutil.copytree(folder, broken)
    shutil.copy(broken / "student.float32.tflite", broken / "student.pruned.tflite")
    shutil.copy(broken / "student.float32.tflite", broken / "student.int8.tflite")
    assert train.main([*SHORT, f"--out={broken}"]) == 1
    failures = json.loads((broken / "report.json").read_text())["failures"]
    assert any("student.pruned" in line and "sparsity" in line for line in failures)
    assert any("student.int8" in line and "float" in line for line in failures)
    output = "".join(capfd.readouterr())
    assert "student.pruned: " in output
    assert pathlib.Path(broken / "report.html").is_file()
