"""A command that needs a package which is not there says so before it begins."""

import sys

import pytest

from distill import (
    check,
    doctor,
    evaluate,
    export,
    finish,
    inspect,
    pack,
    train,
    unpack,
)

NAMES = (
    "tensorflow",
    "tf_keras",
    "tensorflow_model_optimization",
    "ai_edge_litert",
    "constriction",
    "flatbuffers",
)
MICRO = "tflite-micro, which is not installed: pip install -e '.[micro]'"
COMMANDS = [
    (inspect, ["student.tflite"], "ai-edge-litert constriction flatbuffers"),
    (pack, ["student.tflite"], "ai-edge-litert constriction flatbuffers"),
    (unpack, ["student.tflz"], "constriction"),
    (
        evaluate,
        ["--model=student.tflite", "--config=lit_resnet.yaml"],
        "ai-edge-litert constriction",
    ),
    (export, ["--model=student.keras"], "tensorflow"),
    (doctor, ["--config=lit_resnet.yaml"], "tensorflow tf-keras"),
    (doctor, ["--model=student.keras"], "tensorflow tf-keras"),
    (
        finish,
        ["--model=student.keras", "--config=finish.yaml"],
        "tensorflow tf-keras tensorflow-model-optimization ai-edge-litert "
        "constriction flatbuffers",
    ),
]


@pytest.mark.parametrize(("command", "flags", "missing"), COMMANDS)
def test_what_is_not_installed_is_said_in_a_line(
    command, flags, missing, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    before = {"student.keras", "student.tflite", "student.tflz", "finish.yaml"}
    for name in before:
        (tmp_path / name).touch()
    (tmp_path / "finish.yaml").write_text(
        "data: {name: digits}\nfinish: [{name: float32}]\n"
    )
    for name in NAMES:
        monkeypatch.setitem(sys.modules, name, None)
    assert command.main(flags) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"not installed: pip install {missing}" in line
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (inspect, ["student.tflite", "--micro"]),
        (doctor, ["--model=student.keras", "--micro"]),
        (doctor, ["--config=lit_resnet.yaml", "--set=target=micro"]),
        (check, ["--config=lit_resnet.yaml", "--set=target=micro"]),
        (
            finish,
            ["--model=student.keras", "--config=finish.yaml", "--set=target=micro"],
        ),
    ],
)
def test_the_extra_that_a_target_needs_is_named(
    command, flags, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    for name in ("student.keras", "student.tflite"):
        (tmp_path / name).touch()
    (tmp_path / "finish.yaml").write_text(
        "data: {name: digits}\nfinish: [{name: float32}]\n"
    )
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    assert command.main(flags) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith(f" needs {MICRO}")


def test_the_extra_that_a_teacher_needs_is_named(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    stages = "[{trainer: {name: kd}, epochs: 1}]"
    options = ["teacher={hub: bert_tiny}", f"stages={stages}", "controls=[]"]
    sets = [f"--set={option}" for option in [*options, "augmentation={}"]]
    assert train.main(["--config=lit_resnet.yaml", *sets]) == 2
    *_, line = capfd.readouterr().err.splitlines()
    assert line.endswith("not installed: pip install -e '.[hub]'")
    assert "teacher.hub" in line


@pytest.mark.parametrize(
    ("command", "searches"), [(finish, False), (finish, True), (train, False)]
)
def test_a_file_that_needs_another_package_is_refused_before_anything_trains(
    command, searches, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    (tmp_path / "student.keras").touch()
    names = ["clustered", "clustered_int8", "clustered_int8_lut"]
    listed = ", ".join(f"{{name: {name}}}" for name in names)
    lines = f"data: {{name: digits}}\nfinish: [{listed}]\n"
    if command is train:
        lines += "_base_: lit_resnet.yaml\n"
    elif searches:
        among = "among: [clustered_int8_lut]"
        lines = f"data: {{name: digits}}\nbudget: {{max_kb: 60, {among}}}\n"
    (tmp_path / "mine.yaml").write_text(lines)
    model = [] if command is train else ["--model=student.keras"]
    assert command.main(["--config=mine.yaml", *model]) == 2
    *_, line = capfd.readouterr().err.splitlines()
    assert line.startswith("error: `finish`: clustered_int8_lut needs tflite-micro")
    assert "pip install" in line
    assert [path.name for path in tmp_path.rglob("*.keras")] == ["student.keras"]
