"""Any functional Keras model becomes a network under the contract."""

import dataclasses
import functools
import hashlib
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops
from taught import taught

import students
import trainers
from distill import config, data, train
from distill.run import training
from distill.runtime import errors, hashes
from distill.runtime.trust import loader
from distill.teach import teacher
from distill.teach.networks import build, checks, cuts, files
from students.keras_models import flat, pairing
from students.keras_models.graph import Graph, names
from trainers import trainer

SHAPE, CLASSES = (8, 8, 1), 10
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(6, *SHAPE)).astype("float32")
CUTS = ["stem_relu", "sum", "halved_relu"]
LIT = "stages=[{trainer: {name: lit}, epochs: 1}]"


def toy(end="softmax", shape=SHAPE):
    """A model with a branch, a model inside, and one map of half the size."""
    given = keras.Input(shape)
    x = layers.Conv2D(4, 3, padding="same", name="stem_conv")(given)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    y = layers.Conv2D(4, 3, padding="same", name="branch_conv")(x)
    y = layers.BatchNormalization(name="branch_norm")(y)
    inside = keras.Model(given, layers.Add(name="sum")([x, y]), name="inside")
    images = keras.Input(shape, name="pixels")
    x = inside(images, training=False)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="halved_conv")(x)
    x = layers.ReLU(name="halved_relu")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dense(CLASSES, activation=end, name="answer")(x)
    return keras.Model(images, x, name="toy")


@functools.cache
def built():
    keras.utils.set_random_seed(0)
    made = toy()
    for variable in made.weights:  # No statistic or offset stays at a telling 0 or 1.
        noise = RNG.uniform(-0.2, 0.2, variable.shape)
        variable.assign(ops.convert_to_numpy(variable) + noise)
    return made


def graph(model=None):
    return Graph(flat.flatten(model or built(), SHAPE))


def cut(model=None, names=CUTS):
    found = graph(model)
    return found.cut(found.places(names))


def numbers(model, images=IMAGES):
    outputs = model(images, training=False)
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def path_of(folder, model=None):
    path = folder / "mine.keras"
    (model or built()).save(path)
    return path


def load(*overrides):
    """A run whose student is a native network of the same sizes."""
    small = [
        "data.options.train_examples=200",
        "batch_size=12",
        "student.options.width=4",
        "controls=[]",
        "finish=[]",
        "stages=[{trainer: {name: kd}, epochs: 1}]",
    ]
    return config.load("lit_resnet.yaml", [*small, *overrides])


def given(path, sections="auto"):
    return f"teacher={{file: {path}, sections: {sections}}}"


def a_file(path, sections="auto", role="student"):
    options = f"{{path: {path}, sections: {sections}}}"
    return f"{role}={{name: keras_file, options: {options}}}"


# Cutting.


def test_the_cut_model_has_the_layers_and_the_answers_of_the_original():
    made = cut()
    assert list(made.output) == ["stem", "section1", "section2", "logits"]
    weights = {id(variable) for variable in made.weights}
    kept = [v for v in built().weights if "answer" not in v.path]
    assert {id(variable) for variable in kept} < weights
    answers = numbers(made)
    logits = answers["logits"]
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    wanted = powers / powers.sum(-1, keepdims=True)
    np.testing.assert_allclose(numbers(built()), wanted, rtol=1e-5, atol=1e-7)
    inner = keras.Model(
        built().get_layer("inside").input, built().get_layer("inside").output
    )
    np.testing.assert_array_equal(answers["section1"], numbers(inner))


def test_a_section_maps_any_tensor_and_one_representation_to_the_next():
    made = cut()
    answers = numbers(made)
    for before, name in itertools.pairwise(["stem", "section1", "section2"]):
        section = made.get_layer(name)
        assert isinstance(section, keras.Model)
        np.testing.assert_array_equal(numbers(section, answers[before]), answers[name])
    other = RNG.normal(size=(2, 8, 8, 4)).astype("float32")
    assert numbers(made.get_layer("section2"), other).shape == (2, 4, 4, 8)


def test_a_cut_model_that_is_saved_and_opened_is_the_same(tmp_path):
    made = cut()
    made.save(tmp_path / "cut.keras")
    copy = loader.open_own(tmp_path / "cut.keras")
    for name, value in numbers(made).items():
        np.testing.assert_array_equal(numbers(copy)[name], value)
    assert [layer.name for layer in copy.layers] == [x.name for x in made.layers]
    names = json.dumps(made.get_config())
    assert not re.search("keras_tensor_[0-9]+CLONE", names)  # Counts the process.


def test_the_images_themselves_may_be_the_stem(tmp_path):
    found = graph()
    made = found.cut({"stem": found.before_kernels(), "section2": found.find("sum")})
    made.save(tmp_path / "cut.keras")
    for model in (made, loader.open_own(tmp_path / "cut.keras")):
        answers = numbers(model)
        np.testing.assert_array_equal(answers["stem"], IMAGES)
        section = numbers(model.get_layer("section2"), IMAGES)
        np.testing.assert_array_equal(section, answers["section2"])
        np.testing.assert_array_equal(answers["logits"], numbers(cut())["logits"])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["branch_norm"], "branch_norm, over which stem_relu -> sum jumps"),
        (["branch_conv"], "branch_conv, over which stem_relu -> sum jumps"),
        (["inside"], "inside, which is called 0 times"),
        (["sum", "stem_relu"], "sum, stem_relu; expected stem_relu, sum"),
    ],
)
def test_a_model_that_cannot_be_cut_there_is_refused(names, said):
    with pytest.raises(ValueError, match=f"^`sections` must .*{re.escape(said)}"):
        cut(names=names)


def test_a_layer_in_two_sections_is_refused():
    images = keras.Input(SHAPE)
    twice = layers.Conv2D(1, 3, padding="same", name="twice")
    x = layers.ReLU(name="between")(twice(images))
    x = layers.Flatten()(twice(x))
    model = keras.Model(images, layers.Dense(CLASSES)(x))
    with pytest.raises(ValueError, match="between, on both sides of which twice"):
        cut(model, ["between"])
    with pytest.raises(ValueError, match="twice, which is called 2 times"):
        cut(model, ["twice"])


def test_a_layer_with_the_name_of_a_section_is_refused():
    images = keras.Input(SHAPE)
    x = layers.Conv2D(2, 3, name="one")(images)
    x = layers.Conv2D(2, 3, name="section1")(x)
    x = layers.Dense(CLASSES)(layers.Flatten()(x))
    with pytest.raises(ValueError, match=r"named as a section\. Received: section1"):
        cut(keras.Model(images, x), ["one", "section1"])


def ends(end):
    """What an end makes of the same model; its last layer may be the softmax alone."""
    if end == "softmax layer":
        model = toy(None)
        return keras.Model(model.input, layers.Softmax()(model.output))
    if end == "softmax activation":
        model = toy(None)
        return keras.Model(model.input, layers.Activation("softmax")(model.output))
    return toy(end)


@pytest.mark.parametrize("end", [None, "softmax layer", "softmax activation"])
def test_logits_are_what_comes_before_a_softmax(end):
    model = ends(end)
    logits = numbers(flat.flatten(model, SHAPE))
    wanted = numbers(model)
    if end is not None:
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        logits = powers / powers.sum(-1, keepdims=True)
    np.testing.assert_allclose(logits, wanted, rtol=1e-5)


def two_inputs():
    pair = [keras.Input(SHAPE, name=name) for name in ("left", "right")]
    return keras.Model(pair, layers.Dense(2)(layers.Flatten()(layers.Add()(pair))))


def two_outputs():
    images = keras.Input(SHAPE)
    return keras.Model(images, [layers.Flatten()(images), layers.ReLU()(images)])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (two_inputs, "must take one input. Received: 2, left, right"),
        (two_outputs, "must return one tensor, or a dict with `logits`.*2 outputs"),
        (lambda: toy("sigmoid"), "answer, which ends in sigmoid"),
        (lambda: toy(shape=(9, 8, 1)), r"shape \(8, 8, 1\). Received.*\(9, 8, 1\)"),
        (lambda: keras.Sequential([layers.ReLU()]), "must be functional"),
    ],
)
def test_what_is_no_network_of_one_input_is_refused(make, said):
    with pytest.raises(ValueError, match=said) as caught:
        flat.flatten(make(), SHAPE)
    assert "\n" not in str(caught.value)


# Where a model may well be cut.


def inverted():
    """Narrow maps between blocks that widen first, with padding of its own."""
    images = keras.Input((16, 16, 1))
    x = layers.Rescaling(2.0, -1.0, name="scaled")(images)
    x = layers.Conv2D(4, 3, padding="same", name="first")(x)
    x = layers.ReLU(name="first_relu")(x)
    x = layers.Conv2D(3, 1, name="narrow")(x)
    x = layers.Conv2D(18, 1, name="widen")(x)
    x = layers.ReLU(name="widen_relu")(x)
    x = layers.ZeroPadding2D(1, name="pad")(x)
    x = layers.DepthwiseConv2D(3, 2, name="halve")(x)
    x = layers.Conv2D(5, 1, name="narrow_again")(x)
    x = layers.BatchNormalization(name="norm_again")(x)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    return Graph(flat.flatten(keras.Model(images, x), (16, 16, 1)))


def test_proposals_are_narrow_maps_of_sizes_that_shrink():
    made = inverted()
    named = [[made.names[i] for i in row] for row in made.proposals()]
    assert named == [["narrow"], ["norm_again"]]
    assert made.names[made.before_kernels()] == "scaled"


def test_an_application_is_cut_at_the_ends_of_its_blocks():
    part = students.KerasApplication(model="MobileNetV2", alpha=0.35)
    whole = part.whole((32, 32, 1), CLASSES, None)
    made = Graph(whole)
    ends = [row[-1] for row in made.proposals()]
    assert [made.names[index] for index in ends] == [
        "expanded_conv_project_BN",
        "block_2_add",
        "block_5_add",
        "block_12_add",
        "block_16_project_BN",
    ]
    network = made.cut(dict(zip(names(5), ends, strict=True)))
    images = RNG.uniform(size=(2, 32, 32, 1)).astype("float32")
    np.testing.assert_array_equal(
        numbers(network, images)["logits"], numbers(whole, images)
    )
    assert network.output["logits"].shape == (None, CLASSES)
    scaled = keras.Model(whole.input, made.tensors[made.before_kernels()])
    wanted = np.repeat(2 * images - 1, 3, axis=-1)
    np.testing.assert_allclose(numbers(scaled, images), wanted, atol=1e-6)
    norm = whole.get_layer("bn_Conv1")
    assert norm.momentum == 0.9
    kernels = [v for v in whole.trainable_variables if v.path.endswith("kernel")]
    wanted = sum(
        5e-5 * np.sum(np.square(ops.convert_to_numpy(kernel)))
        for kernel in kernels
        if "preprocessing" not in kernel.path
    )
    assert float(sum(whole.losses)) == pytest.approx(wanted, rel=1e-4)


# Pairing.


class Fake:
    """A graph of which only sizes are known: channels count up."""

    def __init__(self, *rows):
        self.sizes = [size for size, count in rows for _ in range(count)]
        self.rows = rows

    def proposals(self):
        indices = iter(range(1, 1 + len(self.sizes)))
        return [[next(indices) for _ in range(count)] for _, count in self.rows]

    def shape(self, index):
        return (*self.sizes[index - 1], index)

    def before_kernels(self):
        return 0


@pytest.mark.parametrize(
    ("rows", "other", "wanted"),
    [
        (  # The last of each size, with the other's names.
            [((8, 8), 2), ((4, 4), 3)],
            {"stem": (8, 8, 4), "section1": (4, 4, 4)},
            {"stem": 2, "section1": 5},
        ),
        (  # Several of one size: spread evenly, the last on the last.
            [((4, 4), 6)],
            {"stem": (4, 4, 1), "section1": (4, 4, 1), "section2": (4, 4, 1)},
            {"stem": 2, "section1": 4, "section2": 6},
        ),
        (  # More names than places: the last ones.
            [((4, 4), 1)],
            {"stem": (8, 8, 1), "section1": (4, 4, 1), "section2": (4, 4, 1)},
            {"stem": 0, "section2": 1},
        ),
        ([((4, 4), 1)], {"stem": (8, 8, 1)}, {}),
    ],
)
def test_cuts_take_the_names_of_what_they_pair_with(rows, other, wanted):
    assert pairing.beside(Fake(*rows), other) == wanted


def test_two_automatic_networks_pair_the_sizes_that_both_have():
    one = Fake(((16, 16), 1), ((8, 8), 2), ((4, 4), 1))
    two = Fake(((8, 8), 1), ((5, 5), 1), ((4, 4), 2))
    assert pairing.together(one, two) == [
        {"stem": 3, "section1": 4},
        {"stem": 1, "section1": 4},
    ]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The toy as a file: one path for all, since each new one is opened apart."""
    return path_of(tmp_path_factory.mktemp("file"))


def test_the_table_names_layers_and_shapes_of_both(file):
    rows = checks.check_pairs(load(given(file)))
    assert rows == [
        ("stem", "stem_relu", (8, 8, 4), None, (8, 8, 4)),
        ("section1", "sum", (8, 8, 4), None, (8, 8, 4)),
        ("section2", "halved_relu", (4, 4, 8), None, (4, 4, 8)),
        ("section3", None, None, None, (2, 2, 16)),
    ]
    assert "halved_relu" in checks.pairs_table(rows)
    assert checks.check_pairs(load()) is None  # The config has told all of it.


def test_a_student_takes_the_names_of_its_teacher_and_two_files_agree(file):
    teachers = ["teacher.network.options.width=4", "teacher.stages.0.epochs=1"]
    found = cuts.places(load(*teachers, "student.name=resnet", a_file(file)))
    assert list(found) == ["student"]
    assert list(found["student"]) == ["stem", "section1", "section2"]
    both = cuts.places(load(given(file), a_file(file)))
    assert both["teacher"] == both["student"]
    assert list(both["teacher"]) == ["stem", "section1"]
    named = cuts.places(load(given(file, "[sum, halved_relu]"), a_file(file)))
    assert named["teacher"] == named["student"]
    assert list(cuts.places(load(given(file, "[]")))["teacher"]) == []


def test_each_student_of_a_file_starts_as_the_file(file):
    """Training one must not move what the next control starts from."""
    run = load(given(file), a_file(file))
    first, second = build.build("student", run), build.build("control", run)
    for a, b in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a is not b
    weights = dict.fromkeys(v.path.split("/")[-2] for v in first.weights)
    assert list(weights)[-1] == "answer"
    np.testing.assert_allclose(
        first.get_layer("answer").get_weights()[0],
        built().get_layer("answer").get_weights()[0],
    )


def test_the_gradient_reaches_every_section():
    student = keras.models.clone_model(cut())
    learner = trainer.Trainer(
        student=student,
        method=trainers.FitNet(hint_weight=1.0, kd_weight=0.0),
        teacher=cut(),
    )
    learner.compile(
        optimizer=learner.sides(keras.optimizers.SGD(0.1)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
        jit_compile=False,
    )
    before = {v.path: np.array(v) for v in student.trainable_variables}
    learner.train_on_batch(IMAGES, np.arange(6))
    for variable in student.trainable_variables:
        if variable.path.endswith("kernel"):
            now = ops.convert_to_numpy(variable)
            assert not np.array_equal(before[variable.path], now), variable.path
    assert len({path.split("/")[-2] for path in before}) == 6


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that process")
def test_cuts_answer_and_learn_on_jax_too():
    """The backend is chosen when Keras is imported, so by a process of its own."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed: pip install -e '.[jax]'")
    chosen = "the_original or a_section_maps or gradient or two_sections"
    flags = ["-q", "-p", "no:cacheprovider", "-k", chosen]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, __file__],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "4 passed" in done.stdout


# Errors and trust: one line, before anything is trained.


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["[branch_norm]"], "`teacher.file`: `sections` must .*stem_relu -> sum jumps"),
        (
            ["auto", "student.options.width=5", LIT],
            r"`student`: LIT needs .*Pairs: stem \(8, 8, 4\) \(8, 8, 5\)",
        ),
        (["auto", "data={name: mnist}"], r"`teacher.file`: must take .*\(28, 28, 1\)"),
        (["auto", "data={name: cifar100}"], "`teacher.file`: must take "),
    ],
)
def test_what_does_not_fit_is_one_line_and_trains_nothing(changes, said, file):
    sections, *others = changes
    with pytest.raises(errors.ConfigError, match=said) as caught:
        checks.check_pairs(load(given(file, sections), *others))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classes": 3}, r"to 3 classes. Received: a network that makes \(10,\)"),
        ({"model": "bytes"}, r"in \[0, 1\].*to_unit, multiplies them by 0.00392"),
    ],
)
def test_a_file_that_is_made_for_other_data_is_refused(options, said, file):
    images = keras.Input(SHAPE)
    x = layers.Rescaling(1 / 255, name="to_unit")(images)
    for_bytes = keras.Model(images, layers.Dense(CLASSES)(layers.Flatten()(x)))
    model = for_bytes if options.get("model") else built()
    part = students.KerasFile(path=str(file))
    with pytest.raises(ValueError, match=said):
        part.whole(SHAPE, options.get("classes", CLASSES), lambda *_: model)


def test_a_file_under_no_contract_says_how_it_may_be_given(file):
    run = load(f"teacher={{file: {file}}}")
    with pytest.raises(errors.ConfigError, match=r"set `teacher\.sections: auto`"):
        teacher.open_given(run)


def test_the_files_hash_and_the_cuts_decide_a_kept_teacher(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "open_file", lambda *_: built())
    options = "stages: [{trainer: {name: supervised}, epochs: 1}]"
    part = f"{{name: keras_file, options: {{path: {tmp_path / 'mine.keras'}}}}}"
    path = path_of(tmp_path)
    run = load(f"teacher={{network: {part}, {options}}}")
    splits = run.data.load()
    before = teacher.fingerprint(run, splits)
    other = dataclasses.replace(
        run, student=students.ResNet(depth=8, width=4, weight_decay=0.0)
    )
    assert teacher.fingerprint(other, splits) == before
    shallow = dataclasses.replace(run, student=students.LeNet())
    assert teacher.fingerprint(shallow, splits) != before
    assert dict(training.ground(run, splits))["teacher file"] == hashes.file_hash(path)
    path.write_bytes(path.read_bytes() + b"\0")
    assert teacher.fingerprint(run, splits) != before


def test_a_file_of_another_hash_or_with_code_inside_is_not_opened(file, tmp_path):
    wrong = hashlib.sha256(b"").hexdigest()
    run = load(f"teacher={{file: {file}, sections: auto, sha256: {wrong}}}")
    with pytest.raises(errors.Untrusted, match="has SHA-256"):
        checks.check_pairs(run)
    images = keras.Input(SHAPE)
    x = layers.Lambda(lambda x: x)(images)
    model = keras.Model(images, layers.Dense(CLASSES)(layers.Flatten()(x)))
    path = path_of(tmp_path, model)
    with pytest.raises(errors.Untrusted, match="Lambda"):
        checks.check_pairs(load(a_file(path)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "VGG16", "alpha": 0.5}, "`alpha` must be absent but for MobileNet"),
        ({"model": "MobileNet", "alpha": 0.0}, "`alpha` must be positive"),
        (
            {"model": "VGG16", "weights": "none.keras"},
            "`weights` must be null, imagenet",
        ),
        ({"model": "VGG16", "sections": ("a", "a")}, "`sections` must be of different"),
    ],
)
def test_an_application_refuses_options_out_of_range(options, said):
    with pytest.raises(ValueError, match=said):
        students.KerasApplication(**options)


def test_weights_that_cannot_be_had_are_one_line(monkeypatch):
    def offline(**options):
        raise OSError("URL fetch failure: no network\nand more")

    monkeypatch.setattr(keras.applications, "VGG16", offline)
    part = students.KerasApplication(model="VGG16", weights="imagenet")
    with pytest.raises(
        ValueError, match=r"`weights` must be null or.*no network"
    ) as bad:
        part.whole((32, 32, 3), CLASSES, None)
    assert "\n" not in str(bad.value)


def test_images_that_are_too_small_are_refused_by_size():
    part = students.KerasApplication(model="VGG16")
    with pytest.raises(ValueError, match=r"VGG16 of images \(8, 8, 3\).*32x32"):
        part.whole((8, 8, 1), CLASSES, None)


def small_body(**options):
    """In the place of an application: made-up names, a norm and one kernel."""
    images = keras.Input(options["input_shape"])
    x = layers.Conv2D(2, 3, name="kernel_of_mine")(images)
    return keras.Model(images, layers.ReLU()(layers.BatchNormalization()(x)), name="s")


def test_names_do_not_count_what_the_process_has_made(monkeypatch):
    monkeypatch.setattr(keras.applications, "VGG16", small_body)
    part = students.KerasApplication(model="VGG16")
    layers.ReLU()
    names = [layer.name for layer in part.whole(SHAPE, CLASSES, None).layers]
    assert names[3:6] == ["kernel_of_mine", "batch_normalization_0", "re_lu_0"]
    assert [layer.name for layer in part.whole(SHAPE, CLASSES, None).layers] == names


def test_weights_come_from_a_file_by_name(monkeypatch, file):
    monkeypatch.setattr(keras.applications, "VGG16", small_body)
    part = students.KerasApplication(model="VGG16", weights=str(file))
    source = students.KerasApplication(model="VGG16").whole(SHAPE, 3, None)
    made = part.whole(SHAPE, CLASSES, lambda *_: source)
    kernels = [m.get_layer("kernel_of_mine").get_weights()[0] for m in (source, made)]
    np.testing.assert_array_equal(*kernels)
    with pytest.raises(ValueError, match="without a layer kernel_of_mine"):
        part.whole(SHAPE, CLASSES, lambda *_: built())


def test_imagenets_first_kernel_reads_blue_first(monkeypatch):
    bodies = []

    def body(**options):
        bodies.append(small_body(**options))
        return bodies[-1]

    monkeypatch.setattr(keras.applications, "VGG16", body)
    for weights, order in ((None, slice(None)), ("imagenet", slice(None, None, -1))):
        part = students.KerasApplication(model="VGG16", weights=weights)
        whole = part.whole(SHAPE, CLASSES, None)
        kernels = [
            m.get_layer("kernel_of_mine").get_weights()[0] for m in (bodies[-1], whole)
        ]
        np.testing.assert_array_equal(kernels[0][:, :, order], kernels[1])
    made = Graph(whole)
    scaled = keras.Model(whole.input, made.tensors[made.before_kernels()])
    wanted = 255 * IMAGES - np.array([123.68, 116.779, 103.939])
    np.testing.assert_allclose(numbers(scaled), wanted, atol=1e-4)


def an_application(sections):
    options = f"{{model: VGG16, sections: {sections}}}"
    return f"student={{name: keras_application, options: {options}}}"


@pytest.mark.parametrize(
    ("text", "wanted"), [("auto", "auto"), ("[a, b]", ("a", "b")), ("[]", ())]
)
def test_sections_are_a_list_or_a_word(text, wanted):
    run = load(an_application(text))
    assert run.student.sections == wanted
    plain = config.plain(run)["student"]["options"]["sections"]
    assert plain == (list(wanted) if isinstance(wanted, tuple) else wanted)
    with pytest.raises(errors.ConfigError, match="expected a list, or auto"):
        load(an_application("block_1"))


# A run.


def test_a_file_teaches_a_student_without_a_line_of_code(tmp_path, capfd):
    digits = data.DATASETS["digits"](train_examples=200).load()
    made = taught(toy(), digits.train)
    file = path_of(tmp_path, made)
    lines = "data: {name: digits, options: {train_examples: 200}}\nbatch_size: 60\n"
    lines += f"teacher: {{file: {file}, sections: auto}}\n"
    lines += "student: {name: resnet, options: {depth: 8, width: 2}}\n"
    options = "{representations: [section1, section2]}"
    lines += f"stages: [{{trainer: {{name: fitnet, options: {options}}}, epochs: 1}}]\n"
    (tmp_path / "mine.yaml").write_text(lines)
    command = [f"--config={tmp_path / 'mine.yaml'}", f"--out={tmp_path / 'run'}"]
    assert train.main(command) == 0
    said = capfd.readouterr()
    assert "halved_relu" in said.out + said.err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    (stage,) = report["stages"]
    assert {"section1_hint_loss", "section2_hint_loss"} <= set(stage["metrics"])
    kept = loader.open_own(tmp_path / "run" / "teacher.keras")
    np.testing.assert_allclose(
        numbers(kept)["logits"], numbers(cut(made))["logits"], rtol=1e-5, atol=1e-5
    )
