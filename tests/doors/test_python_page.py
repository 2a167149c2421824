"""The example of docs/python.md runs, with networks and pipelines of a program."""

import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
from taught import taught

from distill import data

ROOT = pathlib.Path(__file__).parents[2]


def network(width):
    inputs = x = keras.Input((8, 8, 1))
    for strides in (1, 2):
        x = keras.layers.Conv2D(width, 3, strides, use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(10)(x))


BEGINNING = """
import keras, numpy as np, tensorflow as tf
model, small = map(keras.models.load_model, ("model.keras", "small.keras"))
kept = np.load("sets.npz")
pairs = [(kept["x" + n], kept["y" + n]) for n in "012"]
sets = map(tf.data.Dataset.from_tensor_slices, pairs)
train, validation, test = (rows.shuffle(99).batch(9) for rows in sets)
"""
END = """
assert all(path.is_file() for path in [*result.files.values(), *files.values()])
assert set(result.files) == {"int8_calibrated"} and set(files) == {"float16"}
assert files.report["models"][0]["name"] == "student"
"""


def test_the_pages_example_runs_as_it_stands(tmp_path):
    splits = data.DATASETS["digits"](train_examples=100).load()
    page = (ROOT / "docs" / "python.md").read_text()
    (lines,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", page, re.DOTALL)
    assert len(lines.strip().splitlines()) <= 12
    taught(network(8), splits.train).save(tmp_path / "model.keras")
    taught(network(4), splits.train).save(tmp_path / "small.keras")
    pairs = {n: (s.inputs, s.labels) for n, s in enumerate(splits.by_name().values())}
    named = {f"x{n}": x for n, (x, _) in pairs.items()}
    np.savez(
        tmp_path / "sets.npz", **named, **{f"y{n}": y for n, (_, y) in pairs.items()}
    )
    lines = lines.replace('epochs": 20', 'epochs": 1')
    lines = lines.replace("finish=[", "max_accuracy_drop=100, finish=[")
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + lines + END],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
