"""A stitched network is the front of the one and the rest of the other."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import students
import trainers
from distill import data
from distill.measure import stitching
from trainers import trainer

RNG = np.random.default_rng(0)
SPLIT = data.Split(
    RNG.integers(0, 256, (1003, 8, 8, 1), np.uint8), RNG.integers(0, 3, 1003)
)
IMAGES = SPLIT.floats()[:7]


def network(depth, width=4):
    keras.utils.set_random_seed(depth)
    return students.ResNet(depth=depth, width=width).build((8, 8, 1), 3)


@pytest.fixture(scope="module")
def pair():
    return {"teacher": network(14), "student": network(8)}


@pytest.mark.parametrize("first", ["teacher", "student"])
def test_the_halves_are_those_of_the_networks(first, pair):
    second = pair["student" if first == "teacher" else "teacher"]
    got = stitching.stitch(**pair)(IMAGES)
    assert len(got) == 6
    for cut in (1, 2, 3):
        x = pair[first](IMAGES)[f"section{cut}"]
        for name in [f"section{index}" for index in range(cut + 1, 4)]:
            x = second.get_layer(name)(x)
        wanted = second.get_layer("head")(second.get_layer("pool")(x))
        np.testing.assert_allclose(
            got[f"{first}_to_section{cut}"], wanted, rtol=1e-4, atol=1e-6
        )


def test_it_stitches_where_shapes_are_equal_and_nowhere_else(pair):
    wider = network(8, width=8)
    assert stitching.stitch(pair["teacher"], wider) is None
    assert stitching.record(pair["teacher"], wider, SPLIT) == []
    made = {"teacher": pair["teacher"], "student": wider}
    made = trainer.Trainer(**made, method=trainers.LITParallel(projectors=True))
    assert stitching.callbacks(made, SPLIT, 5) == []
    outputs = {name: x for name, x in wider.output.items() if name != "section2"}
    assert stitching.shared_sections(keras.Model(wider.inputs[0], outputs), wider) == [
        "section1",
        "section3",
    ]


def test_a_record_is_in_percent_of_the_split(pair):
    answers = stitching.stitch(**pair).predict(SPLIT.floats(), verbose=0)
    for row in stitching.record(*pair.values(), SPLIT):
        for first in ("teacher", "student"):
            logits = answers[f"{first}_to_{row['section']}"]
            right = 100 * np.mean(logits.argmax(-1) == SPLIT.labels)
            assert row[f"{first}_first"] == pytest.approx(right)


def test_stages_that_teach_sections_are_watched_on_so_many_examples(pair, monkeypatch):
    made = trainer.Trainer(**pair, method=trainers.KD())
    assert stitching.callbacks(made, SPLIT, 5) == []
    made = trainer.Trainer(**pair, method=trainers.LITParallel())
    made.compile("sgd", loss="sparse_categorical_crossentropy", jit_compile=False)
    (watch,) = stitching.callbacks(made, SPLIT, 5)
    given, predict = [], keras.Model.predict

    def noted(self, examples, **options):
        given.append(examples)
        return predict(self, examples, **options)

    monkeypatch.setattr(keras.Model, "predict", noted)
    before = [np.array(ops.convert_to_numpy(v)) for v in made.student.variables]
    logs = made.fit(
        IMAGES, SPLIT.labels[:7], epochs=2, verbose=0, callbacks=[watch]
    ).history
    assert len(given) == 2 and given[0] is given[1]
    assert isinstance(given[0], tf.data.Dataset)  # Of arrays, Keras makes one anew.
    after = made.student.get_weights()
    assert any(not np.array_equal(*each) for each in zip(before, after, strict=True))
    drawn = SPLIT.sample(stitching.MOST, 5)
    assert len(drawn.labels) == stitching.MOST < len(SPLIT.labels)
    seen = stitching.accuracies(stitching.stitch(**pair), drawn)
    for name, value in seen.items():
        assert logs[f"stitched/{name}"][-1] == value
