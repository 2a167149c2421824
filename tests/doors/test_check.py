"""`check` and `evaluate` tell what a user asks, without training."""

import pytest

from distill import check, config, evaluate
from distill.config import finishing
from students import ResNet


def test_check_prints_run_pairs_costs_and_sizes(capsys):
    assert check.main(["--config=lit_resnet.yaml", "--set=batch_size=33"]) == 0
    output = capsys.readouterr().out
    assert "batch_size: 33" in output
    assert "momentum: 0.9" in output  # A default, filled in.
    pairs = [line.split("(") for line in output.splitlines() if line[:7] == "section"]
    assert [line[1].strip() for line in pairs] == [line[2].strip() for line in pairs]
    assert "273,754" in output  # Parameters of the teacher.
    for name in ("float32", "pruned_int8"):
        assert f"student.{name}.tflite" in output


def test_check_calls_a_bound_a_bound(capsys):
    part = (
        "{name: pruned, options: {scope: network, budget: {counts: macs, keep: 0.3}}}"
    )
    flags = ["--config=kd_resnet.yaml", f"--set=finish=[{{name: float32}}, {part}]"]
    assert check.main(flags) == 0
    lines = capsys.readouterr().out.splitlines()
    sizes = [line.count("≤") for line in lines if line.startswith("student.")]
    assert sizes == [0, 2]


@pytest.mark.parametrize("suffix", [".keras", ".tflite"])
def test_evaluate_measures_a_file(suffix, tmp_path, capfd):
    network = ResNet(depth=8, width=4).build((8, 8, 1), 10)
    path = tmp_path / f"mine{suffix}"
    if suffix == ".keras":
        network.save(path)
    else:
        from distill.compress import convert

        path.write_bytes(convert.to_tflite(network, "float32"))
    assert evaluate.main([f"--model={path}", "--config=lit_resnet.yaml"]) == 0
    output = capfd.readouterr().out
    assert "899" in output
    assert ("latency" in output) == (suffix == ".tflite")


def test_evaluate_takes_the_config_of_a_finish_and_a_run_yaml(tmp_path, capfd):
    path = tmp_path / "mine.keras"
    ResNet(depth=8, width=4).build((8, 8, 1), 10).save(path)
    finish = tmp_path / "finish.yaml"
    finish.write_text("data: {name: digits}\nfinish: [{name: float32}]\n")
    (tmp_path / "run.yaml").write_text(
        config.dump(
            config.read(finishing.Finishing, finish, [f"model={path}", "seed=3"])
        )
    )
    for config_path in (finish, tmp_path / "run.yaml"):
        assert evaluate.main([f"--model={path}", f"--config={config_path}"]) == 0
        assert "360" in capfd.readouterr().out  # Of 1,797, a fifth.
    assert evaluate.main([f"--model={path}", f"--config={path}"]) == 2


def test_evaluate_of_a_file_that_answers_nan_fails(tmp_path, capfd):
    network = ResNet(depth=8, width=4).build((8, 8, 1), 10)
    network.weights[-1].assign([float("nan")] * 10)
    path = tmp_path / "mine.keras"
    network.save(path)
    assert evaluate.main([f"--model={path}", "--config=lit_resnet.yaml"]) == 1
    assert "NaN for 899 of 899 examples" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("name", "code"),
    [("none.keras", 2), ("mine.h5", 3), ("mine.keras", 3), ("damaged.tflite", 2)],
)
def test_evaluate_refuses_what_is_no_model(name, code, tmp_path, capfd):
    path = tmp_path / name
    if name != "none.keras":
        path.write_bytes(b"no model")
    assert evaluate.main([f"--model={path}", "--config=lit_resnet.yaml"]) == code
    stderr = capfd.readouterr().err
    assert stderr.count("error: ") == 1
    assert str(path) in stderr
