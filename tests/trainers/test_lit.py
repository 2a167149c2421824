"""LIT's options and its parallel form, beside the laws that hold for every method."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
from keras import ops

import students
import trainers
from distill import config
from trainers import trainer
from trainers.lit import spans
from trainers.losses import response
from trainers.methods.supervised import Step

SHAPE, CLASSES = (8, 8, 1), 3
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(6, *SHAPE)).astype("float32")
IMAGES *= np.linspace(0.1, 4, 6, dtype="float32")[:, None, None, None]  # None alike.
LABELS = np.array([0, 1, 2, 0, 1, 2])
NAMES = ["stem", "section1", "section2", "section3"]


def network(depth, width=4, classes=CLASSES):
    """Every weight and statistic is drawn: none stays at a telling 0 or 1."""
    keras.utils.set_random_seed(depth)
    made = students.ResNet(depth=depth, width=width).build(SHAPE, classes)
    rng = np.random.default_rng(depth + width)
    for variable in made.weights:
        noise = rng.uniform(-0.2, 0.2, variable.shape)
        variable.assign(ops.convert_to_numpy(variable) + noise)
    return made


def learner(method, teacher, student):
    made = trainer.Trainer(teacher=teacher, student=student, method=method)
    made.compile(
        optimizer=made.sides(keras.optimizers.SGD(0.05)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
        jit_compile=False,
        run_eagerly=True,
    )
    return made


def step_of(model, training=False):
    outputs = model.teacher(IMAGES, training=False), model.student(IMAGES)
    return Step(ops.convert_to_tensor(IMAGES), LABELS, *outputs, training)


def terms(model):
    found = model.method.terms(model, step_of(model))
    return {name: ops.convert_to_numpy(value) for name, value in found.items()}


def values(model):
    return [np.array(ops.convert_to_numpy(v)) for v in model.variables]


def moved(before, model):
    return [
        not np.array_equal(a, b) for a, b in zip(before, values(model), strict=True)
    ]


def mean_square(a, b):
    difference = ops.convert_to_numpy(a) - ops.convert_to_numpy(b)
    return (difference**2).reshape(len(difference), -1).mean(-1)


def shapes(depth=8, width=4):
    return students.ResNet(depth=depth, width=width).shapes(SHAPE)


@pytest.mark.parametrize(
    ("merge", "wanted"),
    [
        (1, [("stem", 1), ("section1", 2), ("section2", 3)]),
        (2, [("stem", 1, 2), ("section2", 3)]),
        (3, [("stem", 1, 2, 3)]),
    ],
)
def test_merged_sections_are_spans_from_the_first_on(merge, wanted):
    found = spans.spans(shapes(), shapes(14), merge)
    assert found == [(row[0], tuple(f"section{i}" for i in row[1:])) for row in wanted]


def test_a_span_ends_where_a_section_has_no_counterpart():
    teacher = shapes() | {"section3": (7, 7, 16)}  # Another size.
    assert spans.spans(teacher, shapes(), 2) == [("stem", ("section1", "section2"))]
    del teacher["section1"]
    assert spans.spans(teacher, shapes()) == []
    teacher = shapes()
    del teacher["stem"]
    (span,) = spans.spans(teacher, shapes(), 3)
    assert span == ("section1", ("section2", "section3"))
    assert spans.entries([span]) == ["section1"]
    longer = dict.fromkeys(["stem", *(f"section{i}" for i in range(1, 5))], (8, 8, 4))
    gap = {name: shape for name, shape in longer.items() if name != "section2"}
    found = spans.spans(gap, longer, 2)
    assert found == [("stem", ("section1",)), ("section3", ("section4",))]
    assert spans.entries(found) == ["stem", "section3"]


@pytest.mark.parametrize(
    ("options", "teacher", "message"),
    [
        ({}, shapes(width=8), "`projectors: true`"),
        (
            {},
            {"stem": (8, 8, 4)},
            r"teacher stem \(8, 8, 4\); student stem .* section3",
        ),
        ({"projectors": True}, {"top": (1,)}, "LIT needs a section whose"),
        ({"merge": 4}, shapes(), "`merge` must be at most the 3"),
        ({"section_weights": (1.0, 2.0)}, shapes(), "3 `section_weights`"),
        ({"section_weights": (1.0,), "merge": 2}, shapes(), "2 .*section2, section3"),
    ],
)
def test_pairs_that_do_not_fit_are_refused_with_what_is_missing(
    options, teacher, message
):
    with pytest.raises(ValueError, match=message):
        trainers.LIT(**options).check_shapes(teacher, shapes())


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (trainers.LIT, {"section_weights": (1.0, -1.0)}),
        (trainers.LIT, {"section_weights": (0.0, 0.0)}),
        (trainers.LIT, {"section_noise": -0.1}),
        (trainers.LIT, {"merge": 0}),
        (trainers.LITParallel, {"kd_weight": 0.5}),
        (trainers.LITParallel, {"thaw": True}),
    ],
)
def test_options_out_of_range_are_refused_by_name(method, options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`.*Received: "):
        method(**options)


def test_a_stage_without_logits_has_no_task():
    assert config.Stage(trainer=trainers.LITParallel(), epochs=1, task_weight=0.0)
    with pytest.raises(ValueError, match="`task_weight` must be 0 with `lit_parallel`"):
        config.Stage(trainer=trainers.LITParallel(), epochs=1, task_weight=1.0)


def test_the_normalized_loss_is_in_shares_of_the_teachers_variance():
    taught, learned = RNG.normal(size=(2, 5, 3, 3, 4)).astype("float32")
    taught[4] = 7.0  # Constant: no variance.
    got = ops.convert_to_numpy(response.normalized_loss(taught, learned))
    wanted = mean_square(taught, learned)[:4] / taught[:4].reshape(4, -1).var(-1)
    np.testing.assert_allclose(got, [*wanted, 0], rtol=1e-5)
    mean = np.broadcast_to(taught.mean((1, 2, 3), keepdims=True), taught.shape)
    got = ops.convert_to_numpy(response.normalized_loss(taught, mean.copy()))
    np.testing.assert_allclose(got[:4], 1, rtol=1e-5)


def test_the_cosine_loss_is_one_less_the_cosine_at_each_position():
    taught, learned = RNG.normal(size=(2, 5, 3, 4)).astype("float32")
    taught[0, 0] = learned[0, 0] = taught[1, 1] = 0  # Both zero; one zero.
    dot, length = (taught * learned).sum(-1), np.linalg.norm
    with np.errstate(invalid="ignore"):
        loss = 1 - dot / (length(taught, axis=-1) * length(learned, axis=-1))
    loss[0, 0], loss[1, 1] = 0, 0.5
    got = ops.convert_to_numpy(response.cosine_loss(taught, learned))
    np.testing.assert_allclose(got, loss.mean(-1), rtol=1e-5)


@pytest.fixture(scope="module")
def pair():
    """A teacher and a student of its width."""
    return network(14), network(8)


def test_a_span_is_fed_the_teachers_input_and_weighted_by_place(pair):
    method = trainers.LIT(merge=2, section_weight=3.0, section_weights=(0.5, 2.0))
    model = learner(method, *pair)
    got, taught = terms(model), model.teacher(IMAGES)
    assert list(got) == ["kd_loss", "section2_loss", "section3_loss"]
    first, second, third = (model.student.get_layer(name) for name in NAMES[1:])
    wanted = mean_square(second(first(taught["stem"])), taught["section2"])
    np.testing.assert_allclose(got["section2_loss"], 1.5 * wanted, rtol=1e-4)
    wanted = mean_square(third(taught["section2"]), taught["section3"])
    np.testing.assert_allclose(got["section3_loss"], 6 * wanted, rtol=1e-4)


@pytest.mark.parametrize("kind", ["normalized_mse", "cosine"])
def test_section_loss_chooses_the_loss(kind, pair):
    model = learner(trainers.LIT(section_loss=kind), *pair)
    taught = model.teacher(IMAGES)
    made = model.student.get_layer("section3")(taught["section2"])
    loss = {"normalized_mse": response.normalized_loss, "cosine": response.cosine_loss}
    wanted = ops.convert_to_numpy(loss[kind](taught["section3"], made))
    np.testing.assert_allclose(terms(model)["section3_loss"], wanted, rtol=1e-4)


def test_noise_is_a_share_of_the_representations_own_deviation(pair, monkeypatch):
    model = learner(trainers.LIT(section_noise=0.25), *pair)
    fed = []
    monkeypatch.setattr(
        trainers.LIT,
        "run_section",
        lambda self, section, inputs, training: fed.append(inputs) or section(inputs),
    )

    def noises(training):
        fed.clear()
        model.method.run_spans(model, step := step_of(model, training))
        given = ops.convert_to_numpy(fed[0]) - ops.convert_to_numpy(step.taught["stem"])
        return given, ops.convert_to_numpy(step.taught["stem"])

    assert not noises(training=False)[0].any()
    state = ops.convert_to_numpy(model.draws.state)
    noise, taught = noises(training=True)
    deviation = taught.reshape(6, -1).std(-1)
    np.testing.assert_allclose(noise.reshape(6, -1).std(-1) / deviation, 0.25, 0.2)
    assert not np.array_equal(noises(training=True)[0], noise)
    model.draws.state.assign(state)  # What a resumed run does.
    np.testing.assert_array_equal(noises(training=True)[0], noise)


@pytest.mark.parametrize("thaw", [False, True])
def test_stem_and_head_are_copied_and_learn_if_thawed(thaw):
    teacher, student = network(14), network(8)
    model = learner(trainers.LIT(thaw=thaw), teacher, student)
    for layer in ("stem_conv", "head"):
        assert not any(
            moved(values(teacher.get_layer(layer)), student.get_layer(layer))
        )
    model.train_on_batch(IMAGES, LABELS)
    for layer in ("stem_conv", "head"):
        before = values(teacher.get_layer(layer))
        assert moved(before, student.get_layer(layer)) == [thaw] * len(before)


def test_networks_of_other_widths_are_compared_through_projectors():
    teacher, student = network(14, width=6), network(8)
    before = values(student)
    model = learner(trainers.LIT(projectors=True, kd_weight=0.5), teacher, student)
    assert not any(moved(before, student))  # Nothing fits, nothing is copied.
    assert {name: part.output_shape[-1] for name, part in model.companions.items()} == {
        **{f"section{i}_input_projector": max(4, 2**i) for i in (1, 2, 3)},
        **{f"section{i}_output_projector": 3 * 2**i for i in (1, 2, 3)},
        "stem_output_projector": 6,
    }
    got, taught = terms(model), teacher(IMAGES)
    own = model.companions["stem_output_projector"](student(IMAGES)["stem"])
    wanted = mean_square(own, taught["stem"])
    np.testing.assert_allclose(got["stem_loss"], wanted, rtol=1e-4)
    made = model.companions["section2_input_projector"](taught["section1"])
    made = student.get_layer("section2")(made)
    made = model.companions["section2_output_projector"](made)
    wanted = mean_square(made, taught["section2"])
    np.testing.assert_allclose(got["section2_loss"], wanted, rtol=1e-4)
    model.train_on_batch(IMAGES, LABELS)
    assert all(moved(before, student))  # Stem, head and statistics too.


def test_equal_widths_get_no_projectors(pair):
    assert not learner(trainers.LIT(projectors=True), *pair).companions


def test_sections_that_the_teacher_lacks_learn_end_to_end():
    whole, student = network(14), network(8)
    outputs = {name: x for name, x in whole.output.items() if name != "stem"}
    teacher = keras.Model(whole.inputs[0], outputs)
    before = values(student.get_layer("section1"))
    model = learner(trainers.LIT(), teacher, student)
    got = terms(model)
    assert set(got) == {f"{name}_loss" for name in ["kd", *NAMES[1:]]}
    # Section 1 by what the student's own pass makes, section 2 on the teacher's input.
    wanted = mean_square(student(IMAGES)["section1"], teacher(IMAGES)["section1"])
    np.testing.assert_allclose(got["section1_loss"], wanted, rtol=1e-4)
    model.train_on_batch(IMAGES, LABELS)
    assert all(moved(before, student.get_layer("section1")))


def test_a_head_that_does_not_fit_is_named_where_all_else_does():
    with pytest.raises(ValueError, match="layer `head` does not fit"):
        learner(trainers.LIT(), network(14), network(8, classes=4))


def test_discriminators_judge_what_comes_out_of_projectors():
    method = trainers.LITAdversarial(projectors=True, merge=2)
    model = learner(method, network(14, width=6), network(8))
    rivals = method.optimizers(model.companions)
    assert set(rivals) == {"section2_discriminator", "section3_discriminator"}
    before = {name: values(part) for name, part in model.companions.items()}
    model.train_on_batch(IMAGES, LABELS)
    for name, part in model.companions.items():
        assert any(moved(before[name], part)), name


def test_parallel_sections_learn_without_the_student():
    teacher, student = network(14), network(8)
    copy = network(8)
    model = learner(trainers.LITParallel(section_weight=2.0), teacher, student)
    logs = model.fit(
        IMAGES, LABELS, verbose=0, validation_data=(IMAGES, LABELS)
    ).history
    own = {"loss", "regularization_loss", *(f"{name}_loss" for name in NAMES[1:])}
    validated = {f"val_{name}" for name in [*own, "task_loss", "accuracy"]}
    assert set(logs) == own | validated
    # One step is one of plain gradient descent on each section's own loss, whose
    # pass moves the statistics of its norms.
    taught, norms = teacher(IMAGES), []
    for given, name in itertools.pairwise(NAMES):
        section = copy.get_layer(name)
        made = section(taught[given], training=True)
        norms += [v for v in section.variables if "moving" in v.path]
        wanted = 2 * mean_square(made, taught[name]).mean()
        assert logs[f"{name}_loss"] == pytest.approx([wanted], rel=1e-4)
    moving = [
        v for v in student.variables if "moving" in v.path and "section" in v.path
    ]
    for got, wanted in zip(moving, norms, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_what_parallel_sections_do_not_reach_stands_still():
    teacher, student = network(14, width=6), network(8)
    model = learner(trainers.LITParallel(projectors=True), teacher, student)
    before = {layer.name: values(layer) for layer in student.layers}
    model.train_on_batch(IMAGES, LABELS)
    for layer in student.layers:
        if layer.weights:
            wanted = layer.name.startswith("section")
            assert set(moved(before[layer.name], layer)) == {wanted}, layer.name


def test_parallel_and_whole_sections_have_one_gradient(pair):
    """Without the student's own pass, the sections' losses are the same."""
    whole = learner(trainers.LIT(section_loss="cosine"), *pair)
    alone = dataclasses.replace(trainers.LITParallel(), section_loss="cosine")
    wanted = terms(whole)
    wanted.pop("kd_loss")
    got = terms(learner(alone, *pair))
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5)
