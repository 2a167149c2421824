"""A generator and its discriminator: whose loss is what, who moves whom, resume."""

import dataclasses
import typing

import graphs
import keras
import numpy as np
import pytest
from keras import ops
from stores import Everything, Only, Source, fitted

from gan import conditional, generators, losses, sizes
from trainers.generators import generator
from trainers.generators.acgan import ACGAN

CLASSES, BATCH, FEATURES = 3, 6, 4
RNG = np.random.default_rng(0)
REAL = RNG.uniform(0.5, 1, (BATCH, FEATURES)).astype("float32")
LABELS = np.array([0, 1, 2, 0, 1, 1])
NOISE = RNG.normal(size=(BATCH, 5)).astype("float32")
LAST = ACGAN(average=0.0)


def make(method=LAST, seed=0, dropout=0.0, eager=True):
    keras.utils.set_random_seed(seed)
    learner = generator.GeneratorTrainer(
        generator=generators.DenseGenerator(noise=5, units=(6,)).build(
            (FEATURES,), CLASSES
        ),
        discriminator=conditional.DenseClassifier(units=(7,), dropout=dropout).build(
            (FEATURES,), CLASSES
        ),
        method=method,
    )
    jax = keras.backend.backend() == "jax"
    learner.compile(
        optimizer=learner.sides(),
        run_eagerly=eager and not jax,
        jit_compile="auto" if jax else 0,
    )
    return learner


def weights(network):
    return [np.array(ops.convert_to_numpy(v)) for v in network.trainable_variables]


def same(before, after):
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def entropy(answers):
    logits = ops.convert_to_numpy(answers["logits"])
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return -np.log((powers / powers.sum(-1, keepdims=True))[range(BATCH), LABELS])


def softplus(x):
    return np.log1p(np.exp(x))


# Of a real score, of a made one, and what its maker pays.
FORMULAS = {
    "non_saturating": (
        lambda s: softplus(-s) + 0.1 * s,
        softplus,
        lambda s: softplus(-s),
    ),
    "hinge": (
        lambda s: np.maximum(1 - s, 0),
        lambda s: np.maximum(1 + s, 0),
        lambda s: -s,
    ),
    "least_squares": (lambda s: (s - 0.9) ** 2, lambda s: s**2, lambda s: (s - 1) ** 2),
    "wasserstein": (lambda s: -s, lambda s: s, lambda s: -s),
}


def test_every_kind_of_loss_is_an_option():
    hints = typing.get_type_hints(ACGAN)
    assert set(typing.get_args(hints["loss"])) == set(losses.KINDS) == set(FORMULAS)


@pytest.mark.parametrize("kind", FORMULAS)
def test_the_losses_are_their_formulas_and_sum_up(kind, monkeypatch):
    smoothing = 0.1 * (kind in losses.WITH_TARGETS)
    method = ACGAN(loss=kind, class_weight=0.7, label_smoothing=smoothing, r1=0.6)
    learner = make(method)
    monkeypatch.setattr(
        keras.random, "normal", lambda *_, **__: ops.convert_to_tensor(NOISE)
    )
    logs = learner.evaluate(REAL, LABELS, verbose=0, return_dict=True)
    generated = learner.generator({"noise": NOISE, "label": LABELS})
    on_real, on_made = learner.discriminator(REAL), learner.discriminator(generated)
    of_real, of_made, of_maker = FORMULAS[kind]
    scores = [ops.convert_to_numpy(part["score"]) for part in (on_real, on_made)]
    expected = {
        "real_loss": of_real(scores[0]),
        "made_loss": of_made(scores[1]),
        "class_loss": 0.7 * (entropy(on_real) + entropy(on_made)),
        "fooling_loss": of_maker(scores[1]),
        "made_class_loss": 0.7 * entropy(on_made),
        "r1_loss": 0.3 * np.square(slopes(learner.discriminator)).sum(-1),
    }
    for name, values in expected.items():
        assert logs[name] == pytest.approx(values.mean(), rel=1e-3, abs=1e-6), name
    got = {name for name in logs if name.endswith("_loss")}
    assert got == set(expected)
    assert logs["loss"] == pytest.approx(sum(logs[name] for name in got), rel=1e-5)
    # Wasserstein's scores have no zero of their own.
    middle = {"least_squares": 0.5, "wasserstein": np.mean(scores)}.get(kind, 0)
    assert logs["accuracy_on_real"] == pytest.approx((scores[0] > middle).mean())
    assert logs["accuracy_on_made"] == pytest.approx((scores[1] <= middle).mean())
    for name, answers in (("class", on_real), ("made_class", on_made)):
        right = ops.convert_to_numpy(answers["logits"]).argmax(-1) == LABELS
        assert logs[f"{name}_accuracy"] == pytest.approx(right.mean())


def slopes(network):
    """Of the score by each feature: one hidden layer of LeakyReLU."""
    kernel, bias = network.get_layer("hidden1").get_weights()
    head, _ = network.get_layer("score_head").get_weights()
    slope = np.where(REAL @ kernel + bias > 0, 1, sizes.SLOPE)
    return (slope * head[:, 0]) @ kernel.T


@pytest.mark.parametrize("side", ["generator", "discriminator"])
def test_each_sides_losses_move_it_alone_and_nothing_else_does(side):
    other = {"generator": "discriminator", "discriminator": "generator"}[side]
    whole, alone = make(), make()
    terms = getattr(alone, f"_{other}_terms")
    setattr(
        alone,
        f"_{other}_terms",
        lambda *arguments: {
            name: 0 * value for name, value in terms(*arguments).items()
        },
    )
    before = weights(getattr(alone, side)), weights(getattr(alone, other))
    for learner in (whole, alone):
        learner.train_on_batch(REAL, LABELS)
    assert not same(before[0], weights(getattr(alone, side)))
    assert same(before[1], weights(getattr(alone, other)))
    assert not same(before[1], weights(getattr(whole, other)))
    both = (weights(getattr(learner, side)) for learner in (whole, alone))
    for a, b in zip(*both, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="its graphs")
def test_no_sum_depends_on_the_threads():
    learner = make(dataclasses.replace(LAST, r1=0.3), eager=False)
    with graphs.optimized() as found:
        learner.train_on_batch(REAL, LABELS)
    assert any(node.op == "MatMul" for graph in found for node in graph.node)
    assert [name for graph in found for name in graphs.unsettled_sums(graph)] == []


def test_an_idle_generator_is_found_out():
    method = ACGAN(generator_learning_rate=1e-9, discriminator_learning_rate=0.05)
    learner = make(method, eager=False)
    for _ in range(60):
        learner.train_on_batch(REAL, LABELS)
    generated = learner.generator({"noise": NOISE, "label": LABELS})
    on_real, on_made = (
        learner.discriminator(part)["score"] for part in (REAL, generated)
    )
    on_real, on_made = map(ops.convert_to_numpy, (on_real, on_made))
    assert on_real.mean() > 0.5
    assert on_made.mean() < -0.5


def test_a_generator_learns_to_fool_and_to_make_the_class():
    method = ACGAN(generator_learning_rate=0.05, discriminator_learning_rate=1e-9)
    learner = make(method, eager=False)
    first = learner.train_on_batch(REAL, LABELS, return_dict=True)
    for _ in range(60):
        learner.train_on_batch(REAL, LABELS)
    learner.reset_metrics()
    last = learner.train_on_batch(REAL, LABELS, return_dict=True)
    for name in ("fooling_loss", "made_class_loss"):
        assert last[name] < first[name], name


def test_from_every_step_the_end_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "0")
    draws = keras.backend.backend() != "torch"  # There, dropout's state is torch's.
    options = {"method": ACGAN(average=0.9), "dropout": 0.3 * draws}
    store = Everything(tmp_path, "generator")
    end = fitted(make(**options), store, Source(REAL, LABELS))
    assert [moment.step for moment in store.moments] == [1, 2, 3, 4, 5]
    for moment in store.moments:
        assert (
            fitted(make(seed=1, **options), Only(moment), Source(REAL, LABELS)) == end
        )
    poorer = dataclasses.replace(
        store.moments[2],
        arrays={
            name: np.zeros_like(array)
            if name.endswith("seed_generator_state")
            else array
            for name, array in store.moments[2].arrays.items()
        },
    )
    assert fitted(make(seed=1, **options), Only(poorer), Source(REAL, LABELS)) != end


def test_what_is_kept_in_the_end_is_the_average():
    for average, moved in ((0.0, False), (0.9, True)):
        learner = make(ACGAN(average=average))
        learner.train_on_batch(REAL, LABELS)
        learner.train_on_batch(REAL, LABELS)
        before = weights(learner.generator), weights(learner.discriminator)
        learner.optimizer.finalize_variable_values(learner.trainable_variables)
        assert same(before[0], weights(learner.generator)) != moved
        assert same(before[1], weights(learner.discriminator))


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 13, 3), (28, 28, 1), (64, 64, 3)])
def test_images_of_any_size_lie_between_0_and_1_each_for_itself(shape):
    network = generators.ConvGenerator(width=2).build(shape, CLASSES)
    inputs = {
        "noise": RNG.normal(size=(4, 110)).astype("float32"),
        "label": np.array([0, 0, 1, 2]),
    }
    images = ops.convert_to_numpy(network(inputs, training=False))
    assert images.shape == (4, *shape)
    assert images.min() >= 0
    assert images.max() <= 1
    first = {name: values[:1] for name, values in inputs.items()}
    np.testing.assert_allclose(images[:1], network(first), rtol=1e-4, atol=1e-6)
    inputs["label"] = np.array([1, 0, 1, 2])
    assert not np.allclose(
        images[0], ops.convert_to_numpy(network(inputs))[0], atol=1e-3
    )
    answers = conditional.ConvClassifier(width=2).build(shape, CLASSES)(images)
    assert [answers[name].shape for name in ("score", "logits")] == [(4,), (4, CLASSES)]


def test_features_are_not_bounded():
    network = generators.DenseGenerator(activation="linear").build((2,), CLASSES)
    noise = 30 * RNG.normal(size=(50, 100)).astype("float32")
    features = ops.convert_to_numpy(
        network({"noise": noise, "label": np.zeros(50, "int32")})
    )
    assert features.shape == (50, 2)
    assert features.min() < 0
    assert features.max() > 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (ACGAN, {"class_weight": -0.1}),
        (ACGAN, {"r1": -0.1}),
        (ACGAN, {"r1": 0.0, "loss": "wasserstein"}),
        (ACGAN, {"label_smoothing": 1.0}),
        (ACGAN, {"label_smoothing": 0.1, "loss": "hinge"}),
        (ACGAN, {"average": 1.0}),
        (ACGAN, {"generator_learning_rate": 0.0}),
        (ACGAN, {"discriminator_learning_rate": -1.0}),
        (generators.ConvGenerator, {"noise": 0}),
        (generators.ConvGenerator, {"width": 0}),
        (generators.DenseGenerator, {"units": ()}),
        (conditional.ConvClassifier, {"dropout": 1.0}),
        (conditional.ConvClassifier, {"width": 0}),
        (conditional.DenseClassifier, {"units": (3, 0)}),
        (conditional.DenseClassifier, {"dropout": -0.1}),
    ],
)
def test_options_out_of_range_are_refused_by_name(kind, options):
    with pytest.raises(
        ValueError, match=f"`{next(iter(options))}` must be.*Received: "
    ):
        kind(**options)


def test_shapes_that_do_not_fit_are_refused():
    for part in (generators.ConvGenerator(), conditional.ConvClassifier()):
        for shape in ((7, 9, 1), (30,)):
            with pytest.raises(
                ValueError, match="at least 8 pixels a side; take `dense`"
            ):
                part.check_shape(shape)
        part.check_shape((8, 8, 1))
    with pytest.raises(ValueError, match="`activation` must be sigmoid"):
        generators.DenseGenerator(activation="linear").check_shape((8, 8, 1))
    generators.DenseGenerator(activation="linear").check_shape((30,))
