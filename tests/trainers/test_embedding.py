"""`embedding`: any features of a teacher, by name, and no labels."""

import re

import keras
import numpy as np
import pytest
from keras import ops

import students
import trainers
from trainers.trainer import Trainer

RNG = np.random.default_rng(0)
SHAPE, CLASSES, WIDTH = (8, 8, 1), 3, 5
X = RNG.uniform(size=(6, *SHAPE)).astype("float32")
Y = np.arange(6) % CLASSES
SHAPES = students.ResNet(depth=8, width=4).shapes(SHAPE)
VECTOR, TOKENS, MAP = (WIDTH,), (11, WIDTH), (3, 3, WIDTH)


def teacher(**shapes):
    """A network of linear maps to logits, and to outputs of these shapes."""
    keras.utils.set_random_seed(0)
    images = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(images)
    outputs = {"logits": keras.layers.Dense(CLASSES)(flat)}
    for name, shape in shapes.items():
        values = keras.layers.Dense(int(np.prod(shape)))(flat)
        outputs[name] = keras.layers.Reshape(shape)(values)
    return keras.Model(images, outputs)


def learner(method, taught):
    keras.utils.set_random_seed(1)
    student = students.ResNet(depth=8, width=4).build(SHAPE, CLASSES)
    made = Trainer(student=student, method=method, teacher=taught)
    made.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        loss_weights=method.task_weight,
        jit_compile=False,
        run_eagerly=True,
    )
    return made


def losses(made, labels=Y):
    """The terms as they are logged, and the student's and the teacher's outputs."""
    logs = made.evaluate(X, labels, verbose=0, return_dict=True)
    both = (made.student(X, training=False), made.teacher(X, training=False))
    return logs, *({k: ops.convert_to_numpy(v) for k, v in o.items()} for o in both)


def projected(made, name, features):
    kernel, offset = made.companions[f"{name}_projector"].get_weights()
    return features @ kernel + offset


def mixed(taught, mapped, share):
    lengths = [np.linalg.norm(x, axis=-1) for x in (taught, mapped)]
    cosine = (taught * mapped).sum(-1) / np.prod(lengths, 0)
    error = np.abs(taught - mapped)
    smooth = np.where(error < 1, error**2 / 2, error - 0.5)
    return (1 - share) * (1 - cosine).mean() + share * smooth.mean()


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(
    ("shape", "skipped"), [(VECTOR, 0), (MAP, 0), (TOKENS, 2), (TOKENS, 0)]
)
def test_the_pooled_features_are_compared_through_a_projector(shape, skipped, share):
    method = trainers.Embedding(
        embedding="pooler",
        embedding_weight=0.7,
        leading_tokens=skipped,
        smooth_l1_share=share,
    )
    made = learner(method, teacher(pooler=shape))
    logs, learned, taught = losses(made)
    features = taught["pooler"][:, skipped:] if skipped else taught["pooler"]
    features = features.reshape(6, -1, WIDTH).mean(1)
    mapped = projected(made, "embedding", learned["section3"].mean((1, 2)))
    wanted = 0.7 * mixed(features, mapped, share)
    assert logs["embedding_loss"] == pytest.approx(wanted, rel=1e-4)
    assert "patch_loss" not in logs


def doubled(maps):
    """Bilinear interpolation from 2 x 2 to 4 x 4 positions, between their centers."""
    rows = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    return np.einsum("ai,bj,nijc->nabc", rows, rows, maps)


@pytest.mark.parametrize("form", ["map", "tokens", "as large"])
def test_patches_are_compared_position_by_position(form):
    shape = {"map": (4, 4, WIDTH), "tokens": (17, WIDTH), "as large": (2, 2, WIDTH)}
    method = trainers.Embedding(
        embedding_weight=0.0,
        patch_weight=0.5,
        patches="hidden",
        leading_tokens=int(form == "tokens"),
        smooth_l1_share=0.1,
    )
    made = learner(method, teacher(hidden=shape[form]))
    logs, learned, taught = losses(made)
    maps, patches = learned["section3"], taught["hidden"]
    if form == "tokens":
        patches = patches[:, 1:].reshape(6, 4, 4, WIDTH)
    mapped = projected(made, "patches", maps if form == "as large" else doubled(maps))
    wanted = 0.5 * mixed(patches, mapped, 0.1)
    assert logs["patch_loss"] == pytest.approx(wanted, rel=1e-4)


def test_the_last_sections_are_compared_where_no_name_is_given():
    taught = teacher(section2=MAP, section10=VECTOR, sections=VECTOR)
    made = learner(trainers.Embedding(), taught)
    logs, learned, said = losses(made)
    mapped = projected(made, "embedding", learned["section3"].mean((1, 2)))
    wanted = mixed(said["section10"], mapped, 0.0)
    assert logs["embedding_loss"] == pytest.approx(wanted, rel=1e-4)


def test_no_label_teaches():
    """Neither a true one nor its absence changes a weight."""
    weights = []
    for labels in (Y, (Y + 1) % CLASSES, np.full(6, -1)):
        made = learner(trainers.Embedding(), teacher(section1=VECTOR))
        made.fit(X, labels, verbose=0, shuffle=False)
        weights.append([weight.tobytes() for weight in made.student.get_weights()])
    assert weights[0] == weights[1] == weights[2]


def test_training_turns_the_features_towards_the_teachers():
    made = learner(
        trainers.Embedding(patch_weight=1.0, patches="hidden"),
        teacher(section1=VECTOR, hidden=MAP),
    )
    names = ("embedding_loss", "patch_loss")
    before, *_ = losses(made)
    made.fit(X, Y, epochs=30, verbose=0)
    after, *_ = losses(made)
    assert all(after[name] < 0.8 * before[name] for name in names), (before, after)


REFUSED = {
    "no such output": (
        {"embedding": "pooler"},
        {"section1": MAP, "cls": VECTOR},
        "`embedding`.*section1, cls.*Received: pooler",
    ),
    "no section": ({}, {}, "`embedding`.*none but the logits"),
    "too many axes": ({"embedding": "clip"}, {"clip": (2, *MAP)}, "`embedding`.*clip"),
    "no square": (
        {"patch_weight": 1.0, "patches": "hidden"},
        {"section1": MAP, "hidden": TOKENS},
        r"`patches`.*square.*\(11, 5\)",
    ),
    "a vector of patches": (
        {"patch_weight": 1.0, "patches": "cls"},
        {"section1": MAP, "cls": VECTOR},
        r"`patches`.*\(5,\)",
    ),
    "no tokens": (
        {"leading_tokens": 1},
        {"section1": MAP},
        r"`leading_tokens` must be 0.*Received: 1.*\(3, 3, 5\)",
    ),
    "too few tokens": (
        {"leading_tokens": 11},
        {"section1": TOKENS},
        "`leading_tokens`.*fewer.*Received: 11",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_features_that_do_not_fit_are_refused_by_name(name):
    options, shapes, said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        trainers.Embedding(**options).check_shapes(shapes, SHAPES)


def test_a_student_without_a_map_has_no_patches():
    """As a network for texts, whose positions are in one row."""
    both = {"section1": (4, 4, WIDTH)}, {"section1": (16, 4)}
    trainers.Embedding().check_shapes(*both)
    with pytest.raises(ValueError, match=re.escape("(16, 4)")):
        trainers.Embedding(patch_weight=1.0).check_shapes(*both)
    with pytest.raises(ValueError, match="needs a student with a section"):
        trainers.Embedding().check_shapes(both[0], {"stem": (8, 8, 4)})


@pytest.mark.parametrize(
    "options", [{"smooth_l1_share": 1.1}, {"leading_tokens": -1}, {"patch_weight": -1}]
)
def test_options_out_of_range_are_refused_by_name(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}`.*Received: "):
        trainers.Embedding(**options)
