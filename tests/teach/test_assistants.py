"""Several teachers: side by side, and one after the other."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import students
import trainers
from distill import config, train
from distill.config import lessons
from distill.runtime.errors import ConfigError
from distill.runtime.trust import loader
from distill.studies.compare import controls
from distill.teach import assistants, teacher
from distill.teach.networks import build, files
from distill.teach.workspace import Workspace
from trainers import trainer

SHAPE, CLASSES = (8, 8, 1), 3
TAUGHT = [name for name, kind in trainers.TRAINERS.items() if kind.needs_teacher]
ABLE = ["kd", "lit", "fitnet", "attention_transfer"]
ABLE += ["similarity_preserving", "relational", "crd"]
SECOND = "{network: {name: resnet, options: {depth: 14}}, stages: [{trainer: \
{name: supervised}, epochs: 1}]}"
LEARNED = "stages: [{trainer: {name: lit}, epochs: 1}]"


def load(*overrides, path="lit_resnet.yaml"):
    return config.load(path, ["controls=[]", *overrides])


def resnet(**options):
    listed = ", ".join(f"{name}: {value}" for name, value in options.items())
    return f"network: {{name: resnet, options: {{{listed}}}}}"


@pytest.mark.parametrize("name", TAUGHT)
def test_a_method_that_cannot_imitate_several_is_refused(name):
    stage = f"stages=[{{trainer: {{name: {name}}}, task_weight: 0, epochs: 1}}]"
    load(stage)
    if name in ABLE:
        load(stage, f"co_teachers=[{SECOND}]")
        return
    with pytest.raises(
        ConfigError, match=rf"`stages\[0\].trainer`.*Received: '{name}'"
    ):
        load(stage, f"co_teachers=[{SECOND}]")


CO = f"co_teachers=[{SECOND}]"
ASSISTANT = f"assistants=[{{{resnet(depth=14)}, {LEARNED}}}]"
WIDER = f"{{{resnet(depth=14, width=8)}, {LEARNED}}}"
MADE = "{name: gan, options: {p_fake: 0.5}}"
SKIPS = "{skips_assistants: yes, stages: [{trainer: {name: supervised}, epochs: 40}]}"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([CO, "co_teachers.0.weight=0"], ["`weight` must be positive"]),
        ([CO, "co_teachers.0.stages=[]"], ["co_teachers[0]: `stages`", "at least one"]),
        (
            [CO.replace("supervised", "kd")],
            ["`co_teachers[0].stages[0].trainer`", "needs no teacher"],
        ),
        (
            [f"assistants=[{{{resnet(depth=14)}, stages: []}}]"],
            ["assistants[0]: `stages`", "at least one"],
        ),
        (
            [f"assistants=[{WIDER}]"],
            ["`assistants[0]`", "teacher has (8, 8, 16), the student (8, 8, 8)"],
        ),
        (
            [f"{ASSISTANT[:-1]}, {WIDER}]"],
            ["`assistants[1]`", "teacher has (8, 8, 16), the student (8, 8, 8)"],
        ),
        (
            [ASSISTANT, "student.options.width=8"],
            ["`student`", "teacher has (8, 8, 16), the student (8, 8, 8)"],
        ),
        ([f"controls=[{SKIPS}]"], ["`skips_assistants`", "no `assistants`"]),
        (
            ["controls=[{name: assistant1, stages: []}]"],
            ["neither teacher nor student nor assistant"],
        ),
        (
            [ASSISTANT, f"assistants.0.stages.0.synthetic={MADE}"],
            ["`generator` must be given"],
        ),
    ],
)
def test_teachers_that_do_not_fit_are_refused_in_one_line(overrides, words):
    with pytest.raises(ConfigError) as caught:
        load(*overrides)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value


def test_each_learns_from_the_one_before_and_must_fit_it_alone():
    """A student need not fit the teacher, where an assistant stands between them."""
    chained = [f"assistants=[{WIDER.replace('lit', 'kd')}]"]
    run = load(*chained, "student.options.width=8")
    first, last = lessons.lessons(run)
    assert (first.teacher, first.learner) == (run.teacher.network, first.learner)
    assert (last.teacher, last.learner) == (first.learner, run.student)
    with pytest.raises(ConfigError, match="`student`"):
        load(*chained, "student.options.width=8", "assistants=[]")


def test_a_comparison_adds_the_student_without_its_assistants():
    run = config.load("assistant_resnet.yaml")
    assert controls.with_controls(run).controls[: len(run.controls)] == run.controls
    names = [part.name for part in controls.with_controls(run).controls]
    assert names.count("no_assistants") == 1
    bare = dataclasses.replace(run, controls=())
    (made,) = [
        part for part in controls.with_controls(bare).controls if part.skips_assistants
    ]
    assert (made.name, made.stages) == ("no_assistants", run.stages)
    plain = config.load("kd_resnet.yaml")
    assert not any(c.skips_assistants for c in controls.with_controls(plain).controls)


@pytest.fixture(scope="module")
def networks():
    """A teacher, two co-teachers of which one is of other shapes, and a student."""
    made = []
    for seed, (depth, width) in enumerate([(8, 3), (8, 3), (8, 2), (8, 3)]):
        keras.utils.set_random_seed(seed)
        network = students.ResNet(depth=depth, width=width).build(SHAPE, CLASSES)
        head = network.get_layer("head")  # So that classes differ, and teachers do.
        kernel = ops.convert_to_numpy(head.kernel)
        head.set_weights([6 * kernel, np.arange(CLASSES) - 1.0])
        made.append(network)
    return made


def terms(method, taught, student, images):
    """The method's terms for these images, as NumPy."""
    learner = trainer.Trainer(student=student, method=method, teacher=taught)
    step = trainer.Step(
        images,
        ops.zeros((len(images),), "int32"),
        taught(images, training=False),
        student(images, training=False),
        False,
    )
    return {k: ops.convert_to_numpy(v) for k, v in method.terms(learner, step).items()}


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.fixture
def images():
    return np.random.default_rng(3).uniform(size=(5, *SHAPE)).astype("float32")


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1.0},
        {"temperature": 7.0},
        {"match": "logits"},
        {"logit_standardization": True, "temperature": 2.0},
    ],
)
def test_kd_of_several_is_the_weighted_sum_of_kd_of_each(options, networks, images):
    first, *others, student = networks
    weights = [0.5, 2.0]
    method = trainers.KD(kd_weight=0.3, **options)
    several = assistants.average(first, others, weights)
    got = terms(method, several, student, images)["kd_loss"]
    each = [terms(method, one, student, images)["kd_loss"] for one in (first, *others)]
    wanted = each[0] + 0.5 * each[1] + 2.0 * each[2]
    np.testing.assert_allclose(got, wanted, rtol=1e-4)


def test_kd_of_several_is_cross_entropy_to_the_mean_of_their_softened_classes(
    networks, images
):
    """By hand, up to the teachers' own entropy, in which no weight is learned."""
    first, *others, student = networks
    weights, temperature = np.array([1.0, 0.5, 2.0]), 3.0
    logits = [
        ops.convert_to_numpy(model(images)["logits"]) / temperature
        for model in networks
    ]
    *softened, learned = [softmax(one) for one in logits]
    mean = np.tensordot(weights / 3.5, softened, 1)
    cross = -(mean * np.log(learned)).sum(-1)
    entropy = [-(one * np.log(one)).sum(-1) for one in softened]
    wanted = temperature**2 * (3.5 * cross - np.tensordot(weights, entropy, 1))
    method = trainers.KD(kd_weight=1.0, temperature=temperature)
    several = assistants.average(first, others, list(weights[1:]))
    got = terms(method, several, student, images)["kd_loss"]
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    # No one set of logits would do for all temperatures.
    assert (
        np.abs(mean - softmax(np.tensordot(weights / 3.5, logits[:3], 1))).max() > 0.01
    )


@pytest.mark.parametrize("name", ["lit", "fitnet"])
def test_representations_are_those_of_the_first(name, networks, images):
    first, *others, student = networks
    method = trainers.TRAINERS[name]()
    alone = terms(method, first, student, images)
    several = terms(
        method, assistants.average(first, others, [1.0, 1.0]), student, images
    )
    assert list(alone) == list(several)
    for key, value in alone.items():
        same = np.allclose(several[key], value, rtol=1e-4)
        assert same is (key != "kd_loss"), key


def test_only_the_student_moves(networks, images):
    first, *others, student = networks
    several = assistants.average(first, others, [1.0, 1.0])
    learner = trainer.Trainer(student=student, method=trainers.KD(), teacher=several)
    learner.compile(
        optimizer="sgd",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    still = [part.get_weights() for part in (first, *others)]
    before = student.get_weights()
    learner.train_on_batch(images, np.zeros(len(images), "int32"))
    for part, weights in zip((first, *others), still, strict=True):
        for a, b in zip(part.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(a, b)
    assert any(
        (a != b).any() for a, b in zip(student.get_weights(), before, strict=True)
    )
    moving = {id(variable) for variable in learner.moving_variables}
    assert not moving & {id(variable) for variable in several.variables}
    student.set_weights(before)


TINY = "{name: lenet, options: {width_multiplier: 0.1}}"
ONE = "[{trainer: {name: kd}, epochs: 1}]"
SMALL = [
    "data.options.train_examples=100",
    f"teacher.network={TINY}",
    "teacher.stages.0.epochs=1",
    f"student={TINY}",
    f"stages={ONE}",
    "controls=[]",
]
CHAIN = [
    *SMALL,
    f"co_teachers=[{{network: {TINY}, stages: [{{trainer: {{name: supervised}}, \
epochs: 1}}]}}]",
    f"assistants=[{{network: {TINY}, stages: {ONE}}}]",
    "finish=[]",
]


def command(overrides, out):
    return [
        "--config=kd_resnet.yaml",
        *(f"--set={o}" for o in overrides),
        f"--out={out}",
    ]


def weights(path):
    return [
        ops.convert_to_numpy(variable)
        for variable in keras.models.load_model(path, compile=False).variables
    ]


def same(first, second):
    return all((a == b).all() for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "chain"
    skipping = f"controls=[{{name: direct, skips_assistants: yes, stages: {ONE}}}]"
    assert train.main(command([*CHAIN, skipping], folder)) == 0
    return folder


def test_every_teacher_and_assistant_is_a_model_of_its_own(folder):
    report = json.loads((folder / "report.json").read_text())
    names = ["teacher", "teacher2", "assistant1", "student", "direct"]
    assert [model["name"] for model in report["models"]] == names
    assert list(dict.fromkeys(r["model"] for r in report["stages"])) == names
    assert report["models"][0]["agreement_with_teacher"] == 100
    assert "assistant1" in (folder / "report.html").read_text()
    files = {name: weights(folder / f"{name}.keras") for name in names}
    assert not same(files["teacher"], files["teacher2"])
    assert not same(files["student"], files["direct"])


def test_a_later_run_trains_only_what_is_new(folder, capfd):
    out = folder.with_name("later")
    assert train.main(command([*CHAIN, "stages.0.task_weight=0"], out)) == 0
    said = "".join(capfd.readouterr())
    for name in ("teacher", "teacher2", "assistant1"):
        assert f"==> {name}, stage 1 of 1" in said
        assert same(*(weights(run / f"{name}.keras") for run in (folder, out)))
    assert said.count("finished before, kept") == 3


@pytest.fixture(scope="module")
def splits():
    return load(*SMALL).data.load()


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        ("seed=1", True),
        ("batch_size=32", True),
        ("teacher.stages.0.epochs=2", True),
        ("co_teachers.0.weight=2", True),
        ("co_teachers=[]", True),
        ("assistants.0.network.options.width_multiplier=0.2", True),
        ("assistants.0.stages.0.epochs=2", True),
        ("student.options.width_multiplier=0.2", False),
        ("stages.0.epochs=3", False),
        ("finish=[{name: float32}]", False),
    ],
)
def test_what_decides_an_assistant_changes_its_fingerprint(change, decides, splits):
    runs = [load(*CHAIN), load(*CHAIN, change)]
    before, after = (
        assistants.fingerprint(part, splits, name)
        for run in runs
        for name, part in lessons.assistants(run).items()
    )
    assert (before != after) is decides


def test_the_second_assistant_depends_on_the_first_and_is_none_of_the_same(splits):
    twice = f"{{network: {TINY}, stages: {ONE}}}"
    longer = f"{{network: {TINY}, stages: {ONE.replace('1', '2')}}}"
    runs = [load(*CHAIN, f"assistants=[{a}, {twice}]") for a in (twice, longer)]
    found = [
        assistants.fingerprint(part, splits, name)
        for run in runs
        for name, part in lessons.assistants(run).items()
    ]
    assert len(set(found)) == 4
    first, second = (
        build.build(name, part).get_weights()
        for name, part in lessons.assistants(runs[0]).items()
    )
    assert not same(first, second)


def test_a_given_co_teacher_need_not_fit_the_student(tmp_path, monkeypatch):
    monkeypatch.setattr(
        loader, "open_foreign", lambda path, sha256: loader.open_own(path)
    )
    path = tmp_path / "mine.keras"
    students.ResNet(depth=8, width=2).build(SHAPE, 10).save(path)
    run = load(f"co_teachers=[{{file: {path}}}]")
    (part,) = lessons.co_teachers(run).values()
    network, records = teacher.obtain(Workspace(part, None, tmp_path), "teacher2")
    assert not records
    assert same(weights(tmp_path / "teacher2.keras"), network.get_weights())
    assert list(files.hashes(run)) == ["teacher2 file"]


WITHOUT = """
import sys

from distill import train

for name in (
    "tensorflow", "tf_keras", "tensorflow_model_optimization", "ai_edge_litert",
    "constriction",
):
    sys.modules[name] = None  # As if it were not installed.

sys.exit(train.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_without_tensorflow_a_run_trains_and_exports_nothing(backend, tmp_path):
    pytest.importorskip("jax")
    flags = command(SMALL, tmp_path / "run")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *flags],
        env={**os.environ, "KERAS_BACKEND": backend},
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    lines = done.stderr + done.stdout
    if backend == "tensorflow":
        assert done.returncode == 2
        assert lines.count("error: ") == 1
        assert "set KERAS_BACKEND=jax" in lines
        return
    assert done.returncode == 0, lines[-2000:]
    assert lines.index("`finish` is left out") < lines.index("teacher, stage 1")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert [model["name"] for model in report["models"]] == ["teacher", "student"]
    assert any("ai-edge-litert" in line for line in report["warnings"])
