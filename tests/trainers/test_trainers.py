"""Laws that hold for every method in `trainers.TRAINERS`."""

import dataclasses
import functools

import graphs
import keras
import numpy as np
import pytest
from keras import ops

import students
import trainers
from distill.teach.hardware import training
from gan.discriminators import Discriminator
from students import layers
from students.network import Network
from trainers import trainer
from trainers.losses import response
from trainers.methods import representations
from trainers.methods.supervised import Step

SHAPE, CLASSES = (8, 8, 1), 3
METHODS = {
    "supervised": trainers.Supervised(),
    "kd": trainers.KD(kd_weight=0.7, temperature=3.0),
    "lit": trainers.LIT(kd_weight=0.3, temperature=3.0, section_weight=0.5),
    "lit_narrower": trainers.LIT(
        section_weight=0.5,
        section_weights=(2.0, 0.5),
        section_loss="cosine",
        section_noise=0.1,
        merge=2,
        projectors=True,
        thaw=True,
    ),
    "lit_parallel": trainers.LITParallel(
        section_loss="normalized_mse", section_noise=0.1
    ),
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
    "fitnet": trainers.FitNet(hint_weight=0.5),
    "attention_transfer": trainers.AttentionTransfer(attention_weight=0.5),
    "similarity_preserving": trainers.SimilarityPreserving(similarity_weight=5.0),
    "relational": trainers.Relational(distance_weight=2.0, angle_weight=3.0),
    "dkd": trainers.DKD(target_weight=0.6, non_target_weight=0.7),
    "dist": trainers.DIST(inter_class_weight=0.3, intra_class_weight=0.4),
    "crd": trainers.CRD(contrast_temperature=0.5, embedding_size=5),
    "embedding": trainers.Embedding(
        embedding_weight=0.6, patch_weight=0.5, smooth_l1_share=0.1
    ),
}
# Width of the student, for its regressors and projectors to be there.
NARROWER = {"fitnet": 2, "lit_narrower": 2}
TAUGHT = [name for name, method in METHODS.items() if method.needs_teacher]
# Only TensorFlow makes graphs.
GRAPHED = METHODS if keras.backend.backend() == "tensorflow" else []
RNG = np.random.default_rng(0)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_every_method_obeys_these_laws():
    assert set(map(type, METHODS.values())) == set(trainers.TRAINERS.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Small(Network):
    """Under the contract, with norms: compiling costs more than most tests do."""

    width: int
    depth: int  # Convolutions of a section.

    def _plan(self):
        return students.ResNet(depth=8, width=self.width)._plan()

    def _stem(self, x):
        return layers.conv_bn_relu(x, self.width, 3, 1, self.weight_decay, name="stem_")

    def _section(self, x, index, name):
        filters, stride = self._plan()[index]
        for number in range(self.depth):
            stride = 1 if number else stride
            x = layers.conv_bn_relu(
                x, filters, 3, stride, self.weight_decay, name=f"{name}_{number}_"
            )
        return x


@functools.cache
def built(depth, seed, width, weight_decay):
    """A network of known weights: building costs, too."""
    keras.utils.set_random_seed(seed)
    options = Small(depth=depth, width=width, weight_decay=weight_decay)
    made = options.build(SHAPE, CLASSES)
    rng = np.random.default_rng(seed)
    for variable in made.weights:  # No statistic or offset stays at a telling 0 or 1.
        noise = rng.uniform(-0.2, 0.2, variable.shape)
        variable.assign(ops.convert_to_numpy(variable) + noise)
    return made, made.get_weights()


def network(depth, seed, width=4, weight_decay=5e-5):
    """The network of that depth and seed, as new: one object, whoever asks."""
    made, weights = built(depth, seed, width, weight_decay)
    made.set_weights(weights)
    trainer.thaw(made)
    return made


@pytest.fixture
def batch():
    return (
        RNG.uniform(size=(6, *SHAPE)).astype("float32"),
        LABELS,
    )


@pytest.fixture
def make():
    def make(name, task_weight=1.0, teacher=None, student=None, eager=True, **changes):
        made = trainer.Trainer(
            student=student or network(1, 1, NARROWER.get(name, 4), 1e-3),
            method=dataclasses.replace(METHODS[name], **changes),
            teacher=teacher or network(2, 0),
        )
        made.compile(
            optimizer=made.sides(keras.optimizers.SGD(0.05)),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            loss_weights=task_weight,
            metrics=["accuracy"],
            jit_compile=False,
            run_eagerly=eager,
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
    model = make(name, teacher=(teacher := network(2, 0)), eager=False)
    before = values(teacher), values(model.student)
    model.fit(*batch, verbose=0)
    assert same(before[0], values(teacher))
    assert not same(before[1], values(model.student))


@pytest.mark.parametrize("name", GRAPHED)
def test_no_sum_depends_on_the_threads(name, make, batch):
    with graphs.optimized() as found:
        make(name, eager=False).fit(*batch, validation_data=batch, verbose=0)
    assert sum(len(graph.node) > 100 for graph in found) >= 2  # Both kinds of steps.
    assert [name for graph in found for name in graphs.unsettled_sums(graph)] == []


@pytest.mark.parametrize("name", ["fitnet", "crd", "lit_narrower", "embedding"])
def test_companions_learn_beside_the_student_and_are_no_part_of_it(name, make, batch):
    student = network(1, 1, NARROWER.get(name, 4))
    variables = [variable.path for variable in student.variables]
    model = make(name, student=student)
    moving = {id(variable) for variable in model.moving_variables}
    before = {key: values(part) for key, part in model.companions.items()}
    model.fit(*batch, verbose=0)
    assert before
    for key, part in model.companions.items():
        assert {id(variable) for variable in part.variables} <= moving
        for was, now in zip(before[key], values(part), strict=True):
            assert not np.array_equal(was, now), key
    assert [variable.path for variable in student.variables] == variables


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


@pytest.mark.parametrize("name", ["kd", "lit", "lit_parallel", "adversarial"])
def test_regularisers_of_others_are_no_loss_of_the_student(name, make, batch):
    teacher, _ = built.__wrapped__(2, 0, 4, 5e-5)  # Nobody else's.
    model = make(name, teacher=teacher)
    plain = model.evaluate(*batch, verbose=0, return_dict=True)
    for other in (teacher, *model.companions.values()):
        for layer in other._flatten_layers():
            if hasattr(layer, "kernel"):
                layer.activity_regularizer = keras.regularizers.L2(1.0)
    logs = model.evaluate(*batch, verbose=0, return_dict=True)
    assert logs["regularization_loss"] == plain["regularization_loss"]
    terms = [value for key, value in logs.items() if key.endswith("_loss")]
    assert logs["loss"] == pytest.approx(sum(terms), rel=1e-5)


def test_an_activity_regulariser_of_the_student_counts_once(make, batch):
    student, _ = built.__wrapped__(1, 1, 4, 0.0)
    (head,) = (x for x in student.layers if isinstance(x, keras.layers.Dense))
    head.activity_regularizer = keras.regularizers.L2(0.1)
    logs = make("kd", student=student).evaluate(*batch, verbose=0, return_dict=True)
    wanted = 0.1 * np.mean(np.square(logits(student, batch[0])).sum(-1))
    assert logs["regularization_loss"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_task_weight_multiplies_the_cross_entropy(name, make, batch):
    model = make(name, task_weight=0.25)
    scores = logits(model.student, batch[0])
    wanted = -np.log(softmax(scores)[np.arange(6), batch[1]]).mean()
    logs = model.evaluate(*batch, verbose=0, return_dict=True)
    assert logs["task_loss"] == pytest.approx(0.25 * wanted, rel=1e-4)


@pytest.mark.parametrize("name", TAUGHT)
def test_answers_that_come_with_the_batch_teach_the_same(
    name, make, batch, monkeypatch
):
    """Those that the method asks for are enough, and nobody runs the teacher."""
    teacher, images, labels = network(2, 0), *batch
    said = {
        key: ops.convert_to_numpy(value)
        for key, value in teacher(images, training=False).items()
    }
    network(1, 1, NARROWER.get(name, 4), 1e-3)  # The first time, building draws.
    moved = []
    for kept in (False, True):
        keras.utils.set_random_seed(0)
        model = make(name, teacher=teacher)
        pair = map(representations.shapes, (teacher, model.student))
        names = model.method.asks(*pair)
        with monkeypatch.context() as patch:
            given = images
            if kept:
                given = trainer.with_answers(images, {key: said[key] for key in names})
                patch.setattr(teacher, "call", None)
            logs = model.train_on_batch(given, labels, return_dict=True)
        moved.append([logs, values(model.student)])
    assert moved[0][0] == pytest.approx(moved[1][0], rel=1e-5)
    for live, kept in zip(moved[0][1], moved[1][1], strict=True):
        np.testing.assert_allclose(kept, live, rtol=1e-4, atol=1e-6)


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
    companions = [values(part) for part in idle.companions.values()]
    idle.fit(*batch, verbose=0)
    rivals = METHODS[name].optimizers(idle.companions)  # They play on by themselves.
    for was, (key, part) in zip(companions, idle.companions.items(), strict=True):
        assert same(was, values(part)) is (key not in rivals)
    taught = values(student)
    for variable, value in zip(student.variables, before, strict=True):
        variable.assign(value)
    whole = METHODS[name].end_to_end
    alone = make("supervised", student=student, task_weight=float(whole))
    METHODS[name].prepare(idle.teacher, student)  # What it freezes stays frozen.
    alone.fit(*batch, verbose=0)
    for variable, was in zip(student.variables, taught, strict=True):
        if whole or "moving" not in variable.path:  # Statistics are of other inputs.
            np.testing.assert_allclose(variable, was, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TAUGHT)
def test_the_teacher_answers_in_inference_mode(name, make, batch, monkeypatch):
    """What it answers must not depend on who else is in the batch."""
    model = make(name)
    whole = terms(model, batch[0], training=False)
    half = terms(model, batch[0][:3], training=False)
    alike = all(np.allclose(whole[k][:3], half[k], 1e-3, 1e-6) for k in whole)
    assert alike is not METHODS[name].relates_examples
    calls = []
    answer = model.teacher.call
    monkeypatch.setattr(
        model.teacher,
        "call",
        lambda *args, training=None, **kwargs: (
            calls.append(training) or answer(*args, training=training, **kwargs)
        ),
    )
    model.compute_loss(
        *map(ops.convert_to_tensor, batch), model.student(batch[0], training=True)
    )
    assert calls == [False]


@pytest.mark.parametrize("name", METHODS)
def test_one_forward_pass_each_and_nothing_twice(name, make, batch, monkeypatch):
    model, calls = make(name), []
    for role in ("teacher", "student"):
        if getattr(model, role) is None:
            continue
        answer = getattr(model, role).call
        monkeypatch.setattr(
            getattr(model, role),
            "call",
            lambda *args, answer=answer, role=role, **kwargs: (
                calls.append(role) or answer(*args, **kwargs)
            ),
        )
    model.train_on_batch(*batch)  # Builds: may pass through more than once.
    calls.clear()
    model.train_on_batch(*batch)
    assert sorted(calls) == sorted(
        ["student"] * METHODS[name].end_to_end + ["teacher"] * (name in TAUGHT)
    )


@pytest.mark.parametrize("name", TAUGHT)
def test_each_example_has_its_own_number(name, make, batch):
    """Also where it is a row of what relates them: the order does not matter."""
    model, order = make(name), np.array([3, 5, 0, 1, 4, 2])
    whole = terms(model, batch[0], training=False)
    other = terms(model, batch[0][order], training=False, labels=LABELS[order])
    for key, value in whole.items():
        assert value.shape == (6,)
        np.testing.assert_allclose(other[key], value[order], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", TAUGHT)
def test_nothing_is_learned_wrong_where_there_is_no_direction(name, make, batch):
    """One example; the same one again and again; a student that is zero all over."""
    images, labels = batch
    model = make(name)
    alone = terms(model, images[:1], training=False)
    assert all(np.isfinite(value).all() for value in alone.values())
    model.train_on_batch(images[[0] * 6], labels[[0] * 6])
    assert all(np.isfinite(value).all() for value in values(model))
    for variable in model.student.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    model.train_on_batch(images, labels)
    assert all(np.isfinite(value).all() for value in values(model))


@pytest.mark.parametrize("name", METHODS)
def test_sample_weights_choose_who_counts(name, make, batch):
    images, labels = batch
    model = make(name)
    only = np.array([0, 0, 2, 0, 0, 0], "float32")
    logs = model.evaluate(
        images, labels, sample_weight=only, verbose=0, return_dict=True
    )
    alone = model.evaluate(images[2:3], labels[2:3], verbose=0, return_dict=True)
    if METHODS[name].relates_examples:  # To all of the batch, whatever they weigh.
        whole = terms(model, images, training=False)
        alone |= {key: value[2] for key, value in whole.items()}
    for key, value in alone.items():
        if key.endswith("_loss") and key != "regularization_loss":
            # A mean over all six: 2 / 6 of the one that counts.
            assert logs[key] == pytest.approx(value / 3, rel=1e-3, abs=1e-6), key


@pytest.mark.parametrize("name", TAUGHT)
def test_the_loss_is_a_mean_over_examples(name, make, batch):
    model = make(name)
    if METHODS[name].relates_examples:  # Two of each have other relations.
        logs = model.evaluate(*batch, verbose=0, return_dict=True)
        for key, value in terms(model, batch[0], training=False).items():
            assert logs[key] == pytest.approx(value.mean(), rel=1e-4, abs=1e-6)
        return
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
        trainer.Trainer(student=network(1, 1), method=METHODS[name])


@pytest.mark.parametrize("name", TAUGHT)
def test_a_perfect_copy_has_nothing_to_learn(name, make, batch):
    teacher, copy = network(2, 0), network(2, 1)
    copy.set_weights(teacher.get_weights())
    learned = terms(make(name, teacher=teacher, student=copy), batch[0], False)
    nothing = all(np.allclose(value, 0, atol=1e-6) for value in learned.values())
    assert nothing is not METHODS[name].teaches_copies, learned


def terms(model, images, training, labels=LABELS):
    """The method's terms, as NumPy."""
    images = ops.convert_to_tensor(images)
    step = Step(
        images,
        ops.convert_to_tensor(labels[: len(images)]),
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
    wanted = 0.7 * ops.convert_to_numpy(response.kd_loss(teacher, student, 3.0))
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
    student, teacher = network(1, 1), network(2, 0)
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
    teacher = network(2, 0)
    pair = [network(1, 1), network(1, 2)]
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
        (trainers.FitNet, {"hint_weight": -0.1}),
        (trainers.FitNet, {"representations": ("stem", "stem")}),
        (trainers.DKD, {"non_target_weight": -0.1}),
        (trainers.DIST, {"temperature": 0.0}),
        (trainers.CRD, {"contrast_temperature": 0.0}),
        (trainers.CRD, {"embedding_size": 0}),
    ],
)
def test_options_out_of_range_are_refused_by_name(method, options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`.*Received: "):
        method(**options)


def test_recalibrated_statistics_are_the_average_over_the_batches(batch):
    student = network(1, 1)
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


# Elsewhere the one with all kinds of losses: compiling takes long.
HALVED = METHODS if keras.backend.backend() == "tensorflow" else ["lit_adversarial"]


@pytest.mark.parametrize("name", HALVED)
def test_half_precision_computes_and_keeps_whole_weights(name, make, batch):
    student = network(1, 1, NARROWER.get(name, 4))
    model = make(name, student=student)
    with training.scope(model, "mixed_bfloat16"):
        logs = model.train_on_batch(*batch, return_dict=True)
        outputs = student(batch[0])
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs.values()} == {
        "bfloat16"
    }
    assert np.isfinite(list(logs.values())).all()
    assert {variable.dtype for variable in student.variables} == {"float32"}
