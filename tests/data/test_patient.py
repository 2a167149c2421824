"""A patient, consistent teacher: mixed inputs, no labels, clipped gradients."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from distill import config, data
from distill.data import augmentation, batches
from distill.runtime import errors
from distill.teach import learner, synthetic


@pytest.fixture
def stage():
    return config.load("patient_resnet.yaml").stages[0]


def test_only_the_teachers_outputs_are_learned(stage):
    assert stage.task_weight == 0
    assert (stage.trainer.temperature, stage.trainer.kd_weight) == (1.0, 1.0)
    assert (stage.optimizer, stage.schedule, stage.clip_norm) == ("adam", "cosine", 1.0)


def test_every_image_is_mixed_with_one_of_the_split_by_a_uniform_share(stage):
    """Of examples that are each a pixel of its own, the shares can be read off."""
    count = 256
    pixels = np.eye(count, dtype="float32").reshape(count, 16, 16, 1)
    split = data.Split(pixels, np.zeros(count, "int64"))
    source = batches.Batches(
        split,
        batch_size=count,
        seed=0,
        augmentation=augmentation.Augmentation(),
        mixture=synthetic.mixture(stage.synthetic, split, generator=None, teacher=None),
    )
    shares = []
    for step in range(8):
        images, labels = source.batch(step)
        assert (labels == data.UNLABELLED).all()
        mixed = images.reshape(count, count)
        np.testing.assert_allclose(mixed.sum(-1), 1, rtol=1e-5)
        assert ((mixed > 0).sum(-1) <= 2).all()
        shares.append(mixed.max(-1))  # Of the larger part: uniform in [1/2, 1].
    counts, _ = np.histogram(np.concatenate(shares), 4, (0.5, 1.0))
    # 512 in each quarter, and a few with themselves in the last.
    np.testing.assert_allclose(counts, 512, atol=5 * 512**0.5)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("clip_norm", [None, 0.5, 100.0])
def test_gradients_are_clipped_by_their_global_norm(optimizer, clip_norm, stage):
    stage = dataclasses.replace(stage, optimizer=optimizer, clip_norm=clip_norm)
    built = learner.build_optimizer(stage, 1)
    assert built.global_clipnorm == clip_norm
    plain = keras.optimizers.SGD(1.0, global_clipnorm=built.global_clipnorm)
    variables = [keras.Variable([0.0]), keras.Variable([0.0])]
    plain.apply([ops.array([3.0]), ops.array([4.0])], variables)
    factor = min(1.0, (clip_norm or 5.0) / 5.0)
    values = [float(ops.convert_to_numpy(v)[0]) for v in variables]
    np.testing.assert_allclose(values, [-3 * factor, -4 * factor], rtol=1e-5)


@pytest.mark.parametrize("value", [0, -1])
def test_a_clip_norm_that_is_not_positive_is_refused(value):
    with pytest.raises(errors.ConfigError, match="`clip_norm` must be positive"):
        config.load("patient_resnet.yaml", [f"stages.0.clip_norm={value}"])
