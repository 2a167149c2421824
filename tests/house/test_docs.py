"""The lines of Python in the pages do what the pages say."""

import pathlib
import re

import keras
import numpy as np
import pytest
from PIL import Image

from distill import config, data
from distill.compress import convert
from distill.data import tokens
from distill.data.sets import image_file

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
RNG = np.random.default_rng(0)


def run_page(page):
    """What the names in a page's lines of Python then mean."""
    (lines,) = re.findall("```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    result = {}
    exec(lines, result)
    return result


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the pages' paths begin."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    return folder


def answers(network, inputs, folder):
    """Of a network and of its file, which is written."""
    file = folder / "student.float32.tflite"
    file.write_bytes(convert.to_tflite(network, "float32"))
    return network(inputs).numpy()[0]


def photo(mode):
    size = {"RGB": (9, 7, 3), "RGBA": (9, 7, 4), "L": (9, 7)}[mode]
    image = Image.fromarray(RNG.integers(0, 256, size, np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save("photo.jpg", "PNG", exif=exif)  # Formats are known by content.


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("RGB", 1), ("L", 3)])
def test_an_image_is_prepared_as_in_a_run(mode, channels, place):
    photo(mode)
    shape = 6, 5, channels
    pixels = image_file.read(pathlib.Path("photo.jpg"), shape)[None]
    inputs = keras.Input(shape)
    network = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    expected = answers(network, data.floats(pixels), place)
    actual = run_page("images.md")
    np.testing.assert_array_equal(actual["pixels"], data.floats(pixels))
    np.testing.assert_allclose(actual["logits"], expected, rtol=1e-5, atol=1e-5)


def test_a_text_is_prepared_as_in_a_run(place):
    tokenizer = tokens.WordPieces(length=7, vocabulary=280).fit(["a fine FILM"] * 9)
    (place / "tokenizer.json").write_text(tokenizer.to_str(pretty=True))
    ids = tokens.encode(tokenizer, ["a fine film"])
    inputs = keras.Input((7,), dtype="int32")
    embedded = keras.layers.Embedding(280, 3)(inputs)
    network = keras.Model(
        inputs, keras.layers.Dense(2)(keras.layers.Flatten()(embedded))
    )
    expected = answers(network, ids, place)
    actual = run_page("texts.md")
    np.testing.assert_array_equal(actual["ids"], ids)
    np.testing.assert_allclose(actual["logits"], expected, rtol=1e-5, atol=1e-5)


def test_keywords_become_arrays_that_their_config_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path))
    (tmp_path / "mlperf_tiny").mkdir()
    words = np.array([f"word{index}" for index in range(12)])
    for name, more in (
        ("test", {}),
        ("more", {"split": np.repeat(["test", "val"], 180)}),
    ):
        x = RNG.integers(-128, 128, (360, 49, 10, 1), np.int8)
        y = np.arange(360).astype(np.uint8) % 12
        file = tmp_path / "mlperf_tiny" / f"kws01_{name}.npz"
        np.savez(file, x=x, y=y, labels=words, **more)
    official = np.load(tmp_path / "mlperf_tiny" / "kws01_test.npz")
    run_page("mlperf_tiny.md")
    run = config.load("mlperf_kws01.yaml")
    assert run.data.class_names == tuple(words)
    splits = run.data.load()
    assert len(splits.train.labels) + len(splits.validation.labels) == 180
    np.testing.assert_array_equal(splits.test.labels, official["y"])
    # What a feature stands for is what the reference is given.
    (reference,) = run.references
    given = splits.test.scaled(reference.input_range).floats()
    meant = (official["x"].astype(float) - 83) * 0.5847029
    np.testing.assert_allclose(given, meant, atol=1e-4)
