"""Laws that hold for every method in `trainers.TRAINERS`."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

import students
import trainers
from gan.discriminators import Discriminator
from trainers import losses, trainer
from trainers.supervised import Step

SHAPE, CLASSES = (8, 8, 1), 3
METHODS = {
    "supervised": trainers.Supervised(),
    "kd": trainers.KD(kd_weight=0.7, temperature=3.0),
    "lit": trainers.LIT(kd_weight=0.3, temperature=3.0, section_weight=0.5),
    "adversarial": trainers.Adversarial(
        kd_weight=0.3,
        adversarial_weight=0.2,
        sees=("logits", "section3"),
        condition="label",
        discriminator=Discriminator(units=(8,)),
        mismatch_weight=0.5,
        noise_weight=0.5,
        r1=0.1,
    ),
    "lit_adversarial": trainers.LITAdversarial(
        section_weight=0.5,
        condition="input",
        loss="hinge",
        discriminator=Discriminator(units=(8,)),
    ),
}
GAMES = ["adversarial", "lit_adversarial"]  # A tie is worth something there.
TAUGHT = [name for name, method in METHODS.items() if method.needs_teacher]
RNG = np.random.default_rng(0)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_every_method_obeys_these_laws():
    assert set(METHODS) == set(trainers.TRAINERS)


def network(depth, seed, **options):
    keras.utils.set_random_seed(seed)
    built = students.ResNet(depth=depth, width=4, **options).build(SHAPE, CLASSES)
    rng = np.random.default_rng(seed)
    for variable in built.weights:  # No statistic or offset stays at a telling 0 or 1.
        noise = rng.uniform(-0.2, 0.2, variable.shape)
        variable.assign(ops.convert_to_numpy(variable) + noise)
    return built


@pytest.fixture
def batch():
    return (
        RNG.uniform(size=(6, *SHAPE)).astype("float32"),
        LABELS,
    )


@pytest.fixture
def make():
    def make(name, task_weight=1.0, teacher=None, student=None, **changes):
        made = trainer.Trainer(
            student=student or network(8, 1, weight_decay=1e-3),
            method=dataclasses.replace(METHODS[name], **changes),
            teacher=teacher or network(14, 0),
        )
        made.compile(
            optimizer=made.sides(keras.optimizers.SGD(0.05)),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            loss_weights=task_weight,
            metrics=["accuracy"],
            jit_compile=False,
        )
        return made

    return make


def values(model):
    # A copy: torch gives a view of the memory that it trains in.
    return [np.array(ops.convert_to_numpy(v)) for v in model.variables]


def same(before, after):
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def logits(model, images, training=False):
    return ops.convert_to_numpy(model(images, training=training)["logits"])


@pytest.mark.parametrize("name", METHODS)
def test_training_moves_the_student_and_not_the_teacher(name, make, batch):
    model = make(name, teacher=(teacher := network(14, 0)))
    before = values(teacher), values(model.student)
    model.fit(*batch, verbose=0)
    assert same(before[0], values(teacher))
    assert not same(before[1], values(model.student))


@pytest.mark.parametrize("name", METHODS)
def test_evaluating_moves_nothing(name, make, batch):
    model = make(name)
    before = values(model.student)
    model.evaluate(*batch, verbose=0)
    assert same(before, values(model.student))


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_is_the_sum_of_its_named_terms(name, make, batch):
    logs = make(name).evaluate(*batch, verbose=0, return_dict=True)
    terms = [value for key, value in logs.items() if key.endswith("_loss")]
    assert logs["loss"] == pytest.approx(sum(terms), rel=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_regularisers_count_whatever_the_task_weighs(name, make, batch):
    model = make(name, task_weight=0.0)
    wanted = sum(
        1e-3 * np.sum(np.square(ops.convert_to_numpy(variable)))
        for variable in model.student.trainable_variables  # Frozen ones are constant.
        if variable.path.endswith("kernel")
    )
    logs = model.evaluate(*batch, verbose=0, return_dict=True)
    assert logs["regularization_loss"] == pytest.approx(wanted, rel=1e-5)
    assert logs["task_loss"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_the_task_weight_multiplies_the_cross_entropy(name, make, batch):
    model = make(name, task_weight=0.25)
    scores = logits(model.student, batch[0])
    wanted = -np.log(softmax(scores)[np.arange(6), batch[1]]).mean()
    logs = model.evaluate(*batch, verbose=0, return_dict=True)
    assert logs["task_loss"] == pytest.approx(0.25 * wanted, rel=1e-4)


@pytest.mark.parametrize("name", TAUGHT)
def test_weight_zero_teaches_nothing(name, make, batch):
    weights = {
        field.name: 0.0
        for field in dataclasses.fields(METHODS[name])
        if field.name.endswith("_weight")
    }
    idle = make(name, **weights)
    student = idle.student
    before = values(student)
    idle.fit(*batch, verbose=0)
    taught = values(student)
    for variable, value in zip(student.variables, before, strict=True):
        variable.assign(value)
    alone = make("supervised", student=student)
    METHODS[name].prepare(idle.teacher, student)  # What it freezes stays frozen.
    alone.fit(*batch, verbose=0)
    for a, b in zip(taught, values(student), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TAUGHT)
def test_the_teacher_answers_in_inference_mode(name, make, batch):
    """Its terms must not depend on who else is in the batch."""
    model = make(name)
    whole = terms(model, batch[0], training=False)
    half = terms(model, batch[0][:3], training=False)
    for key in whole:
        np.testing.assert_allclose(whole[key][:3], half[key], rtol=1e-3, atol=1e-6)
    calls = []
    answer = model.teacher.call
    model.teacher.call = lambda *args, training=None, **kwargs: (
        calls.append(training) or answer(*args, training=training, **kwargs)
    )
    model.compute_loss(
        *map(ops.convert_to_tensor, batch), model.student(batch[0], training=True)
    )
    assert calls == [False]


@pytest.mark.parametrize("name", METHODS)
def test_one_forward_pass_each_and_nothing_twice(name, make, batch):
    model, calls = make(name), []
    for role in ("teacher", "student"):
        if getattr(model, role) is None:
            continue
        answer = getattr(model, role).call
        getattr(model, role).call = lambda *args, answer=answer, role=role, **kwargs: (
            calls.append(role) or answer(*args, **kwargs)
        )
    model.run_eagerly = True
    model.train_on_batch(*batch)  # Builds: may pass through more than once.
    calls.clear()
    model.train_on_batch(*batch)
    assert sorted(calls) == sorted(
        ["student", *(["teacher"] if name in TAUGHT else [])]
    )


@pytest.mark.parametrize("name", METHODS)
def test_sample_weights_choose_who_counts(name, make, batch):
    images, labels = batch
    model = make(name)
    only = np.array([0, 0, 2, 0, 0, 0], "float32")
    logs = model.evaluate(
        images, labels, sample_weight=only, verbose=0, return_dict=True
    )
    alone = model.evaluate(images[2:3], labels[2:3], verbose=0, return_dict=True)
    for key, value in alone.items():
        if key.endswith("_loss") and key != "regularization_loss":
            # A mean over all six: 2 / 6 of the one that counts.
            assert logs[key] == pytest.approx(value / 3, rel=1e-3), key


@pytest.mark.parametrize("name", TAUGHT)
def test_the_loss_is_a_mean_over_examples(name, make, batch):
    model = make(name)
    once = model.evaluate(*batch, verbose=0, return_dict=True)
    twice = model.evaluate(
        *(np.concatenate([part, part]) for part in batch),
        batch_size=12,
        verbose=0,
        return_dict=True,
    )
    assert once["loss"] == pytest.approx(twice["loss"], rel=1e-4)


@pytest.mark.parametrize("name", TAUGHT)
def test_a_method_refuses_to_teach_without_a_teacher(name):
    with pytest.raises(ValueError, match="learns from a teacher"):
        trainer.Trainer(student=network(8, 1), method=METHODS[name])


@pytest.mark.parametrize("name", [name for name in TAUGHT if name not in GAMES])
def test_a_perfect_copy_has_nothing_to_learn(name, make, batch):
    teacher, copy = network(14, 0), network(14, 1)
    copy.set_weights(teacher.get_weights())
    learned = terms(make(name, teacher=teacher, student=copy), batch[0], False)
    for key, value in learned.items():
        np.testing.assert_allclose(value, 0, atol=1e-6, err_msg=key)


def terms(model, images, training):
    """The method's terms, as NumPy."""
    images = ops.convert_to_tensor(images)
    step = Step(
        images,
        ops.convert_to_tensor(LABELS[: len(images)]),
        model.teacher(images, training=False),
        model.student(images, training=training),
        training,
    )
    answers = model.method.terms(model, step)
    return {name: ops.convert_to_numpy(value) for name, value in answers.items()}


def test_kd_is_the_weighted_formula(make, batch):
    model = make("kd")
    teacher, student = (
        logits(part, batch[0]) for part in (model.teacher, model.student)
    )
    wanted = 0.7 * ops.convert_to_numpy(losses.kd_loss(teacher, student, 3.0))
    np.testing.assert_allclose(terms(model, batch[0], False)["kd_loss"], wanted, 1e-5)


def test_lit_feeds_each_section_the_teachers_representation(make, batch):
    model = make("lit")
    taught = {
        name: ops.convert_to_numpy(value)
        for name, value in model.teacher(batch[0], training=False).items()
    }
    got = terms(model, batch[0], training=False)
    assert list(got) == ["kd_loss", "section1_loss", "section2_loss", "section3_loss"]
    for index, given in enumerate(["stem", "section1", "section2"], start=1):
        name = f"section{index}"
        made = model.student.get_layer(name)(taught[given], training=False)
        error = (ops.convert_to_numpy(made) - taught[name]) ** 2
        wanted = 0.5 * error.reshape(6, -1).mean(-1)
        np.testing.assert_allclose(got[f"{name}_loss"], wanted, rtol=1e-4)


def test_lit_trains_sections_in_training_mode(make, batch):
    """BatchNormalization of a section must use the batch's own statistics."""
    model = make("lit")
    assert not np.allclose(
        terms(model, batch[0], training=True)["section1_loss"],
        terms(model, batch[0], training=False)["section1_loss"],
        rtol=1e-2,
    )


def test_lit_copies_stem_and_head_and_moves_the_sections_alone(make, batch):
    model = make("lit")
    model.fit(*batch, verbose=0)
    for layer in model.student.layers:
        if layer.name.startswith("section") or not layer.weights:
            continue
        assert same(values(layer), values(model.teacher.get_layer(layer.name)))
    trainable = {path.split("/")[0] for path in paths(model.student)}
    assert trainable == {"section1", "section2", "section3"}
    for index in (1, 2, 3):
        assert model.student.get_layer(f"section{index}").trainable


def paths(model):
    sections = [layer for layer in model.layers if layer.name.startswith("section")]
    inside = {id(v): layer.name for layer in sections for v in layer.variables}
    return [inside.get(id(v), v.path) for v in model.trainable_variables]


def test_stage_two_moves_everything(make, batch):
    student, teacher = network(8, 1), network(14, 0)
    make("lit", teacher=teacher, student=student)
    model = make("kd", teacher=teacher, student=student)
    before = {v.path: ops.convert_to_numpy(v) for v in student.trainable_variables}
    model.fit(*batch, verbose=0)
    assert any("stem" in path for path in before)
    assert any("head" in path for path in before)
    for variable in student.trainable_variables:
        now = ops.convert_to_numpy(variable)
        assert not np.array_equal(before[variable.path], now), variable.path


def test_the_teachers_representations_leave_the_statistics_alone(make, batch):
    """One step of LIT moves BatchNorm as one step of the student alone does."""
    teacher = network(14, 0)
    pair = [network(8, 1), network(8, 1)]
    pair[1].set_weights(pair[0].get_weights())
    model = make("lit", teacher=teacher, student=pair[0])
    METHODS["lit"].prepare(teacher, pair[1])
    model.fit(*batch, verbose=0)
    pair[1](batch[0], training=True)
    for a, b in zip(*(network_.variables for network_ in pair), strict=True):
        if "moving" in a.path:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=a.path)


@pytest.mark.parametrize("name", ["lit"])
def test_lit_names_representations_of_other_shapes(name):
    shapes = students.ResNet(depth=8, width=4).shapes(SHAPE)
    wider = students.ResNet(depth=8, width=8).shapes(SHAPE)
    with pytest.raises(ValueError, match=r"`stem`.*\(8, 8, 8\).*\(8, 8, 4\)"):
        METHODS[name].check_shapes(wider, shapes)
    METHODS[name].check_shapes(shapes, shapes)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (trainers.KD, {"kd_weight": -0.1}),
        (trainers.KD, {"temperature": 0.0}),
        (trainers.LIT, {"kd_weight": -0.1}),
        (trainers.LIT, {"temperature": -1.0}),
        (trainers.LIT, {"section_weight": -0.1}),
    ],
)
def test_options_out_of_range_are_refused_by_name(method, options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`.*Received: "):
        method(**options)


def test_recalibrated_statistics_are_the_average_over_the_batches(batch):
    student = network(8, 1)
    first, second = RNG.uniform(size=(2, 6, *SHAPE)).astype("float32")
    convolution = student.get_layer("stem_conv")
    made = [ops.convert_to_numpy(convolution(part)) for part in (first, second)]
    before = [ops.convert_to_numpy(v) for v in student.trainable_variables]

    trainer.recalibrate(student, [first, second])

    norm = student.get_layer("stem_norm")
    means = [part.mean((0, 1, 2)) for part in made]
    variances = [part.var((0, 1, 2)) for part in made]
    np.testing.assert_allclose(norm.moving_mean, np.mean(means, 0), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, np.mean(variances, 0), rtol=1e-4)
    assert norm.momentum == 0.9
    after = [ops.convert_to_numpy(v) for v in student.trainable_variables]
    assert same(before, after)


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("name", METHODS)
def test_half_precision_computes_and_keeps_whole_weights(name, make, batch):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = make(name, teacher=network(14, 0), student=network(8, 1))
        assert model.student(batch[0])["section1"].dtype == "bfloat16"
        logs = model.train_on_batch(*batch, return_dict=True)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(list(logs.values())).all()
    assert {variable.dtype for variable in model.student.variables} == {"float32"}
