"""A foreign network of which some file cannot be made is refused before it trains."""

import collections

import keras
import pytest

from distill import config, finish
from distill.compress import finishers
from distill.run import blocked, parent, preflight
from distill.runtime import errors

LINES = """
data: {name: digits, options: {train_examples: 128}}
finish: [{name: float32}, {name: pruned, options: {epochs: 1}}]
"""
NOTHING = collections.defaultdict(type(None))


def network():
    images = keras.Input((8, 8, 1))
    x = keras.layers.RMSNormalization(name="rms")(keras.layers.Flatten()(images))
    return keras.Model(images, keras.layers.Dense(10)(x))


def make_diagnosis(**reasons):
    return {
        "twin": {},
        "whole": NOTHING,
        "engines": {"": "tfmot", " zeros": "tfmot"},
        "layers": [{"name": "odd", "kernels": [], **reasons}],
    }


def test_what_blocks_a_file_blocks_those_that_start_from_it():
    pruned = finishers.FINISHERS["pruned"](engine="tfmot")
    parts = [finishers.FINISHERS["float32"](), pruned]
    parts += [finishers.FINISHERS[name]() for name in ("int8", "pruned_int8")]
    actual = blocked.find_blocked(make_diagnosis(prune="no kernel"), parts)
    assert not actual["float32"] and not actual["int8"]
    assert actual["pruned"] == actual["pruned_int8"] == {"odd": "no kernel"}
    with pytest.raises(errors.ConfigError) as excinfo:
        blocked.check(make_diagnosis(prune="no kernel"), parts)
    assert "no `pruned`, `pruned_int8` can" in str(excinfo.value)
    assert "`odd`: no kernel" in str(excinfo.value)
    blocked.check(make_diagnosis(), parts)


def test_finish_makes_nothing_of_it(tmp_path, capfd):
    network().save(tmp_path / "given.keras")
    (tmp_path / "finish.yaml").write_text(LINES)
    flags = [f"--model={tmp_path / 'given.keras'}", f"--out={tmp_path / 'out'}"]
    assert finish.main([*flags, f"--config={tmp_path / 'finish.yaml'}"]) == 2
    lines = capfd.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith("error: ")]
    assert "network: `rms` (RMSNormalization): " in line
    assert not list((tmp_path / "out").glob("*.tflite"))


@pytest.mark.parametrize("student", ["keras_file", "resnet"])
def test_train_refuses_a_foreign_student_before_it_is_trained(
    student, tmp_path, monkeypatch
):
    calls = []

    def diagnose(network):
        calls.append(network)
        return make_diagnosis(quantize="no form", tfmot="no form", keras="no form")

    monkeypatch.setattr(parent, "diagnose", diagnose)
    network().save(tmp_path / "given.keras")
    options = f"{{path: {tmp_path / 'given.keras'}, sections: []}}"
    override = f"student={{name: keras_file, options: {options}}}"
    run = config.load("kd_resnet.yaml", [override] if student == "keras_file" else [])
    if student == "resnet":
        preflight.check(run)
        assert not calls
        return
    with pytest.raises(errors.ConfigError, match="`odd`: no form"):
        preflight.check(run)
    assert len(calls) == 1
