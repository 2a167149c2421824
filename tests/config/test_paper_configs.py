"""The configs of LIT's own experiments are the paper's, at every depth of it."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from distill import config
from trainers import trainer

CLASSES = {
    "lit_resnet_cifar10": 10,
    "lit_resnet_cifar100": 100,
    "lit_resnext_cifar10": 10,
    "lit_resnext_cifar100": 100,
}
WIDTHS = {"resnet": (16, 16, 32, 64), "resnext": (64, 64, 128, 256)}
SMALL = {
    "resnet": {"width": 4},
    "resnext": {"width": 4, "cardinality": 2, "bottleneck_width": 2},
}


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
@pytest.mark.parametrize("name", CLASSES)
def test_every_pair_of_the_paper_fits(name, depth):
    run = config.load(f"{name}.yaml", [f"student.options.depth={depth}"])
    assert (run.teacher.network.depth, run.student.depth) == (110, depth)
    shapes = [part.shapes((32, 32, 3)) for part in (run.teacher.network, run.student)]
    assert shapes[0] == shapes[1]
    sizes = zip((32, 32, 16, 8), WIDTHS[name.split("_")[1]], strict=True)
    assert list(shapes[0].values()) == [(size, size, width) for size, width in sizes]
    assert run.data.num_classes == CLASSES[name]


@pytest.mark.parametrize("name", CLASSES)
def test_the_settings_are_the_papers(name):
    beta, alpha, temperature, decay = 0.75, 0.95, 6, 1e-4
    run = config.load(f"{name}.yaml")
    lit, kd = run.stages
    assert (lit.epochs, lit.decay_epochs, kd.epochs, kd.decay_epochs) == (
        175, (100,), 125, (55,),
    )  # fmt: skip
    assert (lit.learning_rate, kd.learning_rate, lit.momentum) == (0.1, 0.01, 0.9)
    assert lit.trainer.temperature == kd.trainer.temperature == temperature
    assert lit.task_weight == pytest.approx(beta * alpha / 2)
    assert lit.trainer.kd_weight == pytest.approx(beta * (1 - alpha) / 2)
    assert lit.trainer.section_weight == pytest.approx((1 - beta) / 2)
    assert (kd.task_weight, kd.trainer.kd_weight) == (alpha, pytest.approx(1 - alpha))
    for network in (run.teacher.network, run.student):
        assert 2 * network.weight_decay == pytest.approx(decay)
    assert (run.batch_size, run.augmentation.shift, run.augmentation.flip) == (
        32, 4, True,
    )  # fmt: skip
    assert sum(stage.epochs for stage in run.teacher.stages) == 300


@pytest.mark.parametrize("family", WIDTHS)
def test_cifar_100_is_learned_as_cifar_10(family):
    ten, hundred = (config.load(f"lit_{family}_cifar{n}.yaml") for n in (10, 100))
    assert dataclasses.replace(ten, data=hundred.data) == hundred


@pytest.mark.parametrize("name", ["lit_resnet_cifar10", "lit_resnext_cifar10"])
def test_each_stage_makes_a_step(name):
    """Narrow, on small images; LIT leaves stem and head alone, KD does not."""
    run = config.load(f"{name}.yaml")
    small = SMALL[name.split("_")[1]]
    teacher, student = (
        dataclasses.replace(part, depth=depth, **small).build((8, 8, 3), CLASSES[name])
        for part, depth in ((run.teacher.network, 8), (run.student, 20))
    )
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(4, 8, 8, 3)).astype("float32")
    for stage in run.stages:
        learner = trainer.Trainer(
            student=student, method=stage.trainer, teacher=teacher
        )
        learner.compile(
            optimizer=keras.optimizers.SGD(1e-3),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            loss_weights=stage.task_weight,
            run_eagerly=True,
            jit_compile=False,
        )
        before = kernels(student)
        logs = learner.train_on_batch(images, np.arange(4), return_dict=True)
        assert np.isfinite(list(logs.values())).all()
        trained_parts = {
            part
            for part, values in kernels(student).items()
            if any((a != b).any() for a, b in zip(values, before[part], strict=True))
        }
        sections = {"section1", "section2", "section3"}
        outside = set() if "section1_loss" in logs else {"stem_conv", "head"}
        assert trained_parts == sections | outside


def kernels(network):
    """Name of each layer with weights, outermost, to its kernels."""
    result = {}
    for layer in network.layers:
        values = [v for v in layer.weights if v.path.endswith("kernel")]
        if values:
            result[layer.name] = [np.array(ops.convert_to_numpy(v)) for v in values]
    return result
