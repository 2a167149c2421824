"""The printed program classifies as the report says that its file does."""

import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from distill import data, finish, inspect
from distill.report.card.program import program

# Trains nothing.
FINISH = """
data: {name: image_folder, options: {path: %s, size: [8, 8], channels: 1}}
finish: [{name: float32}, {name: int8_calibrated, options: {io: int8}}]
max_accuracy_drop: 100
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run on images, and the paths of its test images by class."""
    home = tmp_path_factory.mktemp("program")
    splits = data.DATASETS["digits"](train_examples=300).load()
    parts = {"train": splits.train, "val": splits.validation, "test": splits.test}
    paths = {}
    for name, split in parts.items():
        for index, (image, label) in enumerate(
            zip(split.floats()[:150], split.labels, strict=False)
        ):
            path = home / "digits" / name / f"no {label}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((255 * image[..., 0]).round().astype("uint8")).save(path)
            paths[path] = f"no {label}"
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.02), loss)
    train = splits.train
    network.fit(train.floats(), train.labels, batch_size=64, epochs=3, verbose=0)
    network.save(home / "given.keras")
    (home / "finish.yaml").write_text(FINISH % (home / "digits"))
    flags = [f"--model={home / 'given.keras'}", f"--config={home / 'finish.yaml'}"]
    assert finish.main([*flags, f"--out={home / 'run'}"]) == 0
    return home / "run", {p: c for p, c in paths.items() if p.parts[-3] == "test"}


def run(code, folder, arguments):
    """The class that the program prints of each argument."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == [str(argument) for argument in arguments]
    return [line[1] for line in lines]


def accuracy_of(finished, name, code):
    """The accuracy of the program on the test images, and that of the report."""
    folder, paths = finished
    found = run(code, folder, paths)
    right = np.mean([a == b for a, b in zip(found, paths.values(), strict=True)])
    models = json.loads((folder / "report.json").read_text())["models"]
    (model,) = [model for model in models if model["name"] == name]
    return 100 * right, model["accuracy"]


def test_the_program_of_the_card_is_as_accurate_as_the_report(finished):
    text = (finished[0] / "MODEL_CARD.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert 'Interpreter("student.int8_calibrated.tflite")' in code
    assert len(code.splitlines()) <= 25
    actual, expected = accuracy_of(finished, "student.int8_calibrated", code)
    assert 50 < actual < 100
    assert actual == pytest.approx(expected)


@pytest.mark.parametrize("name", ["float32", "int8_calibrated"])
def test_inspect_prints_the_program_of_its_file(finished, name, capsys):
    file = finished[0] / f"student.{name}.tflite"
    assert inspect.main([str(file)], limited=True) == 0
    _, _, code = capsys.readouterr().out.partition("To call it:\n\n")
    actual, expected = accuracy_of(finished, f"student.{name}", code)
    assert actual == pytest.approx(expected)


def test_an_image_is_read_as_the_run_reads_it(finished, tmp_path):
    """Rotated by its camera, transparent, and of another size."""
    folder, paths = finished
    code = re.search(
        r"```python\n(.*?)```", (folder / "MODEL_CARD.md").read_text(), re.DOTALL
    )[1]
    path = next(iter(paths))
    (before,) = run(code, folder, [path])
    image = Image.open(path)
    clear = Image.merge("LA", (image, image.point(lambda _: 255)))
    clear.resize((16, 16), Image.Resampling.NEAREST).save(tmp_path / "clear.png")
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[274] = 6  # The camera was held so that it must be turned right.
    turned.save(tmp_path / "turned.png", exif=exif)
    after = run(code, folder, [tmp_path / "clear.png", tmp_path / "turned.png"])
    assert after == [before, before]


def test_many_classes_are_read_from_their_file(tmp_path):
    takes = {"dtype": "float32", "shape": (1, 4, 4, 3)}
    names = [f"c{i}" for i in range(30)]
    code = program("x.tflite", takes, "images", names)
    assert "c29" not in code
    assert 'names = open("labels.txt").read().splitlines()' in code
    assert 'convert("RGB")' in code
    compile(code, "program", "exec")


def test_other_channels_are_arrays():
    takes = {"dtype": "uint8", "shape": (1, 4, 4, 9), "scale": 0.5, "zero_point": 3}
    code = program("x.tflite", takes, "images", ["a"])
    assert "np.load(argument)" in code and "PIL" not in code
    assert "pixels.round().clip(0, 255).astype(np.uint8)" in code
