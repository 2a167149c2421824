"""A game of two sides: who moves whom, what is shown, and who has won."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import students
import trainers
from distill import train
from distill.runtime import errors
from distill.teach import alarms
from gan import gradients
from gan.discriminators import Discriminator
from trainers import trainer
from trainers.methods import game

SHAPE, CLASSES, BATCH = (4, 4, 1), 3, 6
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(BATCH, *SHAPE)).astype("float32")
LABELS = np.array([0, 1, 2, 0, 1, 2])
LABELS_ = np.array([0, 0, 2, 1, 1, 2])  # Neighbours may be of one class.
ALONE = trainers.Adversarial(
    kd_weight=0.0, adversarial_weight=1.0, discriminator=Discriminator(units=(16,))
)


def make(method=ALONE, rate=0.05, seed=1, **changes):
    keras.utils.set_random_seed(0)
    teacher = students.ResNet(depth=8, width=2).build(SHAPE, CLASSES)
    keras.utils.set_random_seed(seed)
    student = students.ResNet(depth=8, width=2, weight_decay=0.0).build(SHAPE, CLASSES)
    head = teacher.get_layer("head")  # Else both would answer alike.
    head.set_weights([5 * value for value in head.get_weights()])
    learner = trainer.Trainer(
        student=student, teacher=teacher, method=dataclasses.replace(method, **changes)
    )
    learner.compile(
        optimizer=learner.sides(keras.optimizers.SGD(rate)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        loss_weights=0.0,
        run_eagerly=keras.backend.backend() != "jax",
        jit_compile=False,
    )
    return learner


def fit(learner, epochs=1):
    options = {"epochs": epochs, "batch_size": BATCH, "shuffle": False, "verbose": 0}
    return learner.fit(IMAGES, LABELS, **options).history


def weights(network):
    return [np.array(ops.convert_to_numpy(v)) for v in network.trainable_variables]


def scores(learner, role, condition=None):
    """What the discriminator says to the logits of teacher or student."""
    shown = {"logits": getattr(learner, role)(IMAGES, training=False)["logits"]}
    if condition is not None:
        shown["condition"] = ops.convert_to_tensor(condition)
    judge = learner.companions["discriminator"]
    return ops.convert_to_numpy(judge(shown, training=False))[:, 0]


def test_the_discriminator_learns_which_side_is_the_teachers():
    """Swapping real and fake fails here."""
    learner = make(rate=1e-9, discriminator_learning_rate=0.05)
    fit(learner, epochs=15)
    assert scores(learner, "teacher").min() > 0 > scores(learner, "student").max()


def test_the_student_is_drawn_towards_the_teachers_side():
    """It must be harder to tell from the teacher after its step, not easier.

    In MEAL's released code the student minimises the discriminator's loss too,
    so that its scores would fall here.
    """
    learner = make(rate=0.02, discriminator_learning_rate=1e-9)
    knowing = make(rate=1e-9, discriminator_learning_rate=0.05)
    fit(knowing, epochs=12)
    learner.companions["discriminator"].set_weights(
        knowing.companions["discriminator"].get_weights()
    )
    before = scores(learner, "student").mean()
    fit(learner, epochs=3)
    assert scores(learner, "student").mean() > before


def test_each_side_is_moved_by_its_own_loss_alone():
    first, weaker = make(), make(adversarial_weight=0.0)
    before = weights(weaker.student)
    for learner in (first, weaker):
        fit(learner)
    for a, b in zip(
        *(weights(part.companions["discriminator"]) for part in (first, weaker)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert all(map(np.array_equal, before, weights(weaker.student)))
    moved = zip(before, weights(first.student), strict=True)
    assert sum(not np.array_equal(a, b) for a, b in moved) > len(before) / 2


@pytest.mark.parametrize("kind", ["hinge", "least_squares"])
def test_the_terms_are_the_losses_of_the_scores(kind):
    from gan import losses

    learner = make(loss=kind, adversarial_weight=0.3)
    logs = learner.evaluate(
        IMAGES, LABELS, batch_size=BATCH, verbose=0, return_dict=True
    )
    real, fake = scores(learner, "teacher"), scores(learner, "student")
    wanted = losses.real_loss(real, kind) + losses.fake_loss(fake, kind)
    assert logs["discriminator_loss"] == pytest.approx(
        np.mean(ops.convert_to_numpy(wanted)), rel=1e-4
    )
    fooled = 0.3 * np.mean(ops.convert_to_numpy(losses.fooling_loss(fake, kind)))
    assert logs["adversarial_loss"] == pytest.approx(fooled, rel=1e-4)
    middle = 0.5 if kind == "least_squares" else 0
    for side, values in (("teacher", real > middle), ("student", fake <= middle)):
        name = f"discriminator_accuracy_on_{side}"
        assert logs[name] == pytest.approx(values.mean())


@pytest.mark.parametrize("condition", ["label", "input"])
def test_the_discriminator_is_told_what_outputs_belong_to(condition):
    learner = make(condition=condition)
    told = {"label": np.eye(CLASSES, dtype="float32")[LABELS], "input": IMAGES}
    logs = learner.evaluate(
        IMAGES, LABELS, batch_size=BATCH, verbose=0, return_dict=True
    )
    fake = scores(learner, "student", told[condition])
    wanted = np.mean(np.log1p(np.exp(-fake)))
    assert logs["adversarial_loss"] == pytest.approx(wanted, rel=1e-4)
    other = scores(learner, "student", np.roll(told[condition], 1, axis=0))
    assert not np.allclose(fake, other)


def only_step(**changes):
    """The discriminator's loss in training, and what stands behind it."""
    learner = make(rate=1e-9, condition="label", **changes)
    real = {"logits": ops.convert_to_tensor(RNG.normal(size=(BATCH, 3)).astype("f4"))}
    fake = {"logits": ops.convert_to_tensor(RNG.normal(size=(BATCH, 3)).astype("f4"))}
    told = ops.convert_to_tensor(np.eye(CLASSES, dtype="float32")[LABELS_])
    terms = game.play(learner, "discriminator", real, fake, told, True)
    network = learner.companions["discriminator"]

    def judge(logits, condition=told):
        shown = {"logits": ops.convert_to_tensor(logits), "condition": condition}
        return network(shown, training=False)[:, 0]

    real, fake = (ops.convert_to_numpy(part["logits"]) for part in (real, fake))
    loss = ops.convert_to_numpy(terms["discriminator_loss"])
    plain = ops.softplus(-judge(real)) + ops.softplus(judge(fake))
    return loss - ops.convert_to_numpy(plain), judge, real, fake, told


def slope(judge, at):
    """The length of each example's gradient."""
    at = ops.convert_to_tensor(at)
    _, gradient = gradients.with_gradient(judge, at)
    return np.linalg.norm(ops.convert_to_numpy(gradient), axis=-1)


def test_r1_is_half_the_squared_slope_at_the_teachers_outputs():
    extra, judge, real, *_ = only_step(r1=0.8)
    np.testing.assert_allclose(
        extra, 0.4 * slope(judge, real) ** 2, rtol=1e-3, atol=1e-5
    )


def test_the_gradient_penalty_wants_slope_one_between_both():
    extra, judge, real, fake, _ = only_step(gradient_penalty=3.0)
    shares = np.linspace(0, 1, 101, dtype="float32")[:, None, None]
    between = shares * real + (1 - shares) * fake
    possible = np.stack([3 * (slope(judge, at) - 1) ** 2 for at in between])
    # Somewhere on each line, and not at one end for all.
    assert np.all(extra >= possible.min(0) * 0.97)
    assert np.all(extra <= possible.max(0) * 1.03)
    assert not np.allclose(extra, possible[0], rtol=1e-3)
    assert not np.allclose(extra, possible[-1], rtol=1e-3)


def test_another_examples_condition_makes_the_teachers_output_fake():
    extra, judge, real, _, told = only_step(mismatch_weight=0.7)
    others = ops.roll(told, 1, axis=0)
    wanted = 0.7 * ops.convert_to_numpy(ops.softplus(judge(real, others)))
    # One of the same label as its own is no mismatch.
    wanted *= np.roll(LABELS_, 1) != LABELS_
    np.testing.assert_allclose(extra, wanted, rtol=1e-3, atol=1e-5)


def test_noisy_outputs_of_the_student_count_as_real():
    extra, judge, _, fake, _ = only_step(noise_weight=0.7, noise_rate=1e-6)
    wanted = 0.7 * ops.convert_to_numpy(ops.softplus(-judge(fake)))
    np.testing.assert_allclose(extra, wanted, rtol=1e-3, atol=1e-5)


def test_the_student_waits_for_the_discriminators_steps():
    learner = make(discriminator_steps=3)
    start = weights(learner.student)
    judges = [weights(learner.companions["discriminator"])]
    for step in range(1, 4):
        fit(learner)
        judges.append(weights(learner.companions["discriminator"]))
        assert not all(map(np.array_equal, *judges[-2:]))
        moved = not all(map(np.array_equal, start, weights(learner.student)))
        assert moved == (step == 3)


def test_gradient_norms_of_both_sides_are_shown():
    learner = make()
    fit(learner)
    norms = learner.optimizer.gradient_norms
    assert set(norms) == {"student", "discriminator"}
    assert all(ops.convert_to_numpy(norm) > 0 for norm in norms.values())
    silent = make(adversarial_weight=0.0)
    fit(silent)
    assert ops.convert_to_numpy(silent.optimizer.gradient_norms["student"]) == 0


def test_spectral_normalization_bounds_the_slope():
    keras.utils.set_random_seed(0)
    options = Discriminator(units=(16, 16), spectral_normalization=True)
    judge = options.build({"logits": (CLASSES,)})
    steep = Discriminator(units=(16, 16)).build({"logits": (CLASSES,)})
    for network in (judge, steep):
        for layer in network.get_layer("judge").layers:
            inner = getattr(layer, "layer", layer)
            if hasattr(inner, "kernel"):
                inner.kernel.assign(4 * inner.kernel.value)
    ends = RNG.normal(size=(2, 200, CLASSES)).astype("float32")
    length = np.linalg.norm(ends[0] - ends[1], axis=-1)

    def slopes(network, training):
        a, b = (
            ops.convert_to_numpy(network({"logits": end}, training=training))
            for end in ends
        )
        return np.abs(a - b)[:, 0] / length

    for _ in range(20):
        judge({"logits": ends[0]}, training=True)
    assert slopes(judge, training=True).max() <= 1.01
    assert slopes(steep, training=False).max() > 2


def test_sections_play_on_what_they_make_of_the_teachers_input():
    method = trainers.LITAdversarial(
        discriminator=Discriminator(units=(4,)), condition="input"
    )
    learner = make(method)
    assert list(learner.companions) == [f"section{i}_discriminator" for i in (1, 2, 3)]
    logs = learner.evaluate(
        IMAGES, LABELS, batch_size=BATCH, verbose=0, return_dict=True
    )
    taught = learner.teacher(IMAGES, training=False)
    made = learner.student.get_layer("section2")(taught["section1"], training=False)
    judge = learner.companions["section2_discriminator"]
    said = judge({"section2": made, "condition": taught["section1"]}, training=False)
    wanted = 0.1 * np.mean(np.log1p(np.exp(-ops.convert_to_numpy(said))))
    assert logs["section2_adversarial_loss"] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"adversarial_weight": -1.0}, "`adversarial_weight` must be at least 0"),
        ({"r1": -1.0}, "`r1` must be at least 0"),
        ({"loss": "wasserstein"}, "`gradient_penalty` must be positive with"),
        ({"label_smoothing": 1.0}, r"`label_smoothing` must be in \[0, 1\)"),
        ({"noise_rate": 1.0}, "`noise_rate`"),
        (
            {"loss": "hinge", "label_smoothing": 0.1},
            "`label_smoothing` must be 0 with `loss: hinge`",
        ),
        ({"mismatch_weight": 1.0}, "`mismatch_weight` must be 0 without a `condition`"),
        ({"discriminator_steps": 0}, "`discriminator_steps` must be at least 1"),
        ({"discriminator_learning_rate": 0.0}, "`discriminator_learning_rate`"),
        ({"sees": ()}, "`sees` must be a list of different names"),
        ({"kd_weight": -0.1}, "`kd_weight`"),
    ],
)
def test_options_without_a_meaning_are_refused_by_name(options, said):
    with pytest.raises(ValueError, match=said):
        trainers.Adversarial(**options)


@pytest.mark.parametrize("options", [{"units": ()}, {"units": (0,)}, {"dropout": 1.0}])
def test_a_discriminator_that_cannot_be_built_is_refused(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        Discriminator(**options)


def test_what_it_sees_must_fit_in_both_networks():
    narrow = students.ResNet(depth=8, width=2).shapes(SHAPE)
    wide = students.ResNet(depth=8, width=4).shapes(SHAPE)
    ALONE.check_shapes(wide, narrow)  # Logits alone always fit.
    looking = dataclasses.replace(ALONE, sees=("logits", "section3"))
    looking.check_shapes(narrow, narrow)
    with pytest.raises(ValueError, match=r"`section3`.*\(1, 1, 16\).*\(1, 1, 8\)"):
        looking.check_shapes(wide, narrow)
    with pytest.raises(ValueError, match="`section9`"):
        dataclasses.replace(ALONE, sees=("section9",)).check_shapes(narrow, narrow)


def test_sections_have_no_say_in_what_is_seen():
    with pytest.raises(ValueError, match="`sees` must be left out"):
        trainers.LITAdversarial(sees=("section1",))


def test_a_discriminator_that_nobody_plays_against_raises_no_alarm():
    won = history(1.0, 1.0, (0.9, 0.9))
    assert ALONE.alarm(won)
    assert dataclasses.replace(ALONE, adversarial_weight=0.0).alarm(won) is None


def history(teacher, student, agreement):
    count = game.PATIENCE
    return {
        "discriminator_accuracy_on_teacher": [teacher] * count,
        "discriminator_accuracy_on_student": [student] * count,
        "agreement": list(np.linspace(*agreement, count)),
    }


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (history(1.0, 1.0, (0.9, 0.9)), "has told teacher and student apart"),
        (history(0.5, 0.52, (0.9, 0.7)), "only guesses"),
        (history(0.5, 0.52, (0.7, 0.9)), None),
        (history(0.8, 0.7, (0.9, 0.7)), None),
    ],
)
def test_the_alarm_knows_when_one_side_has_won(seen, said):
    alarm = ALONE.alarm(seen)
    assert alarm is None if said is None else said in alarm
    assert ALONE.alarm({key: values[1:] for key, values in seen.items()}) is None
    renamed = {key.replace("disc", "section2_disc"): v for key, v in seen.items()}
    alarm = trainers.LITAdversarial().alarm(
        {**renamed, **{f"val_{k}": v for k, v in renamed.items()}}
    )
    assert alarm is None if said is None else alarm.startswith("the section2_disc")


THREE = """
_base_: lit_resnet.yaml
teacher: {stages: [{trainer: {name: supervised}, epochs: 1}]}
student: {name: resnet, options: {depth: 8, width: 16}}
stages:
  - {trainer: {name: lit}, epochs: 1}
  - {trainer: {name: kd}, epochs: 1}
  - trainer: {name: adversarial, options: {condition: input, mismatch_weight: 1}}
    epochs: 2
controls: []
finish: []
"""


def test_a_game_may_follow_lit_and_kd_and_its_health_is_recorded(tmp_path):
    config = tmp_path / "three.yaml"
    config.write_text(THREE)
    folder = tmp_path / "runs" / "three"
    assert train.main([f"--config={config}", f"--out={folder}"]) == 0
    report = json.loads((folder / "report.json").read_text())
    names = [stage["name"] for stage in report["stages"]]
    assert names == ["supervised", "lit", "kd", "adversarial"]
    health = {
        "agreement",
        "adversarial_loss",
        "discriminator_loss",
        "discriminator_accuracy_on_teacher",
        "discriminator_accuracy_on_student",
        "student_gradient_norm",
        "discriminator_gradient_norm",
    }
    metrics = report["stages"][-1]["metrics"]
    assert health <= set(metrics)
    assert metrics["student_gradient_norm"][-1] > 0
    (events,) = (folder / "tensorboard" / "student.2.adversarial").iterdir()
    assert all(name.encode() in events.read_bytes() for name in health)
    # Nothing of the discriminator ships.
    shipped = keras.models.load_model(folder / "student.keras", compile=False)
    alone = students.ResNet(depth=8, width=16).build((8, 8, 1), 10)
    assert shipped.count_params() == alone.count_params()


class Won(trainers.Adversarial):
    """Finds something wrong from the second epoch on."""

    def alarm(self, history):
        return "one side has won" if len(history["loss"]) > 1 else None


@pytest.mark.parametrize("stop", [False, True])
def test_an_alarm_warns_once_or_ends_the_run(stop, monkeypatch):
    said = []
    monkeypatch.setattr(alarms.progress, "say", said.append)
    method = Won(stop_on_collapse=stop)
    watch = alarms.Watch(method, {"loss": [3.0]})
    if stop:
        with pytest.raises(errors.Diverged, match="one side has won"):
            watch.on_epoch_end(1, {"loss": 2.0})
        return
    for epoch in (1, 2, 3):
        watch.on_epoch_end(epoch, {"loss": 2.0})
    assert said == ["    warning: one side has won"]


REPLICAS = """
import json

import keras
import numpy as np
import tensorflow as tf

import students
import trainers
from gan.discriminators import Discriminator
from trainers import trainer

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)

method = trainers.Adversarial(
    discriminator=Discriminator(units=(8,)), condition="input", mismatch_weight=1, r1=1
)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    pair = [students.ResNet(depth=8, width=2).build((4, 4, 1), 3) for _ in range(2)]
    learner = trainer.Trainer(student=pair[0], teacher=pair[1], method=method)
    learner.compile(
        optimizer=learner.sides(keras.optimizers.SGD(0.1)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    networks = [*pair, learner.companions["discriminator"]]
    before = [network.get_weights() for network in networks]
    images = np.random.default_rng(0).uniform(size=(8, 4, 4, 1)).astype("float32")
    logs = learner.fit(images, np.arange(8) % 3, batch_size=8, verbose=0).history
    moved = [
        any(not np.array_equal(a, b) for a, b in zip(old, network.get_weights()))
        for old, network in zip(before, networks)
    ]
print(json.dumps([moved, logs]))
"""


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a strategy of TensorFlow"
)
def test_a_game_is_played_on_two_replicas():
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    moved, logs = json.loads(done.stdout.splitlines()[-1])
    assert moved == [True, False, True]  # Student, teacher, discriminator.
    assert np.isfinite([values[-1] for values in logs.values()]).all()
