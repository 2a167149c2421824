"""Kept answers are the teacher's own, to these examples in these variants."""

import dataclasses
import itertools
import shutil

import keras
import numpy as np
import pytest

import students
from distill import check, config, data, train
from distill.config import cache
from distill.data import augmentation, batches
from distill.runtime import errors
from distill.runtime.trust import loader
from distill.teach import assistants, stages
from distill.teach import fit as teach_fit
from distill.teach.cache import asking, replay, store
from distill.teach.cache import size as cache_size
from distill.teach.cache.layout import Layout
from distill.teach.workspace import Workspace

SMALL = [
    "data.options={train_examples: 63, validation_fraction: 0.2, test_fraction: 0.5}",
    "batch_size=16",
    "teacher.network={name: lenet}",
    "student={name: lenet}",
    "stages.0.epochs=3",
    "stages.0.learning_rate=0.01",
    "stages.1.epochs=3",
    "controls=[]",
    "finish=[]",
    "augmentation={shift: 1, flip: true, variants: 2}",
]
RUN = config.load("lit_resnet.yaml", [*SMALL, "teacher.cache=true"])
LIT, KD = RUN.stages


@pytest.fixture(scope="module")
def splits():
    return RUN.data.load()


def exact(seed=0):
    """A teacher whose sums are never rounded: no batch can change its answers."""
    network = students.LeNet().build((8, 8, 1), 10)
    rng = np.random.default_rng(seed)
    network.set_weights(
        [
            rng.choice([-0.5, 0.0, 0.5], w.shape, p=[0.05, 0.9, 0.05])
            for w in network.get_weights()
        ]
    )
    return network


@pytest.fixture(scope="module")
def teacher():
    return exact()


def said(network, images):
    found = network.predict(images, batch_size=len(images), verbose=0)
    return {name: np.array(values) for name, values in found.items()}


def test_the_exact_teacher_is_exact(teacher, splits):
    images = splits.train.floats()
    order = np.random.default_rng(0).permutation(len(images))
    for size in (1, 7, 16):
        part = said(teacher, images[order[:size]])
        for name, values in said(teacher, images).items():
            np.testing.assert_array_equal(values[order[:size]], part[name])
    assert len({row.tobytes() for row in said(teacher, images)["logits"]}) > 40


def learned(run, splits, folder, teacher):
    """Weights and metrics after all stages."""
    network, records = stages.train(
        "student", run.stages, Workspace(run, splits, folder), teacher=teacher
    )
    shown = [
        {k: v for k, v in r["metrics"].items() if k != "examples_per_second"}
        for r in records
    ]
    return [w.tobytes() for w in network.get_weights()], shown


def live(run):
    return dataclasses.replace(
        run, teacher=dataclasses.replace(run.teacher, cache=None)
    )


def test_kept_and_live_runs_end_in_the_same_bytes(splits, teacher, tmp_path):
    """LIT, then KD, from two teachers, who answer in two variants of each image."""
    both = assistants.average(teacher, [exact(1)], [0.3])
    wanted, shown = learned(live(RUN), splits, tmp_path / "live", both)
    assert not (tmp_path / cache_size.FOLDER).exists()
    assert len(set(shown[1]["kd_loss"])) == 3  # It goes on learning.
    actual, said = learned(RUN, splits, tmp_path / "kept", both)
    assert actual == wanted
    assert said == shown
    # Two variants and validation, for each stage.
    assert len(list(tmp_path.rglob("*.rows"))) == 3 * len(RUN.stages)


def ready(run, splits, folder, teacher, stage=KD):
    source = batches.Batches(
        splits.train, batch_size=run.batch_size, seed=5, augmentation=run.augmentation
    )
    return store.obtain(
        Workspace(run, splits, folder),
        source,
        stage,
        (teacher, teacher),
        run.teacher.cache,
    )


def test_each_batch_comes_with_what_the_teacher_says_of_it(teacher, splits, tmp_path):
    """Of every example in its own variant, also where one epoch meets the next."""
    taught, validation = ready(RUN, splits, tmp_path / "run", teacher, LIT)
    plain = batches.Batches(
        splits.train, batch_size=16, seed=5, augmentation=RUN.augmentation
    )
    for step, (given, labels) in zip(range(2, 9), taught.stream(2), strict=False):
        images, wanted = plain.batch(step)
        np.testing.assert_array_equal(given["inputs"], images)
        np.testing.assert_array_equal(labels, wanted)
        for name in ("logits", "stem", "section1"):
            live = said(teacher, images)[name]
            np.testing.assert_array_equal(given["taught"][name], live)
    whole = [validation[index] for index in range(len(validation))]
    logits = np.concatenate([given["taught"]["logits"] for given, _ in whole])
    labels = np.concatenate([part for _, part in whole])
    np.testing.assert_array_equal(labels, splits.validation.labels)
    live = said(teacher, splits.validation.floats())["logits"]
    np.testing.assert_array_equal(logits, live)


def test_what_is_predicted_is_what_is_written(teacher, splits, tmp_path):
    predicted = cache_size.check(RUN, splits, tmp_path / "run")
    assert [row[:2] for row in predicted] == [
        ("stages[0]", "logits, stem, section1"),
        ("stages[1]", "logits"),
    ]
    for (_, _, size), stage in zip(predicted, RUN.stages, strict=True):
        ready(RUN, splits, tmp_path / "run", teacher, stage)
        files = list(tmp_path.rglob("*.rows"))
        assert sum(file.stat().st_size for file in files) == size
        shutil.rmtree(tmp_path / cache_size.FOLDER)


def test_nobody_is_asked_twice_or_about_what_no_epoch_shows(
    teacher, splits, tmp_path, monkeypatch
):
    asked = []
    pack = Layout.pack

    def watched(self, said):
        asked.append(len(said["logits"]))
        return pack(self, said)

    monkeypatch.setattr(Layout, "pack", watched)
    short = dataclasses.replace(KD, epochs=1)
    training = [16] * 4
    validation = [64] * -(-len(splits.validation.labels) // 64)
    for stage, wanted in ((short, training + validation), (KD, training), (KD, [])):
        ready(RUN, splits, tmp_path / "run", teacher, stage)
        assert asked == wanted
        asked.clear()


def key(run, splits, teacher, names=("logits",)):
    shapes = [(name, tuple(teacher.output[name].shape[1:])) for name in names]
    layout = Layout(run.teacher.cache, tuple(shapes), None)
    identity = asking.Network(teacher, names).identity
    return store.fingerprint(run, splits, identity, layout)


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        ("augmentation.shift=2", True),
        ("augmentation.flip=false", True),
        ("batch_size=8", True),
        ("teacher.cache.precision=float16", True),
        ("augmentation.variants=5", False),
        ("teacher.cache.max_gb=5", False),
        ("seed=3", False),
        ("stages.0.epochs=9", False),
    ],
)
def test_what_decides_the_answers_changes_their_key(change, decides, splits, teacher):
    other = config.load("lit_resnet.yaml", [*SMALL, "teacher.cache={}", change])
    assert (key(other, splits, teacher) != key(RUN, splits, teacher)) == decides


def test_teacher_and_pixels_change_the_key(splits, teacher, tmp_path):
    before = key(RUN, splits, teacher)
    teacher.save(tmp_path / "teacher.keras")
    assert key(RUN, splits, loader.open_own(tmp_path / "teacher.keras")) == before
    assert key(RUN, splits, exact(1)) != before
    assert key(RUN, splits, teacher, ("logits", "stem")) != before
    text = teacher.get_config()
    (conv,) = [part for part in text["layers"] if part["name"] == "stem_conv"]
    conv["config"]["activation"] = "relu"
    bent = keras.Model.from_config(text)
    bent.set_weights(teacher.get_weights())
    assert key(RUN, splits, bent) != before
    inputs = splits.train.inputs.copy()
    inputs[7, 3, 3] += 1 / 16
    other = dataclasses.replace(splits.train, inputs=inputs)
    assert key(RUN, dataclasses.replace(splits, train=other), teacher) != before


def test_keeping_answers_leaves_the_teacher_alone(splits):
    from distill.teach import teacher

    plain = config.load("lit_resnet.yaml", [*SMALL, "augmentation.variants=null"])
    assert teacher.fingerprint(RUN, splits) == teacher.fingerprint(plain, splits)


def test_teachers_see_new_variants_in_every_epoch(splits, tmp_path, monkeypatch):
    seen = {}

    class Watched(batches.Batches):
        def __init__(self, *arguments, augmentation, **options):
            seen[len(seen)] = augmentation.variants
            super().__init__(*arguments, augmentation=augmentation, **options)

    def fit(learner, source, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages.batches, "Batches", Watched)
    monkeypatch.setattr(teach_fit, "fit", fit)
    for name, network in (("teacher", None), ("student", exact())):
        steps = RUN.teacher.stages if network is None else RUN.stages
        work = Workspace(live(RUN), splits, tmp_path)
        with pytest.raises(KeyboardInterrupt):
            stages.train(name, steps, work, teacher=network)
    assert seen == {0: None, 1: 2}


def layout(top_k=None, precision="float32", temperature=4.0, classes=7):
    shapes = (
        ("logits", (classes,)),
        ("co_logits", (2, classes)),
        ("co_weights", (2,)),
        ("stem", (3, 2)),
    )
    options = cache.Cache(top_k=top_k, precision=precision)
    return Layout(options, shapes, temperature)


def numbers(kept, count=5, scale=4.0):
    rng = np.random.default_rng(0)
    return {
        name: (scale * rng.normal(size=(count, *shape))).astype("float32")
        for name, shape in kept.shapes
    }


def softened(logits, temperature):
    powers = np.exp(logits.astype(float) / temperature)
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_what_is_kept_comes_back(precision):
    kept = layout(precision=precision)
    given = numbers(kept)
    back = kept.unpack(kept.pack(given))
    for name, values in given.items():
        exactly = precision == "float32" or name == "co_weights"
        wanted = values if exactly else values.astype(np.float16)
        np.testing.assert_array_equal(back[name], wanted)
    assert layout(precision="float16").dtype.itemsize < 0.6 * layout().dtype.itemsize


def test_a_number_beyond_half_precision_is_refused():
    kept = layout(precision="float16")
    with pytest.raises(errors.ConfigError, match=r"`stem` reaches 7e\+04"):
        kept.pack({**numbers(kept), "stem": np.full((5, 3, 2), 7e4, "float32")})


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("name", ["logits", "co_logits"])
def test_the_likeliest_classes_keep_their_softened_share(name, temperature):
    """The others keep theirs together, and each has as much of it."""
    kept = layout(top_k=3, temperature=temperature)
    given = numbers(kept)
    back = kept.unpack(kept.pack(given))
    wanted, found = (
        softened(said[name], temperature).reshape(-1, 7) for said in (given, back)
    )
    for whole, part in zip(wanted, found, strict=True):
        first = np.argsort(-whole)[:3]
        np.testing.assert_allclose(part[first], whole[first], rtol=1e-5)
        rest = np.delete(part, first)
        np.testing.assert_allclose(rest, rest.mean(), rtol=1e-5)
        np.testing.assert_allclose(rest.sum(), np.delete(whole, first).sum(), rtol=1e-4)
    np.testing.assert_array_equal(back["co_weights"], given["co_weights"])
    np.testing.assert_array_equal(back["stem"], given["stem"])


def test_few_of_many_classes_take_little_room():
    many = layout(top_k=5, classes=1000)
    names = [name for name in many.dtype.names if name.startswith("logits")]
    assert sum(many.dtype[name].itemsize for name in names) == 5 * (4 + 2) + 4
    back = many.unpack(many.pack(numbers(many)))
    assert back["logits"].shape == (5, 1000)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["augmentation.variants=null"], "`augmentation.variants` must be given with"),
        (
            ["stages.1.synthetic={name: mixup, options: {p_fake: 0.5}}"],
            r"`stages\[1\].synthetic` must be absent with `teacher.cache`: made",
        ),
        (["teacher.cache={top_k: 10}"], "`teacher.cache.top_k` must be less than"),
        (["teacher.cache={top_k: 0}"], "`top_k` must be at least 1"),
        (["teacher.cache={max_gb: 0}"], "`max_gb` must be positive"),
        (
            ["teacher.cache={top_k: 3}", "stages.1.trainer={name: dkd}"],
            r"`stages\[1\].trainer` must be one that sees logits through one softmax",
        ),
        (
            [
                "teacher.cache={top_k: 3}",
                "stages.1.trainer.options.logit_standardization=true",
            ],
            r"`stages\[1\].trainer` must be one",
        ),
        (
            [
                "co_teachers=[{network: {name: lenet}, cache: true, stages: [{trainer: "
                "{name: supervised}, epochs: 1}]}]"
            ],
            "`cache` must be absent: that of `teacher`",
        ),
        (["teacher.cache=3"], "expected keys and values. Received: 3"),
        (["augmentation={variants: 3}"], "`variants` must be absent without any"),
        (["augmentation={shift: 1, variants: 0}"], "`variants` must be at least 1"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_one_line(overrides, words):
    with pytest.raises(errors.ConfigError, match=words) as caught:
        config.load("lit_resnet.yaml", [*SMALL, "teacher.cache=true", *overrides])
    assert "\n" not in str(caught.value)


def test_true_means_all_options_and_false_none():
    for text, wanted in (("true", cache.Cache()), ("{}", cache.Cache()), ("no", None)):
        run = config.load("lit_resnet.yaml", [*SMALL, f"teacher.cache={text}"])
        assert run.teacher.cache == wanted


@pytest.mark.parametrize("command", [check, train])
def test_too_much_is_refused_before_anything_trains(command, tmp_path, capfd):
    flags = [f"--set={text}" for text in SMALL]
    flags += ["--config=lit_resnet.yaml", "--set=teacher.cache={max_gb: 1.0e-5}"]
    if command is train:
        flags += [f"--out={tmp_path / 'run'}"]
    assert command.main(flags) == 2
    (line,) = [x for x in capfd.readouterr().err.splitlines() if x[:6] == "error:"]
    for part in (
        "max_gb` is 1e-05",
        "`stages[0]` take",
        "GB (logits, stem, section1)",
        "float16",
    ):
        assert part in line
    assert not list(tmp_path.rglob("*.keras"))


def test_check_says_what_will_be_kept(capsys):
    flags = [f"--set={text}" for text in [*SMALL, "teacher.cache=true"]]
    assert check.main(["--config=lit_resnet.yaml", *flags]) == 0
    rows = [x.split() for x in capsys.readouterr().out.splitlines() if "logits" in x]
    assert ["stages[1]", "logits"] in [row[:2] for row in rows]


def test_a_full_disk_is_seen_before_and_what_is_there_counts(
    teacher, splits, tmp_path, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    real = shutil.disk_usage
    monkeypatch.setattr(cache_size.shutil, "disk_usage", lambda path: usage)
    for action in (
        lambda: cache_size.check(RUN, splits, tmp_path / "run"),
        lambda: ready(RUN, splits, tmp_path / "run", teacher),
    ):
        with pytest.raises(errors.ConfigError, match="has room for 1e-06 GB"):
            action()
    assert not list(tmp_path.rglob("*.rows"))
    monkeypatch.setattr(cache_size.shutil, "disk_usage", real)
    ready(RUN, splits, tmp_path / "run", teacher)
    monkeypatch.setattr(cache_size.shutil, "disk_usage", lambda path: usage)
    ready(RUN, splits, tmp_path / "run", teacher)  # All there: nothing is asked.


def test_a_batch_of_unlike_epochs_takes_each_answer_from_its_own_variant():
    kept = Layout(cache.Cache(), (("logits", (1,)),), None)
    rows = np.arange(12, dtype="float32").reshape(2, 6, 1)
    files = [kept.pack({"logits": part}) for part in rows]
    chosen, variants = np.array([5, 0, 3, 3]), np.array([0, 1, 1, 0])
    found = replay.Answers(kept, files).read(variants, chosen)["logits"]
    wanted = list(itertools.chain([5.0], [6.0], [9.0], [3.0]))
    assert found[:, 0].tolist() == wanted


def test_the_batch_behind_the_last_step_asks_for_nothing_that_is_not_kept():
    kept = Layout(cache.Cache(), (("logits", (1,)),), None)
    said = replay.Answers(kept, [kept.pack({"logits": np.ones((4, 1), "float32")})])
    images = np.zeros((4, 8, 8, 1), "float32")
    source = batches.Batches(
        data.Split(images, np.arange(4)),
        batch_size=2,
        seed=0,
        augmentation=augmentation.Augmentation(shift=1, variants=2),
    )
    # Of one epoch of two steps.
    stream = replay.TrainingBatches(source, [said]).stream(1)
    next(stream)
    next(stream)
