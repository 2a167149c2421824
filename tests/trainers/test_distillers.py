"""Distillers' terms are the papers' formulas, written out here in NumPy."""

import types

import keras
import numpy as np
import pytest
from keras import ops

import trainers
from gan import gradients
from trainers.losses import relation, response
from trainers.methods.supervised import Step

RNG = np.random.default_rng(0)
BATCH, CLASSES = 5, 4
LABELS = np.array([0, 1, 0, 3, 1])


def outputs(channels, seed):
    """What a network of that width says to a batch."""
    rng = np.random.default_rng(seed)
    shapes = {
        "stem": (6, 6, channels),
        "section1": (6, 6, channels),
        "section2": (3, 3, 2 * channels),
        "logits": (CLASSES,),
    }
    return {
        name: rng.normal(size=(BATCH, *shape)).astype("float32")
        for name, shape in shapes.items()
    }


TAUGHT, LEARNED = outputs(4, 1), outputs(4, 2)
NARROW = outputs(3, 3)


def shapes(said):
    """The same, as `check_shapes` is told it."""
    return {name: x.shape[1:] for name, x in said.items() if name != "logits"}


def terms(method, learned, taught=TAUGHT, companions=None):
    trainer = types.SimpleNamespace(companions=companions or {})
    step = Step(None, LABELS, taught, learned, False)
    found = method.terms(trainer, step)
    return {name: ops.convert_to_numpy(value) for name, value in found.items()}


def companions(method, learned):
    """Companions of a pair, with weights that nothing hides behind."""
    pair = [
        types.SimpleNamespace(
            output={name: keras.KerasTensor(x.shape) for name, x in said.items()}
        )
        for said in (TAUGHT, learned)
    ]
    made = method.companions(*pair)
    for part in made.values():
        part.set_weights([RNG.normal(size=w.shape) for w in part.get_weights()])
    return made


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def divergence(p, q):
    return (p * np.log(p / q)).sum(-1)


def length(x):
    return np.sqrt((x**2).sum(-1))


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=1e-6)


def test_fitnet_is_the_mean_squared_error_after_the_regressor():
    method = trainers.FitNet(kd_weight=0.0, hint_weight=0.5)
    made = companions(method, NARROW)
    assert set(made) == {"section1_regressor", "section2_regressor"}
    got = terms(method, NARROW, companions=made)
    for name in ("section1", "section2"):
        kernel, offset = made[f"{name}_regressor"].get_weights()
        error = NARROW[name] @ kernel + offset - TAUGHT[name]
        close(got[f"{name}_hint_loss"], 0.5 * (error**2).mean((1, 2, 3)))


def test_fitnet_needs_no_regressor_between_equal_widths():
    method = trainers.FitNet(representations=("stem",))
    assert companions(method, LEARNED) == {}
    got = terms(method, LEARNED)
    assert list(got) == ["kd_loss", "stem_hint_loss"]
    close(
        got["stem_hint_loss"], ((LEARNED["stem"] - TAUGHT["stem"]) ** 2).mean((1, 2, 3))
    )


def test_attention_transfer_compares_normalised_maps_of_squares():
    got = terms(trainers.AttentionTransfer(attention_weight=3.0), NARROW)
    for name in ("section1", "section2"):
        maps = []
        for said in (TAUGHT, NARROW):
            flat = (said[name] ** 2).sum(-1).reshape(BATCH, -1)
            maps.append(flat / length(flat)[:, None])
        close(got[f"{name}_attention_loss"], 3 * length(maps[0] - maps[1]) ** 2)


def test_similarity_preserving_is_the_frobenius_norm_over_the_squared_batch():
    got = terms(trainers.SimilarityPreserving(similarity_weight=7.0), NARROW)
    for name in ("section1", "section2"):
        grams = []
        for said in (TAUGHT, NARROW):
            rows = said[name].reshape(BATCH, -1)
            gram = rows @ rows.T
            grams.append(gram / np.linalg.norm(gram, axis=1, keepdims=True))
        norm = np.linalg.norm(grams[0] - grams[1])
        value = got[f"{name}_similarity_loss"]
        close(value.mean(), 7 * norm**2 / BATCH**2)
        close(value[2], 7 * ((grams[0] - grams[1])[2] ** 2).sum() / BATCH)


def huber(x, y):
    return 0.5 * (x - y) ** 2 if abs(x - y) <= 1 else abs(x - y) - 0.5


def test_relational_is_hubers_loss_of_distances_and_of_angles():
    got = terms(trainers.Relational(distance_weight=2.0, angle_weight=3.0), NARROW)
    assert list(got) == ["kd_loss", "section2_distance_loss", "section2_angle_loss"]
    pair = [10 * TAUGHT["section2"].mean((1, 2)), NARROW["section2"].mean((1, 2))]
    everyone = range(BATCH)
    distances, angles = [], []
    for rows in pair:
        apart = np.array([[np.linalg.norm(a - b) for b in rows] for a in rows])
        distances.append(apart / apart[apart > 0].mean())
        cube = np.zeros((BATCH,) * 3)
        for i, j, k in np.ndindex(cube.shape):
            if i not in (j, k):
                to_j, to_k = rows[j] - rows[i], rows[k] - rows[i]
                cube[i, j, k] = to_j @ to_k / length(to_j) / length(to_k)
        angles.append(cube)
    for i in everyone:
        rows = [huber(a, b) for a, b in zip(*(d[i] for d in distances), strict=True)]
        close(got["section2_distance_loss"][i], 2 * np.mean(rows))
        flat = [a[i].ravel() for a in angles]
        rows = [huber(a, b) for a, b in zip(*flat, strict=True)]
        close(got["section2_angle_loss"][i], 3 * np.mean(rows))


def test_hubers_loss_is_linear_from_one_on():
    """An example far from all others, for the student alone."""
    far = np.zeros((BATCH * 10, 1), "float32")
    far[0] = 1
    near = RNG.uniform(size=far.shape).astype("float32")
    distances = [np.abs(x - x.T) for x in (near, far)]
    taught, learned = (d / (d.sum() / d.size * 50 / 49) for d in distances)
    assert abs(taught - learned).max() > 1
    wanted = np.vectorize(huber)(taught, learned).mean(1)
    close(relation.distance_loss(near, far), wanted)


def test_dkd_is_two_parts_that_make_up_kd():
    method = trainers.DKD(target_weight=1.5, non_target_weight=2.5, temperature=3.0)
    got = terms(method, LEARNED)
    p, q = (softmax(said["logits"] / 3) for said in (TAUGHT, LEARNED))
    rows = np.arange(BATCH)
    true = [x[rows, LABELS] for x in (p, q)]
    binary = [np.stack([x, 1 - x], -1) for x in true]
    others = [
        np.array([np.delete(x[i], LABELS[i]) / (1 - x[i, LABELS[i]]) for i in rows])
        for x in (p, q)
    ]
    close(got["target_loss"], 1.5 * 9 * divergence(*binary))
    close(got["non_target_loss"], 2.5 * 9 * divergence(*others))
    whole = got["target_loss"] / 1.5 + (1 - true[0]) * got["non_target_loss"] / 2.5
    close(whole, response.kd_loss(TAUGHT["logits"], LEARNED["logits"], 3.0))


def test_dkd_of_very_sure_networks_is_finite_and_tells_how_sure():
    teacher, student = (np.array([[x, 0.0, 1.0]], "float32") for x in (90, 60))
    label = np.array([0])
    for part in response.decoupled_losses(teacher, student, label, 1.0):
        close(part, [0.0])
    wrong, _ = response.decoupled_losses(teacher, -student, label, 1.0)
    close(wrong, [60.0 + np.log(np.exp(0) + np.exp(-1))])


def test_dist_is_one_less_pearsons_correlation_over_rows_and_columns():
    method = trainers.DIST(
        inter_class_weight=1.5, intra_class_weight=2.5, temperature=2.0
    )
    got = terms(method, LEARNED)
    p, q = (softmax(said["logits"] / 2) for said in (TAUGHT, LEARNED))
    rows = [1 - np.corrcoef(p[i], q[i])[0, 1] for i in range(BATCH)]
    columns = [1 - np.corrcoef(p[:, j], q[:, j])[0, 1] for j in range(CLASSES)]
    close(got["inter_class_loss"], 1.5 * 4 * np.array(rows))
    close(got["intra_class_loss"].mean(), 2.5 * 4 * np.mean(columns))


def test_crd_tells_each_sides_own_from_other_classes_on_the_other():
    method = trainers.CRD(
        contrastive_weight=0.5, contrast_temperature=0.3, embedding_size=6
    )
    made = companions(method, NARROW)
    assert set(made) == {"section2_teacher_head", "section2_student_head"}
    got = terms(method, NARROW, companions=made)
    sides = []
    for side, said in (("teacher", TAUGHT), ("student", NARROW)):
        kernel, offset = made[f"section2_{side}_head"].get_weights()
        assert kernel.shape[-1] == 6
        embedded = said["section2"].mean((1, 2)) @ kernel + offset
        sides.append(embedded / length(embedded)[:, None])
    wanted = []
    for i in range(BATCH):
        total = 0.0
        for mine, theirs in (sides, sides[::-1]):
            powers = np.exp(mine[i] @ theirs.T / 0.3)
            total -= np.log(powers[i] / (powers[i] + powers[LABELS[i] != LABELS].sum()))
        wanted.append(0.5 * total)
    close(got["section2_contrastive_loss"], wanted)


def test_standardised_kd_is_the_papers():
    method = trainers.KD(kd_weight=9.0, temperature=2.0, logit_standardization=True)
    p, q = (
        softmax((z - z.mean(-1, keepdims=True)) / z.std(-1, keepdims=True) / 2)
        for z in (TAUGHT["logits"], LEARNED["logits"])
    )
    close(terms(method, LEARNED)["kd_loss"], 9 * 4 * divergence(p, q))
    louder = {**LEARNED, "logits": 5 * LEARNED["logits"] + 3}
    close(terms(method, louder)["kd_loss"], terms(method, LEARNED)["kd_loss"])


def standardized(x, axis):
    x = x - x.mean(axis, keepdims=True)
    return x / np.sqrt(np.square(x).sum(axis, keepdims=True))


@pytest.mark.parametrize(
    ("loss", "axis", "share"),
    [
        (relation.inter_class_loss, 1, 1),
        (relation.intra_class_loss, 0, BATCH / CLASSES),
    ],
    ids=["inter", "intra"],
)
def test_correlations_have_the_gradients_of_their_formulas(loss, axis, share):
    """Also where examples weigh differently."""
    taught, learned = (x["logits"].astype("float64") for x in (TAUGHT, LEARNED))
    weights = np.array([1.0, 0.0, 2.0, 0.5, 1.5])

    def formula(learned):
        difference = standardized(taught, axis) - standardized(learned, axis)
        return share / 2 * (weights @ np.square(difference)).sum()

    step = 1e-6 * np.eye(learned.size).reshape(-1, *learned.shape)
    wanted = [(formula(learned + x) - formula(learned - x)) / 2e-6 for x in step]
    values, slopes = gradients.with_gradient(
        lambda x: ops.cast(weights, "float32") * loss(ops.cast(taught, "float32"), x),
        ops.convert_to_tensor(LEARNED["logits"]),
    )
    close(ops.convert_to_numpy(values).sum(), formula(learned))
    close(ops.convert_to_numpy(slopes), np.reshape(wanted, learned.shape))


@pytest.mark.parametrize(
    "loss",
    [
        lambda t, s, _: response.attention_loss(t, s),
        lambda t, s, _: relation.similarity_loss(t, s),
        lambda t, s, _: relation.distance_loss(t[:, 0, 0], s[:, 0, 0]),
        lambda t, s, _: relation.angle_loss(t[:, 0, 0], s[:, 0, 0]),
        lambda t, s, _: relation.inter_class_loss(t[:, 0, 0], s[:, 0, 0]),
        lambda t, s, _: relation.intra_class_loss(t[:, 0, 0], s[:, 0, 0]),
        lambda t, s, _: response.kd_loss(
            response.standardized(t[:, 0, 0]), response.standardized(s[:, 0, 0]), 4.0
        ),
        lambda t, s, labels: relation.contrastive_loss(
            response.unit(s[:, 0, 0]), response.unit(t[:, 0, 0]), labels, 0.1
        ),
    ],
    ids=["attention", "similarity", "distance", "angle", "inter", "intra", "kd", "crd"],
)
def test_gradients_at_vectors_of_zeros_are_finite_and_small(loss):
    """All of them zero, one of them among others that are not, and one alone."""
    some = np.array(LEARNED["section1"])
    some[0] = 0
    for features in (np.zeros_like(some), some, some[:1], some[1:2]):
        taught = TAUGHT["section1"][: len(features)]
        labels = LABELS[: len(features)]
        value, gradient = gradients.with_gradient(
            lambda x, taught=taught, labels=labels: loss(taught, x, labels),
            ops.convert_to_tensor(features),
        )
        assert np.isfinite(ops.convert_to_numpy(value)).all()
        assert np.abs(ops.convert_to_numpy(gradient)).max() < 1e3


@pytest.mark.parametrize("method", [trainers.FitNet(), trainers.AttentionTransfer()])
def test_other_sizes_are_refused_by_name(method):
    smaller = {**shapes(LEARNED), "section2": (2, 2, 8)}
    with pytest.raises(ValueError, match=r"`section2`.*\(3, 3\).*\(2, 2\)"):
        method.check_shapes(shapes(TAUGHT), smaller)
    method.check_shapes(shapes(TAUGHT), shapes(NARROW))


@pytest.mark.parametrize("method", [trainers.FitNet, trainers.CRD])
def test_representations_that_are_not_there_are_refused(method):
    with pytest.raises(ValueError, match=r"stem, section1, section2.*Received: nine"):
        method(representations=("nine",)).check_shapes(shapes(TAUGHT), shapes(LEARNED))
    longer = {**shapes(LEARNED), "section3": (2, 2, 16)}
    with pytest.raises(ValueError, match=r"Received: .*section3"):
        method().check_shapes(shapes(TAUGHT), longer)
    with pytest.raises(ValueError, match="needs `representations`"):
        method().check_shapes({"stem": (6, 6, 4)}, {"stem": (6, 6, 4)})


def test_methods_that_relate_examples_take_any_size():
    smaller = {**shapes(LEARNED), "section2": (2, 2, 5)}
    for method in (trainers.SimilarityPreserving, trainers.Relational, trainers.CRD):
        method().check_shapes(shapes(TAUGHT), smaller)


def test_sections_come_in_the_order_of_their_numbers():
    """JAX sorts a dict by its keys."""
    names = ["logits", "section1", "section10", "section2", "stem"]
    assert trainers.FitNet().select(names) == ["section1", "section2", "section10"]
    assert trainers.CRD().select(names) == ["section10"]
