"""Networks out of files: logits, and teachers that know the classes; else one line."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops
from taught import taught

from distill import config, data, train
from distill.measure import accuracy
from distill.run.evaluation.record import model_record
from distill.runtime.errors import ConfigError
from distill.runtime.trust import loader
from distill.teach import incoming
from distill.teach.networks import cuts, files
from distill.teach.networks import logits as asking

SHAPE, CLASSES = (8, 8, 1), 10


@functools.cache
def splits():
    return config.load("lit_resnet.yaml").data.load()


def linear(order=slice(None), scale=1.0, activation=None, inside=lambda x: x):
    """A network that knows the digits, if it is given what it takes."""
    images = keras.Input(SHAPE)
    head = layers.Dense(CLASSES, name="answer")
    known = taught(
        keras.Model(images, head(layers.Flatten()(images))), splits().train
    ).get_weights()
    x = layers.Flatten()(layers.Rescaling(scale)(inside(images)))
    head = layers.Dense(CLASSES, activation=activation, name="answer")
    model = keras.Model(images, head(x))
    head.set_weights([weight[..., order] for weight in known])
    return model


def named(model):
    """Under the contract, its logits alone."""
    return keras.Model(model.inputs, {"logits": model.outputs[0]})


def averaged():
    parts = [
        linear(activation="softmax", inside=layers.Rescaling(1.0, offset))
        for offset in (0.0, 0.02)
    ]
    images = keras.Input(SHAPE)
    return keras.Model(images, layers.Average()([part(images) for part in parts]))


# Logits.

PROBABILITIES = {
    "softmax": lambda: linear(activation="softmax"),
    "sigmoids": lambda: linear(activation="sigmoid"),
    "softmax layer": lambda: keras.Sequential(
        [keras.Input(SHAPE), linear(), layers.Softmax()]
    ),
    "softmax inside": lambda: keras.Sequential(
        [keras.Input(SHAPE), linear(activation="softmax")]
    ),
    "averaged softmax": averaged,
    "operation": lambda: keras.Model((m := linear()).input, ops.sigmoid(m.output)),
    "weak": lambda: keras.Model((m := linear()).input, ops.sigmoid(m.output / 9) ** 2),
    "softmax, per cent": lambda: keras.Model(
        (m := linear(activation="softmax")).input, m.output * 100
    ),
}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_probabilities_are_one_line_and_what_it_says_cures_them(name, tmp_path):
    model = PROBABILITIES[name]()
    split = asking.sample(splits().validation)
    with pytest.raises(ConfigError, match="mine must answer with logits") as bad:
        asking.check_logits(named(model), "mine", split)
    line = str(bad.value)
    assert "\n" not in line
    _, cure = line.split("`")[1::2]
    given = model.predict(split.floats(), verbose=0)
    scope = {"model": model, "keras": keras}
    exec(cure, scope)
    scope["model"].save(tmp_path / "mine.keras")
    cured = loader.open_own(tmp_path / "mine.keras")
    logits = asking.check_logits(named(cured), "mine", split)
    back = ops.softmax(logits) if "softmax" in name else ops.sigmoid(logits)
    back *= 100 if "per cent" in name else 1
    np.testing.assert_allclose(back, given, atol=1e-4)


@pytest.mark.parametrize("bias", [0.0, -0.1, 0.3, 2.0])
def test_a_head_that_has_learned_nothing_is_no_softmax(bias):
    images = keras.Input(SHAPE)
    head = layers.Dense(
        CLASSES,
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(bias),
    )
    network = named(keras.Model(images, head(layers.Flatten()(images))))
    asking.check_logits(network, "mine", splits().validation)


def test_nan_is_named():
    model = named(linear(inside=lambda x: ops.log(ops.max(x, keepdims=True) - x - 0.5)))
    with pytest.raises(ConfigError, match=r"NaN for \d+ of 600 examples"):
        asking.check_logits(model, "mine", splits().validation)


# Who knows the classes.


def asked(model, classes=CLASSES):
    split = asking.sample(splits().validation)
    asking.check_teacher(named(model), "mine", split)


def test_a_teacher_that_knows_something_may_teach():
    asked(linear())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"order": np.roll(np.arange(10), 3)}, "classes in another order it is right"),
        ({"scale": 1 / 255}, r"behind `keras\.layers\.Rescaling\(255\)` it is right"),
    ],
)
def test_a_teacher_at_chance_is_one_line_that_says_what_helps(options, said):
    with pytest.raises(ConfigError, match=f"usual causes.*{said}") as bad:
        asked(linear(**options))
    assert "\n" not in str(bad.value)
    share = float(str(bad.value).rpartition("right in ")[2].split(" %")[0])
    assert share > 80


def test_the_other_range_of_texts_is_another_tokenizer():
    ids = keras.Input((4,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(9, 2)(ids))
    network = named(keras.Model(ids, layers.Dense(2)(x)))
    labels = np.arange(40) % 2
    ids_of_none = np.tile(np.arange(4, dtype="int32"), (40, 1))
    split = data.Split(ids_of_none, labels)
    with pytest.raises(ConfigError, match="ids of another tokenizer"):
        asking.check_teacher(network, "mine", split)


def test_few_examples_condemn_nobody_who_is_right_more_often_than_not():
    images = keras.Input((1,))
    network = named(keras.Model(images, ops.concatenate([images, -images], axis=-1)))
    labels = np.arange(10) % 2
    for wrong, refused in ((2, False), (5, True)):
        signs = np.where(labels, -1.0, 1.0)
        signs[:wrong] *= -1
        split = data.Split(signs[:, None].astype("float32"), labels)
        if refused:
            with pytest.raises(ConfigError, match=r"50\.0 % of 10"):
                asking.check_teacher(network, "mine", split)
        else:
            asking.check_teacher(network, "mine", split)


# A run.


KD = [
    "controls=[]",
    "finish=[]",
    "student.options.width=4",
    "stages=[{trainer: {name: kd}, epochs: 1}]",
]


def run_of(*changes):
    return config.load("lit_resnet.yaml", [*KD, *changes])


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function: a network as a file; files are opened in this process."""
    monkeypatch.setattr(
        loader, "open_foreign", lambda path, sha256=None: loader.open_own(path)
    )

    def write(model, name="mine"):
        model.save(tmp_path / f"{name}.keras")
        files.open_file.cache_clear()
        cuts.places.cache_clear()
        return tmp_path / f"{name}.keras"

    return write


def test_every_network_of_a_run_that_is_a_file_is_asked(file):
    good, bad = file(linear(), "good"), file(averaged(), "bad")
    stage = "stages: [{trainer: {name: supervised}, epochs: 1}]"
    given = "{{file: {}, sections: []}}".format
    part = "{{name: keras_file, options: {{path: {}, sections: []}}}}".format
    changes = {
        "teacher.file": [f"teacher={given(bad)}"],
        "teacher.network": [f"teacher={{network: {part(bad)}, {stage}}}"],
        "teacher2.file": [
            f"teacher={given(good)}",
            f"co_teachers=[{given(bad)}]",
        ],
        "student": [f"teacher={given(good)}", f"student={part(bad)}"],
    }
    for where, change in changes.items():
        with pytest.raises(ConfigError, match=f"`{where}`.*probabilities"):
            incoming.check(run_of(*change), splits())
    incoming.check(run_of(f"teacher={given(good)}", f"student={part(good)}"), splits())


def test_a_run_stops_before_anything_trains(file, tmp_path, capfd):
    path = file(linear(order=np.roll(np.arange(10), 3)))
    flags = ["--config=lit_resnet.yaml", f"--out={tmp_path / 'run'}"]
    changes = [*KD, f"teacher={{file: {path}, sections: []}}"]
    assert train.main([*flags, *(f"--set={change}" for change in changes)]) == 2
    said = [line for line in capfd.readouterr().err.splitlines() if "error:" in line]
    assert len(said) == 1
    assert "usual causes" in said[0]
    assert not list((tmp_path / "run").glob("*.keras"))


def test_nan_is_no_class():
    answers = np.array([[2, 1], [np.nan, 0], [0, np.nan], [0, 1]], "float32")
    assert accuracy.classes(answers).tolist() == [0, -1, -1, 1]
    split = data.Split(np.zeros((4, 1)), np.zeros(4, int))
    assert accuracy.accuracy(answers, split) == 25


def test_nan_answers_are_wrong_and_named(tmp_path):
    """A pixel that is 0 in some digits makes NaN; the class is 0 nowhere then."""
    split = splits().validation
    broken = linear(inside=lambda x: x / x[:, 4:5, 4:5])
    named(broken).save(tmp_path / "student.keras")
    record, answers = model_record(tmp_path / "student.keras", split, None)
    lost = np.isnan(answers).any(-1)
    assert 0 < lost.sum() < len(lost)
    right = (answers.argmax(-1) == split.labels) & ~lost
    assert record["accuracy"] == pytest.approx(100 * right.mean())
    assert record["failed"] == [f"NaN for {lost.sum()} of {len(lost)} examples"]
    record, _ = model_record(tmp_path / "student.keras", split, answers)
    assert record["agreement_with_teacher"] == pytest.approx(100 * (~lost).mean())
