"""Synthetic examples: their share, their source, and the meaning of no label."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
from keras import ops

import trainers
from distill import config, data
from distill.data import augmentation, batches
from distill.data.synthetic import sources
from distill.runtime import errors
from distill.runtime.resume import resume
from distill.teach import generator, synthetic
from distill.teach.workspace import Workspace
from trainers import trainer
from trainers.losses import response

COUNT, SHAPE, CLASSES, BATCH = 24, (8, 8, 1), 3, 8
RNG = np.random.default_rng(0)
SPLIT = data.Split(
    RNG.uniform(0.1, 0.9, (COUNT, *SHAPE)).astype("float32"), np.arange(COUNT) % CLASSES
)
FLAT = SPLIT.inputs.reshape(COUNT, -1)


class Labeller:
    """A generator whose images are all of one grey: 1, 2 or 3 tenths by the label."""

    input = {"noise": np.zeros((1, 5))}  # noqa: RUF012

    def predict_on_batch(self, inputs):
        assert inputs["noise"].shape == (len(inputs["label"]), 5)
        grey = (inputs["label"] + 1) / 10 + 1e-6 * inputs["noise"][:, 0]
        return np.broadcast_to(grey[:, None, None, None], (len(grey), *SHAPE))


def teacher():
    """Surer of class 0 the brighter the first pixel is."""
    inputs = keras.Input(SHAPE)
    flat = keras.layers.Flatten(name="flat")(inputs)
    head = keras.layers.Dense(CLASSES, name="head")
    network = keras.Model(inputs, {"logits": head(flat)})
    kernel = np.zeros((64, CLASSES))
    kernel[0, 0] = 4
    head.set_weights([kernel, np.zeros(CLASSES)])
    return network


def confidence(images):
    powers = np.exp(4 * images.reshape(len(images), -1)[:, 0])
    return powers / (powers + 2)


KINDS = {
    "gan": sources.Gan,
    "munge": sources.Munge,
    "mixup": sources.Mixup,
}
MADE = {name: functools.partial(kind, p_fake=1.0) for name, kind in KINDS.items()}


def make(options=None, seed=0, **changes):
    mixture = None
    if options is not None:
        teacher = changes.pop("teacher", None)
        mixture = synthetic.mixture(
            options, SPLIT, generator=Labeller(), teacher=teacher
        )
    return batches.Batches(
        SPLIT,
        batch_size=BATCH,
        seed=seed,
        augmentation=augmentation.Augmentation(**changes),
        mixture=mixture,
    )


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_all_sources_are_tested():
    assert KINDS == sources.SOURCES


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("mix", ["batch", "part"])
def test_a_share_of_0_changes_nothing(name, mix):
    options = KINDS[name](p_fake=0.0, mix=mix)
    augmented = {"shift": 2, "flip": True}
    for step in range(5):
        plain = make(**augmented).batch(step)
        assert same(make(options, **augmented).batch(step), plain)
    assert synthetic.mixture(options, SPLIT, generator=None, teacher=None) is None
    assert synthetic.mixture(None, SPLIT, generator=None, teacher=None) is None


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("mix", ["batch", "part"])
def test_a_share_of_1_leaves_no_real_image(name, mix):
    for step in range(10):
        images, labels = make(MADE[name](mix=mix)).batch(step)
        assert images.dtype == np.float32
        assert images.min() >= 0
        assert images.max() <= 1
        assert list(labels) == [data.UNLABELLED] * BATCH
        for image in images:
            assert not (image == SPLIT.inputs).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize("mix", ["batch", "part"])
@pytest.mark.parametrize("name", KINDS)
def test_a_batch_does_not_depend_on_what_came_before(name, mix):
    options = KINDS[name](p_fake=0.4, mix=mix)
    source = make(options, shift=1)
    streamed = [source.batch(step) for step in range(12)]
    for step in (11, 0, 5):
        assert same(make(options, shift=1).batch(step), streamed[step])
    assert not same(make(options, seed=1, shift=1).batch(5), streamed[5])


def made_counts(**options):
    source = make(sources.Gan(**options))
    return [(source.batch(step)[1] < 0).sum() for step in range(300)]


def test_mix_part_replaces_a_part_of_every_batch():
    counts = made_counts(p_fake=0.3, mix="part")  # 2.4 of 8.
    assert set(counts) == {2, 3}
    assert np.mean(counts) == pytest.approx(2.4, abs=0.1)


def test_mix_batch_replaces_whole_batches_at_random():
    counts = made_counts(p_fake=0.3)
    assert set(counts) == {0, BATCH}
    assert np.mean(counts) == pytest.approx(2.4, abs=0.7)


def test_real_examples_that_stay_are_those_of_the_batch_without_mixture():
    options = sources.Gan(p_fake=0.5, mix="part")
    images, labels = make(options).batch(3)
    plain = make().batch(3)
    is_real = labels >= 0
    assert is_real.sum() == 4
    assert same((images[is_real], labels[is_real]), [part[is_real] for part in plain])


def test_generated_examples_have_the_classes_of_the_data_and_new_noise():
    images, _ = make(MADE["gan"]()).batch(3)
    assert list(np.round(images[:, 0, 0, 0] * 10)) == list(make().batch(3)[1] + 1)
    again, _ = make(MADE["gan"]()).batch(3 + COUNT // BATCH)
    assert len({*images[:, 0, 0, 0], *again[:, 0, 0, 0]}) == 2 * BATCH


def test_synthetic_and_real_examples_are_augmented_alike():
    options = sources.Gan(p_fake=0.5, mix="part")
    changes = augmentation.Augmentation(shift=2, flip=True)
    draws = changes.draw(BATCH, np.random.default_rng((0, 1, 4)))
    expected = changes(make(options).batch(4)[0], draws)
    shifted = make(options, shift=2, flip=True).batch(4)[0]
    np.testing.assert_array_equal(shifted, expected)
    assert not np.array_equal(shifted, make(options).batch(4)[0])


def test_munge_takes_pixels_of_the_nearest_neighbour():
    options = sources.Munge(p_fake=1.0, swap_probability=1.0, variance=1e30)
    images, _ = make(options).batch(0)
    for image, real in zip(images, make().batch(0)[0], strict=True):
        distances = np.square(FLAT - real.reshape(-1)).sum(-1)
        expected = FLAT[np.argsort(distances)[1]]
        np.testing.assert_allclose(image.reshape(-1), expected, rtol=1e-6)


def test_mixup_lies_between_two_images():
    images, _ = make(MADE["mixup"]()).batch(0)
    for image, real in zip(images, make().batch(0)[0], strict=True):
        # A straight line through the real one leads to another.
        way = (image - real).reshape(-1)
        others = FLAT - real.reshape(-1)
        norms = np.linalg.norm(others, axis=-1) * np.linalg.norm(way)
        cosines = others @ way / np.maximum(norms, 1e-9)
        assert cosines.max() == pytest.approx(1, abs=1e-4)
        nearest = others[cosines.argmax()]
        assert 0 < np.linalg.norm(way) < np.linalg.norm(nearest)


@pytest.mark.parametrize("mix", ["batch", "part"])
def test_only_confident_examples_replace_real_ones(mix):
    plain = make(MADE["mixup"](mix=mix)).batch(0)[0]
    bound = float(np.quantile(confidence(plain), 0.8))
    options = MADE["mixup"](mix=mix, min_confidence=bound)
    source = make(options, teacher=teacher())
    real = make()
    new_count = 0
    for step in range(6):
        images, labels = source.batch(step)
        new = labels < 0
        assert (confidence(images[new]) >= bound - 1e-5).all()
        expected = [part[~new] for part in real.batch(step)]
        assert same((images[~new], labels[~new]), expected)
        new_count += new.sum()
    assert 0.3 < new_count / (6 * BATCH) < 1  # Of four each, not only of one.
    impossible = make(MADE["gan"](min_confidence=0.999), teacher=teacher())
    assert same(impossible.batch(0), real.batch(0))


def learner(method):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SHAPE)
    flat = keras.layers.Flatten(name="flat")(inputs)
    logits = keras.layers.Dense(CLASSES, name="head")(flat)
    model = trainer.Trainer(
        student=keras.Model(inputs, {"logits": logits}),
        teacher=teacher(),
        method=method,
    )
    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
        run_eagerly=keras.backend.backend() != "jax",
        jit_compile=False,
    )
    return model


def test_unlabelled_examples_count_only_in_losses_of_the_teacher():
    images, labels = SPLIT.inputs[:6], SPLIT.labels[:6].copy()
    model = learner(trainers.KD(kd_weight=0.5, match="logits"))
    teacher_logits, student_logits = (
        ops.convert_to_numpy(part(images)["logits"])
        for part in (model.teacher, model.student)
    )
    powers = np.exp(student_logits)
    entropy = -np.log((powers / powers.sum(-1, keepdims=True))[range(6), labels])
    labels[2:] = data.UNLABELLED
    logs = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert logs["task_loss"] == pytest.approx(entropy[:2].sum() / 6, rel=1e-4)
    expected = 0.5 * np.square(teacher_logits - student_logits).sum(-1).mean() / 2
    assert logs["kd_loss"] == pytest.approx(expected, rel=1e-4)
    right = student_logits[:2].argmax(-1) == labels[:2]
    assert logs["accuracy"] == pytest.approx(right.mean())


def test_methods_get_the_teachers_class_of_unlabelled_examples():
    images, labels = SPLIT.inputs[:4], np.array([2, -1, 1, -1])
    model = learner(trainers.KD())
    labels_seen = []
    method = model.method
    method_terms = type(method).terms

    def terms(trainer, step):
        labels_seen.append(step.labels)
        return method_terms(method, trainer, step)

    object.__setattr__(method, "terms", terms)
    model.compute_loss(
        ops.convert_to_tensor(images), ops.convert_to_tensor(labels), model(images)
    )
    # The first pixel is bright: the teacher says 0.
    assert list(ops.convert_to_numpy(labels_seen[0])) == [2, 0, 1, 0]


def test_logits_are_matched_by_half_the_squared_distance():
    pair = RNG.normal(size=(2, 5, 4)).astype("float32")
    expected = [0.5 * sum((a - b) ** 2) for a, b in zip(*pair, strict=True)]
    np.testing.assert_allclose(response.logit_loss(*pair), expected, rtol=1e-5)


SMALL = [
    "generator.network={name: dense}",
    "generator.discriminator={name: dense}",
    "generator.epochs=2",
]


def load(*overrides):
    return config.load("gan_tsc_resnet.yaml", [*SMALL, *overrides])


@pytest.fixture(scope="module")
def splits():
    whole = load().data.load()
    return dataclasses.replace(whole, test=whole.validation)


@pytest.mark.parametrize(
    "change",
    [
        "seed=1",
        "batch_size=32",
        "generator.epochs=3",
        "generator.training.r1=0.1",
        "generator.network.options.noise=9",
        "generator.discriminator.options.dropout=0.5",
        "data.options.train_examples=200",
    ],
)
def test_what_determines_the_generator_changes_its_fingerprint(change, splits):
    assert generator.fingerprint(load(change), splits) != generator.fingerprint(
        load(), splits
    )
    for other in ("augmentation.flip=true", "stages.0.learning_rate=0.1"):
        assert generator.fingerprint(load(other), splits) == generator.fingerprint(
            load(), splits
        )


def test_a_generator_is_trained_once_on_the_training_split_alone(splits, tmp_path):
    rest = data.Split(np.full((1, *SHAPE), np.nan, "float32"), np.zeros(1, "int64"))
    blind = data.Splits(splits.train, rest, rest)
    network, records = generator.obtain(Workspace(load(), blind, tmp_path / "first"))
    assert [record["model"] for record in records] == ["generator"]
    assert len(records[0]["metrics"]["loss"]) == 2
    (home,) = (tmp_path / "generators").iterdir()
    (events,) = (home / "tensorboard" / "generator").iterdir()
    assert events.read_bytes().count(b"images/generated") == 2
    before = events.stat().st_mtime_ns
    again, same_records = generator.obtain(
        Workspace(load(), blind, tmp_path / "second")
    )
    assert same_records == records
    assert events.stat().st_mtime_ns == before
    for a, b in zip(network.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    sheet = generator.samples(again, 10)
    assert sheet.shape == (80, *SHAPE)


def test_a_generator_computes_in_the_precision_of_the_run(
    splits, tmp_path, monkeypatch
):
    seen = set()

    def fit(model, *_, **__):
        layers = (layer for layer in model._flatten_layers() if layer.weights)
        seen.update(layer.compute_dtype for layer in layers)
        return {}, 1.0

    monkeypatch.setattr(resume, "fit", fit)
    run = load("hardware.precision=mixed_bfloat16")
    generator.obtain(Workspace(run, splits, tmp_path / "run"))
    assert seen == {"bfloat16"}


def test_a_generator_that_no_stage_uses_is_not_trained(splits, tmp_path):
    run = load("stages.0.synthetic={name: mixup, options: {p_fake: 0.5}}")
    assert generator.obtain(Workspace(run, splits, tmp_path / "run")) == (None, [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.0.synthetic.options.p_fake=1.5", "`p_fake` must be in"),
        ("stages.0.synthetic.options.p_fake=-1", "`p_fake` must be in"),
        ("stages.0.synthetic.options.min_confidence=1", "`min_confidence` must be in"),
        ("stages.0.synthetic.options.mix=all", "expected one of batch, part"),
        ("stages.0.synthetic={name: gun, options: {p_fake: 0}}", "mean `gan`"),
        ("controls.1.stages.0.synthetic.options.variance=0", "`variance` must be"),
        (
            "controls.2.stages.0.synthetic.options={p_fake: 1, concentration: 0}",
            "`concentration` must be positive",
        ),
        ("stages.0.trainer={name: supervised}", "`synthetic` must be absent"),
        ("generator=null", "`generator` must be given"),
        ("generator.epochs=0", "`epochs` must be at least 1"),
        (
            "generator.network={name: dense, options: {activation: linear}}",
            "`generator.network`: `activation` must be sigmoid",
        ),
    ],
)
def test_wrong_options_are_refused_by_name(override, message):
    with pytest.raises(errors.ConfigError, match=message):
        load(override)
