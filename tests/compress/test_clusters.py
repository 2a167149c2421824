"""Clusters of a network whose gradients are long learn at the default learning rate."""

import pytest

# tf_keras in a process of its own, as in `test_finish.py`.
CHILD = """
import json

import benches
import keras

from distill.compress.finishers import clustered, quantized

run, folder = benches.begin("[{name: clustered}, {name: clustered_int8}, {name: int8}]")
splits = run.data.load()
images = x = keras.Input((8, 8, 1), name="images")
for _ in range(2):
    x = keras.layers.Conv2D(
        16, 3, strides=2, padding="same", use_bias=False, activation="relu"
    )(x)
logits = keras.layers.Dense(10, name="head")(keras.layers.Flatten()(x))
network = keras.Model(images, logits)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
network.compile(keras.optimizers.Adam(0.01), loss)
train = splits.train
network.fit(train.floats(), train.labels, batch_size=40, epochs=40, verbose=0)
# The same function, of which one kernel has gradients a hundred times as long.
first, second, *others = network.get_weights()
network.set_weights([first / 100, second * 100, *others])
work = benches.open_bench(run, folder, keras.Model(images, {"logits": logits}))

fit, clips = work.fit, {}


def watch(model, part, **changes):
    clips[type(part).__name__] = changes.get("clip_norm")
    fit(model, part, **changes)


work.fit = watch
for part in (
    clustered.Clustered(epochs=3),
    clustered.ClusteredInt8(epochs=1),
    quantized.Int8(epochs=1),
):
    part.make(work)
print(json.dumps({"clips": clips, **work.trained["clustered"][0]}))
"""


def test_the_loss_stays_what_it_was_and_the_accuracy_too(results):
    assert max(results["loss"]) < 1  # Beyond 10 with steps of any length.
    assert min(results["val_accuracy"]) > 0.6


@pytest.mark.parametrize("name", ["Clustered", "ClusteredInt8"])
def test_every_training_of_clusters_shortens_its_gradients(results, name):
    assert results["clips"][name] > 0
    assert results["clips"]["Int8"] is None
