"""What a teacher that only answers cannot do is refused while the config is read."""

import pathlib
import re

import answering
import pytest

from distill import config
from distill.run.arguments import Arguments
from distill.runtime.errors import ConfigError

REFUSED = {
    "copied weights": (
        "stages=[{trainer: {name: lit}, epochs: 1}]",
        r"stages\[0\]\.trainer.*copied.*'lit'",
    ),
    "made examples": (
        "stages=[{trainer: {name: kd}, epochs: 1, synthetic: {name: munge}}]",
        r"stages\[0\]\.synthetic",
    ),
    "changed images": ("augmentation={flip: true, variants: 2}", "augmentation"),
    "another teacher": (
        "co_teachers=[{network: {name: lenet}, stages: [{trainer: {name: supervised}, "
        "epochs: 1}]}]",
        "co_teachers",
    ),
    "a co-teacher": (
        f"teacher={{file: {__file__}}}; co_teachers=[{{onnx: {__file__}}}]",
        r"onnx.*a co-teacher is a network",
    ),
    "sections": ("teacher.sections=auto", "sections"),
    "an input": ("teacher.input={range: [0, 255]}", "input"),
    "unknown classes": ("teacher.class_names=[a, b]", "class_names.*lack 0"),
    "unlabelled examples": (
        "data.options.unlabelled={examples: 20}; stages.0.labelled_share=0.5",
        r"unlabelled.*no answers to them",
    ),
    "finishing on them": (
        "data.options.unlabelled={examples: 20}; "
        "finish=[{name: int8, options: {labelled_share: 0.5}}]",
        r"unlabelled.*no answers|labelled_share.*1 with `teacher.answers`",
    ),
    "two forms": (f"teacher.onnx={__file__}", "onnx"),
    "a folder": ("teacher={onnx: /tmp}", "file that exists"),
    "no preset": ("teacher={hub: no/where}", "hub.*the name of a preset"),
    "what a preset wants": (
        "teacher={hub: bert}; teacher.input={range: [0, 255]}",
        "input",
    ),
    "a pinned folder": (f"teacher={{hub: bert, sha256: {64 * 'a'}}}", "sha256"),
    "no file": ("teacher={answers: nowhere.npz}", "file that exists"),
}


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    path = tmp_path_factory.mktemp("answers") / "teacher.npz"
    path.touch()  # Only its name is read.
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_what_such_a_teacher_cannot_do_is_refused_by_name(name, npz):
    change, said = REFUSED[name]
    with pytest.raises(ConfigError, match=said):
        answering.run("answers", npz, *change.split("; "))


INPUTS = {
    "range=[1, 0]": "the smaller first",
    "size=[8, 8]": "absent: the images have 8 x 8",
    "size=[8]": "height and a width",
    "order=bgr": "rgb for images of 1 channels",
    "mean=[1, 2]": "one number, or 1",
    "deviation=[0]": "positive",
    "range=[0, 1]": "left out",
}


@pytest.mark.parametrize("change", INPUTS)
def test_an_input_that_does_not_fit_or_changes_nothing_is_refused(change, npz):
    name, _, value = change.partition("=")
    with pytest.raises(ConfigError, match=INPUTS[change]):
        answering.run("tflite", npz, f"teacher.input={{{name}: {value}}}")


def test_augmentation_needs_variants(npz):
    with pytest.raises(ConfigError, match="asked once for each variant"):
        answering.run("tflite", npz, "augmentation={flip: true}")


def test_a_config_without_one_is_written_as_before():
    text = config.dump(config.load("lit_resnet.yaml"))
    assert not any(f"{name}:" in text for name in ("onnx", "answers", "class_names"))


def test_python_gives_one_as_a_config_does(npz):
    options = {"teacher": {"answers": npz}}
    given = Arguments(config.Run, "lit_resnet.yaml", answering.SMALL, options)
    assert given.read() == answering.run("answers", npz)


def test_the_example_of_a_preset_is_a_config(tmp_path):
    page = pathlib.Path(__file__).parents[2] / "docs" / "teachers.md"
    (text,) = re.findall(r"<!-- hub -->\n```yaml\n(.*?)```", page.read_text(), re.S)
    (tmp_path / "run.yaml").write_text(text)
    run = config.load(str(tmp_path / "run.yaml"))
    assert run.data.kind == "texts"
    assert run.teacher.hub
