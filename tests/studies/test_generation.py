"""An image-to-image generator under LIT: who moves, who is copied, what is measured."""

import contextlib
import dataclasses
import io
import json
import pathlib
import re
import shutil
import types
import typing

import keras
import numpy as np
import pytest
from keras import ops
from stores import Everything, Only, Source, fitted

from distill import config, data, generate
from distill.runtime import errors
from distill.runtime.trust import loader
from distill.studies import intervals
from distill.studies.generate import (
    conductor,
    measurement,
    report,
    training,
    translation,
)
from distill.studies.generate.study import Study
from gan import conditional, sizes, translators
from gan.translators import ResidualTranslator
from trainers.generators import translator
from trainers.generators.stargan import StarGAN
from trainers.lit.lit import LIT

SHIPPED = pathlib.Path(__file__).parents[2] / "configs"
CONFIGS = sorted(SHIPPED.glob("lit_generator_*"))
CLASSES, BATCH, SHAPE = 3, 6, (4, 4, 1)
RNG = np.random.default_rng(0)
REAL = RNG.uniform(0, 1, (BATCH, *SHAPE)).astype("float32")
LABELS = np.array([0, 1, 2, 0, 1, 1], "int32")
WANTED = LABELS[::-1]
GAME = StarGAN(
    loss="non_saturating",
    gradient_penalty=0.7,
    r1=0.6,
    class_weight=0.9,
    reconstruction_weight=3.0,
    discriminator_steps=1,
)
TINY = [
    "data.options.train_examples=40",
    "data.options.validation_fraction=0.25",
    "batch_size=10",
    "classifier.network.options.width=2",
    "classifier.stages.0.epochs=1",
    "teacher={blocks: 2, width: 2, halvings: 1}",
    "student={blocks: 1, width: 2, halvings: 1}",
    "discriminator.options.width=2",
    "teacher_epochs=1",
    "lit.epochs=1",
    "tuning_epochs=1",
    "measured=4",
    "seeds=1",
]


def study(*overrides, name="lit_generator_digits.yaml"):
    return config.read(Study, name, [*TINY, *overrides])


def mistake(*overrides):
    with pytest.raises(errors.ConfigError) as excinfo:
        study(*overrides)
    assert "\n" not in str(excinfo.value)
    return str(excinfo.value)


def small(blocks=1, seed=0):
    keras.utils.set_random_seed(seed)
    return ResidualTranslator(blocks=blocks, width=2, halvings=1).build(SHAPE, CLASSES)


def game(method=GAME, seed=0, steps=10):
    generator = small(seed=seed)
    learner = translator.TranslatorTrainer(
        generator=generator,
        discriminator=conditional.DenseClassifier(units=(7,)).build(SHAPE, CLASSES),
        method=method,
    )
    compile_(learner, learner.sides(steps))
    return learner


def compile_(learner, sides):
    jax = keras.backend.backend() == "jax"
    learner.compile(sides, run_eagerly=not jax, jit_compile="auto" if jax else False)


def weights(network):
    return [np.array(ops.convert_to_numpy(v)) for v in network.weights]


def same(before, after):
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def layer_weights(network, part):
    """The weights of the layers whose name begins so, nested ones too."""
    return [
        array
        for layer in network.layers
        if layer.name.startswith(part)
        for array in layer.get_weights()
    ]


def made_of(network, images, labels):
    planes = np.broadcast_to(
        np.eye(CLASSES, dtype="float32")[labels][:, None, None],
        (*images.shape[:3], CLASSES),
    )
    return {
        name: ops.convert_to_numpy(value)
        for name, value in network(np.concatenate([images, planes], axis=-1)).items()
    }


@pytest.fixture
def fixed(monkeypatch):
    """Draws that are known: the wanted classes, and a point for each example."""
    share = np.linspace(0.1, 0.9, BATCH).astype("float32")
    monkeypatch.setattr(
        keras.random, "shuffle", lambda y, **_: ops.convert_to_tensor(WANTED[: len(y)])
    )
    monkeypatch.setattr(
        keras.random, "uniform", lambda shape, **_: ops.convert_to_tensor(share)
    )
    return share[:, None, None, None]


# The network.


@pytest.mark.parametrize(
    ("shape", "halvings"), [((8, 8, 1), 1), ((8, 12, 3), 2), ((16, 8, 1), 3)]
)
def test_a_translator_keeps_its_contract(shape, halvings):
    part = ResidualTranslator(blocks=1, width=2, halvings=halvings)
    network = part.build(shape, CLASSES)
    images = RNG.uniform(0, 1, (3, *shape)).astype("float32")
    outputs = made_of(network, images, LABELS[:3])
    assert outputs["images"].shape == images.shape
    assert 0 <= outputs["images"].min() <= outputs["images"].max() <= 1
    for name, expected in part.shapes(shape).items():
        assert outputs[name].shape[1:] == expected
    section = network.get_layer("section1")(outputs["stem"])
    np.testing.assert_allclose(section, outputs["section1"], rtol=1e-4, atol=1e-5)
    alone = made_of(network, images[:1], LABELS[:1])
    np.testing.assert_allclose(outputs["images"][:1], alone["images"], atol=1e-5)
    assert measurement.costs(network)["depth"] == part.depth


def test_the_papers_depths_are_18_and_10():
    depths = [ResidualTranslator(blocks=blocks).depth for blocks in (6, 2)]
    assert depths == [18, 10]


def test_a_deeper_one_has_the_same_representations():
    few, many = (ResidualTranslator(blocks=blocks) for blocks in (1, 6))
    assert few.shapes((28, 28, 1)) == many.shapes((28, 28, 1))


def test_the_wanted_class_is_a_plane_and_is_heard():
    planes = ops.convert_to_numpy(translators.add_class_planes(REAL, LABELS, CLASSES))
    np.testing.assert_array_equal(planes[..., :1], REAL)
    for row, label in zip(planes, LABELS, strict=True):
        np.testing.assert_array_equal(
            row[..., 1:], np.tile(np.eye(CLASSES)[label], (4, 4, 1))
        )
    network = small()
    a, b = (made_of(network, REAL, labels)["images"] for labels in (LABELS, WANTED))
    changed = np.abs(a - b).max(axis=(1, 2, 3)) > 1e-3
    np.testing.assert_array_equal(changed, LABELS != WANTED)


# The game.


def entropy(logits, labels):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return -np.log((powers / powers.sum(-1, keepdims=True))[range(BATCH), labels])


def softplus(x):
    return np.log1p(np.exp(x))


def squared_slopes(network, images):
    """Of the score by each pixel: one hidden layer of LeakyReLU."""
    kernel, bias = network.get_layer("hidden1").get_weights()
    head, _ = network.get_layer("score_head").get_weights()
    hidden = images.reshape(BATCH, -1) @ kernel + bias
    slope = np.where(hidden > 0, 1, sizes.SLOPE)
    return np.square((slope * head[:, 0]) @ kernel.T).sum(-1)


def test_the_losses_are_their_formulas_and_sum_up(fixed):
    learner = game()
    logs = learner.evaluate(REAL, LABELS, batch_size=BATCH, verbose=0, return_dict=True)
    generated = made_of(learner.generator, REAL, WANTED)["images"]
    back = made_of(learner.generator, generated, LABELS)["images"]
    real_says, made_says = (
        {k: ops.convert_to_numpy(v) for k, v in learner.discriminator(images).items()}
        for images in (REAL, generated)
    )
    between = fixed * REAL + (1 - fixed) * generated
    length = np.sqrt(squared_slopes(learner.discriminator, between))
    expected = {
        "real_loss": softplus(-real_says["score"]),
        "made_loss": softplus(made_says["score"]),
        "class_loss": 0.9 * entropy(real_says["logits"], LABELS),
        "r1_loss": 0.3 * squared_slopes(learner.discriminator, REAL),
        "penalty_loss": 0.7 * (length - 1) ** 2,
        "fooling_loss": softplus(-made_says["score"]),
        "made_class_loss": 0.9 * entropy(made_says["logits"], WANTED),
        # As if pixels lay in [-1, 1].
        "reconstruction_loss": 3 * np.abs((2 * REAL - 1) - (2 * back - 1)),
    }
    for name, values in expected.items():
        assert logs[name] == pytest.approx(values.mean(), rel=1e-3, abs=1e-6), name
    got = {name for name in logs if name.endswith("_loss")}
    assert got == set(expected)
    assert logs["loss"] == pytest.approx(sum(logs[name] for name in got), rel=1e-5)


def test_each_term_moves_one_side_and_nothing_else():
    learner = game()
    terms = learner._terms
    sides = {
        "discriminator": ("real", "made", "class", "r1", "penalty"),
        "generator": ("fooling", "made_class", "reconstruction"),
    }
    for side, names in sides.items():
        for name in names:
            compile_(learner, learner.sides(10))  # Adam forgets what it did before.
            learner._terms = lambda *arguments, name=name: {
                key: value * (key == f"{name}_loss")
                for key, value in terms(*arguments).items()
            }
            before = {key: weights(getattr(learner, key)) for key in sides}
            learner.train_on_batch(REAL, LABELS)
            after = {key: weights(getattr(learner, key)) for key in sides}
            changed = [key for key in sides if not same(before[key], after[key])]
            assert changed == [side], name


def test_one_generator_step_for_several_of_the_discriminator():
    learner = game(StarGAN(discriminator_steps=3))
    moves = {"generator": [], "discriminator": []}
    for _ in range(6):
        before = {name: weights(getattr(learner, name)) for name in moves}
        learner.train_on_batch(REAL, LABELS)
        for name, old in before.items():
            moves[name].append(not same(old, weights(getattr(learner, name))))
    assert moves["generator"] == [False, False, True] * 2
    assert moves["discriminator"] == [True] * 6


def test_a_rate_stays_for_half_of_the_steps_and_falls_to_0():
    rate = translator.LateDecay(0.2, 8)
    actual = [float(rate(step)) for step in range(10)]
    expected = [0.2] * 5 + [0.15, 0.1, 0.05, 0, 0]
    np.testing.assert_allclose(actual, expected, atol=1e-7)
    assert translator.LateDecay(**rate.get_config()).get_config() == rate.get_config()


def lesson(seed=0, teacher=None):
    teacher = teacher or small(blocks=2)
    learner = translator.SectionTrainer(
        teacher=teacher, student=small(seed=1 + seed), method=LIT()
    )
    compile_(learner, learner.sides(0.02, 6))
    return learner


@pytest.mark.parametrize("kind", ["game", "lesson"])
def test_from_every_step_the_end_is_the_same(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "0")

    def make(seed=0):
        method = StarGAN(discriminator_steps=2, average=0.9)
        return game(method, seed=seed) if kind == "game" else lesson(seed)

    store = Everything(tmp_path, kind)
    end = fitted(make(), store, Source(REAL, LABELS))
    assert [moment.step for moment in store.moments] == [1, 2, 3, 4, 5]
    for moment in store.moments[1:4:2]:
        assert fitted(make(seed=7), Only(moment), Source(REAL, LABELS)) == end


# The section's lesson.


def test_the_section_learns_its_map_and_nothing_else_moves(fixed):
    teacher = small(blocks=2)
    old = weights(teacher)
    learner = lesson(teacher=teacher)
    student = learner.student
    for part in ("stem", "head"):
        assert same(layer_weights(teacher, part), layer_weights(student, part))
        assert len(layer_weights(student, part)) > 0
    before = layer_weights(student, "section1")
    teacher_maps = made_of(teacher, REAL, WANTED)
    generated = ops.convert_to_numpy(
        student.get_layer("section1")(teacher_maps["stem"])
    )
    expected = np.square(generated - teacher_maps["section1"]).mean()
    logs = learner.train_on_batch(REAL, LABELS, return_dict=True)
    assert logs["loss"] == pytest.approx(expected, rel=1e-4)
    for _ in range(5):
        learner.reset_metrics()
        last = learner.train_on_batch(REAL, LABELS, return_dict=True)
    assert last["section1_loss"] < expected
    assert same(old, weights(teacher))
    for part in ("stem", "head"):
        assert same(layer_weights(teacher, part), layer_weights(student, part))
    assert not same(before, layer_weights(student, "section1"))
    moving = {id(variable) for variable in learner.moving_variables}
    assert not moving & {id(variable) for variable in teacher.variables}


# The study.


class Eager:
    """Runs few steps without tracing them first."""

    def compile(self, optimizer, **options):
        tensorflow = keras.backend.backend() == "tensorflow"
        super().compile(optimizer, run_eagerly=tensorflow, **options)


class Game(Eager, translator.TranslatorTrainer):
    """Notes what every game starts from."""

    played: typing.ClassVar[list] = []

    def __init__(self, **given):
        networks = given["generator"], given["discriminator"]
        self.start = [weights(network) for network in networks]
        assert all(v.trainable for network in networks for v in network.weights)
        super().__init__(**given)
        self.played.append(self)


class Section(Eager, translator.SectionTrainer):
    """Notes what the teacher was."""

    taught: typing.ClassVar[list] = []

    def __init__(self, **given):
        self.taught.append(weights(given["teacher"]))
        super().__init__(**given)


class SeedTraining(training.SeedTraining):
    """Is kept."""

    given: typing.ClassVar[list] = []

    def train(self):
        super().train()
        self.given.append(self)


@pytest.fixture(scope="module", autouse=True)
def eager():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "TranslatorTrainer", Game)
        patch.setattr(training, "SectionTrainer", Section)
        patch.setattr(training, "SeedTraining", SeedTraining)
        yield


PART = ["seed=3", "training.discriminator_steps=2", "lit.epochs=2"]
FLAGS = ["--config=lit_generator_digits.yaml"]
FLAGS += [f"--set={text}" for text in [*TINY, *PART] if not text.startswith("seeds")]


@pytest.fixture(scope="module")
def finished_study(eager, tmp_path_factory):
    """A whole study of one seed, as the command runs it."""
    folder, output = tmp_path_factory.mktemp("study"), io.StringIO()
    with contextlib.redirect_stdout(output):
        assert generate.main([*FLAGS, "--seeds=1", f"--out={folder}"]) == 0
    part = study(*PART)
    return types.SimpleNamespace(
        study=part,
        splits=part.data.load(),
        folder=folder,
        table=output.getvalue(),
        lesson=SeedTraining.given[0],
        networks=SeedTraining.given[0].networks,
        games=dict(zip(("teacher", "student", "scratch"), Game.played, strict=True)),
    )


def test_the_teacher_never_moves(finished_study):
    before = weights(finished_study.networks["teacher"])
    assert same(Section.taught[0], before)
    assert same(before, weights(finished_study.games["teacher"].generator))
    file = finished_study.folder / "seed=3" / "teacher.keras"
    assert same(before, weights(loader.open_own(file)))


def test_the_student_starts_where_lit_has_ended_and_moves_whole(finished_study):
    teacher, after_lit, student = (
        finished_study.networks[name] for name in ("teacher", "student_lit", "student")
    )
    assert same(finished_study.games["student"].start[0], weights(after_lit))
    for part in ("stem", "head"):
        assert same(layer_weights(teacher, part), layer_weights(after_lit, part))
        assert not same(layer_weights(teacher, part), layer_weights(student, part))
    assert not same(
        layer_weights(after_lit, "section1"), layer_weights(student, "section1")
    )
    first = finished_study.games["scratch"].start[0]
    assert not same(first, weights(after_lit))


def test_the_discriminator_starts_as_the_teachers_has_ended(finished_study):
    games = finished_study.games
    start = {name: game_played.start[1] for name, game_played in games.items()}
    end = {
        name: weights(game_played.discriminator) for name, game_played in games.items()
    }
    assert same(start["student"], end["teacher"])
    assert not same(start["student"], end["student"])
    assert not same(start["teacher"], end["teacher"])
    assert same(start["teacher"], start["scratch"])


def test_the_control_has_as_many_updates_as_the_student(finished_study):
    actual = report.updates(
        finished_study.study, len(finished_study.splits.train.labels)
    )
    # Keras counts batches, of which two make an update of the generator.
    counts = {
        name: int(game_played.optimizer._student._iterations) / 2
        for name, game_played in finished_study.games.items()
    }
    steps = len(finished_study.splits.train.labels) // finished_study.study.batch_size
    lit = finished_study.study.lit.epochs * steps
    assert actual["student_lit"] == lit
    assert counts["teacher"] - actual["teacher"] in (0, 0.5)
    assert lit + counts["student"] - actual["student"] in (0, 0.5)
    assert counts["scratch"] - actual["scratch"] in (0, 0.5)
    assert actual["scratch"] == actual["student"]


def test_student_and_control_are_one_network_before_training(finished_study):
    again = training.SeedTraining(
        finished_study.study, finished_study.splits, 3, finished_study.folder
    )
    first = finished_study.games["scratch"].start[0]
    assert same(first, weights(again._build_generator("student_lit")))
    other = training.SeedTraining(
        finished_study.study, finished_study.splits, 4, finished_study.folder
    )
    assert not same(first, weights(other._build_generator("scratch")))


def test_what_is_finished_is_opened_and_the_rest_is_trained_to_the_same(
    finished_study, tmp_path
):
    old = {name: weights(network) for name, network in finished_study.networks.items()}
    shutil.copytree(finished_study.folder / "seed=3", tmp_path / "seed=3")
    # As if killed before.
    (tmp_path / "seed=3" / "checkpoint" / "student.json").unlink()
    before = len(Game.played)
    again = training.SeedTraining(
        finished_study.study, finished_study.splits, 3, tmp_path / "seed=3"
    )
    again.train()
    assert len(Game.played) == before + 1
    assert again.networks.keys() == old.keys()
    for name, network in again.networks.items():
        assert same(old[name], weights(network)), name


def test_a_study_ends_in_a_report_and_goes_on(finished_study, monkeypatch):
    folder = finished_study.folder
    _, header, table = finished_study.table.rpartition("made by")
    assert header
    assert all(len(line) <= 100 for line in table.splitlines())
    result = json.loads((folder / "report.json").read_text())
    by_name = {model["name"]: model for model in result["models"]}
    assert list(by_name) == list(report.TITLES)
    scores = [
        by_name[name]["frechet_classifier"]["values"] for name in ("student", "scratch")
    ]
    difference = intervals.paired_difference(*scores)
    assert result["student_minus_scratch"] == difference
    assert f"{difference['mean']:+.3g}; 1 seed" in finished_study.table
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") == len(report.SHEETS)
    assert not re.search(r"<(script|link)|https?:", page)
    if keras.backend.backend() == "tensorflow":
        record = result["seeds"][0]["models"]
        for name in conductor.EXPORTED:
            file = folder / "seed=3" / record[name]["file"]
            assert file.stat().st_size == record[name]["bytes"]
            assert record[name]["largest_difference"] < measurement.CLOSE
        assert by_name["student"]["bytes"] < by_name["teacher"]["bytes"]
    monkeypatch.setattr(conductor, "run_seed", None)  # Nothing is done again.
    flags = [*FLAGS, f"--out={folder}", "--seeds=1"]
    assert generate.main(flags) == 0
    assert generate.main([*flags, "--set=tuning_epochs=2"]) == 2  # Another study.


# What is measured.


class Painter:
    """A translator that paints every image in the wanted class's grey."""

    input = np.empty((1, *SHAPE[:2], SHAPE[2] + CLASSES))

    def __call__(self, inputs):
        label = inputs[:, :1, :1, 1:].argmax(-1)[..., None]
        return {"images": np.ones_like(inputs[..., :1]) * (label + 1) / 4}


def classifier():
    """Sees the class `label` in a grey of (label + 1) / 4, which is its feature."""
    images = keras.Input(SHAPE)
    grey = keras.layers.GlobalAveragePooling2D()(images)
    section = keras.layers.Reshape((1, 1, 1))(grey)
    logits = -100.0 * ops.square(4 * grey - np.array([[1.0, 2.0, 3.0]], "float32"))
    return keras.Model(images, {"section1": section, "logits": logits})


class Copier(Painter):
    """A translator that gives every image back as it was."""

    def __call__(self, inputs):
        return {"images": inputs[..., :1]}


class Noted(Copier):
    """Notes which images became which class."""

    def __init__(self):
        self.given = {label: [] for label in range(CLASSES)}

    def __call__(self, inputs):
        label = int(inputs[0, 0, 0, 1:].argmax())
        self.given[label] += list(inputs[..., :1])
        return super().__call__(inputs)


def greys(count, seed, noise=0.03):
    """Images about the greys that `classifier` takes for the classes, and these."""
    labels = np.arange(count) % CLASSES
    deviations = np.random.default_rng(seed).normal(0, noise, (count, *SHAPE))
    return data.Split(
        ((labels + 1) / 4)[:, None, None, None].astype("float32")
        + deviations.astype("f4"),
        labels,
    )


@pytest.fixture(scope="module")
def judge():
    train, test = greys(30, 0), greys(48, 1)
    return measurement.Judge(classifier(), data.Splits(train, train, test), 15)


def test_scores_are_of_each_class_beside_images_of_that_class(judge):
    assert (judge.inputs, judge.reference) == (15, 24)
    actual = judge.scores(Painter(), CLASSES)
    real = [judge._real[judge._labels == label] for label in range(CLASSES)]
    # What is painted has no variance: left are that of real ones, and the shift.
    expected = np.mean(
        [
            (each.mean() - (label + 1) / 4) ** 2 + np.var(each, ddof=1)
            for label, each in enumerate(real)
        ]
    )
    assert actual["frechet_classifier"] == pytest.approx(expected, rel=1e-3)
    assert actual["classifier_score"] == pytest.approx(3, rel=1e-4)
    assert actual["class_accuracy"] == 100


def test_who_gives_the_images_back_is_far_from_every_class(judge):
    copied, painted = judge.scores(Copier(), CLASSES), judge.scores(Painter(), CLASSES)
    real = judge.real_scores()
    assert copied["frechet_classifier"] > 20 * painted["frechet_classifier"]
    assert copied["frechet_classifier"] > 20 * real["frechet_classifier"]
    assert copied["class_accuracy"] == 0
    assert real["class_accuracy"] == 100


def test_what_is_made_is_of_images_of_other_classes(judge):
    recorder = Noted()
    judge.scores(recorder, CLASSES)
    test = greys(48, 1)
    label_of = {
        image.tobytes(): label
        for image, label in zip(test.inputs, test.labels, strict=True)
    }
    used = set()
    for label, images in recorder.given.items():
        own = [label_of[image.astype("f4").tobytes()] for image in images]
        assert len(own) == 10 and label not in own
        used |= {image.tobytes() for image in images}
    assert len(used) == judge.inputs


def test_no_image_is_in_both_halves_and_each_has_half_of_a_class():
    whole = data.Split(np.arange(33), np.repeat([0, 1, 2], [20, 8, 5]))
    first, second = measurement._halves(whole)
    assert sorted([*first.inputs, *second.inputs]) == list(range(33))
    assert list(np.bincount(first.labels)) == [10, 4, 3]
    assert list(np.bincount(second.labels)) == [10, 4, 2]
    assert not np.array_equal(first.inputs, np.arange(0, 33, 2))  # By chance.


@pytest.mark.parametrize(("split", "fewest"), measurement.FEWEST.items())
def test_too_few_images_of_a_class_are_refused_before_training(split, fewest):
    enough = greys(3 * fewest, 0)
    splits = data.Splits(*[greys(30, 0)] * 3)
    measurement.check(dataclasses.replace(splits, **{split: enough}), "abc")
    few = enough.take(np.arange(1, 3 * fewest))
    with pytest.raises(data.DataError, match=f"the {split} split .* {fewest - 1} of a"):
        measurement.check(dataclasses.replace(splits, **{split: few}), "abc")


def test_a_sheet_shows_each_image_above_itself_as_of_every_class():
    split = data.Split(np.tile(REAL, (2, 1, 1, 1)), np.repeat(np.arange(3), 4))
    sheet = translation.samples(Painter(), split)
    assert sheet.shape == (4 * 8, *SHAPE)
    images = split.sample(8, 0)
    assert set(images.labels) == {0, 1, 2}  # Though eight from the start are two.
    np.testing.assert_array_equal(sheet[:8], images.inputs)
    for label in range(CLASSES):
        row = sheet[8 * (label + 1) : 8 * (label + 2)]
        np.testing.assert_allclose(row, (label + 1) / 4)


def test_a_file_that_differs_from_its_network_has_failed():
    models = {
        "student": {"largest_difference": 0.01, "file": "student.float32.tflite"},
        "teacher": {"largest_difference": 1e-6, "file": "teacher.float32.tflite"},
        "scratch": {},
    }
    (line,) = report._failures({"seed": 2, "models": models})
    assert line.startswith("seed 2: pixels of student.float32.tflite")


# The config.


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("student.width=4", ["`student`", "the same `width`"]),
        ("teacher.halvings=4", ["`teacher`", "multiples of 2 ** 4", "(8, 8, 1)"]),
        ("student.blocks=0", ["`blocks` must be at least 1"]),
        ("lit.epochs=0", ["`epochs` must be at least 1"]),
        ("lit.learning_rate=0", ["`learning_rate` must be positive"]),
        ("tuning_epochs=0", ["`tuning_epochs` must be at least 1"]),
        ("measured=1", ["`measured` must be at least 4"]),
        ("seed=-1", ["`seed` must be at least 0"]),
        ("classifier.stages=[]", ["`stages` must be at least one"]),
        ("classifier.stages.0.trainer={name: kd}", ["by `supervised`", "['kd']"]),
        ("training.discriminator_steps=0", ["`discriminator_steps`", "at least 1"]),
        ("training.gradient_penalty=-1", ["`gradient_penalty`", "at least 0"]),
        ("training.reconstruction_weight=-1", ["`reconstruction_weight`"]),
    ],
)
def test_a_mistake_is_named(override, words):
    text = mistake(override)
    assert all(word in text for word in words), text


def test_wasserstein_needs_a_bound_of_either_kind():
    with pytest.raises(ValueError, match="`r1` must be positive"):
        StarGAN(gradient_penalty=0.0)
    StarGAN(gradient_penalty=0.0, r1=1.0)
    assert StarGAN().loss == "wasserstein"


@pytest.fixture
def folder(tmp_path):
    for name in ("fair", "dark"):
        (tmp_path / "images" / name).mkdir(parents=True)
    return tmp_path / "images"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_every_shipped_study_loads_reads_back_equal_and_steps(path, folder, tmp_path):
    at = [f"data.options.path={folder}"] if "celeba" in path.name else []
    actual = config.read(Study, path, at)
    copy = tmp_path / "copy.yaml"
    copy.write_text(config.dump(actual))
    assert config.read(Study, copy) == actual
    assert actual.student.depth < 0.6 * actual.teacher.depth
    assert actual.teacher.blocks == 6
    # The step is the config's, on networks and images that are quick.
    shape, classes = (8, 8, actual.data.input_shape[-1]), actual.data.num_classes
    learner = translator.TranslatorTrainer(
        generator=ResidualTranslator(blocks=1, width=2).build(shape, classes),
        discriminator=actual.discriminator.build(shape, classes),
        method=actual.training,
    )
    compile_(learner, learner.sides(10))
    images = RNG.uniform(0, 1, (2, *shape)).astype("float32")
    logs = learner.train_on_batch(images, np.array([0, 1]), return_dict=True)
    assert np.isfinite(logs["loss"])


def test_the_papers_settings_are_those_of_its_code(folder):
    part = config.read(
        Study, "lit_generator_celeba.yaml", [f"data.options.path={folder}"]
    )
    assert part.data.input_shape == (128, 128, 3)
    assert (part.teacher.depth, part.student.depth) == (18, 10)
    assert part.training == StarGAN()
    assert part.batch_size == 16
