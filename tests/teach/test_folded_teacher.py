"""A stage learns from the teacher's folded copy, and nothing but the time differs."""

import keras
import numpy as np
import pytest

import trainers
from distill import config
from distill.measure import folded
from distill.runtime.resume import checkpoint
from distill.teach import learner as teach_learner
from distill.teach import stages
from distill.teach.cache import asking, layout, store
from distill.teach.networks import build
from distill.teach.workspace import Workspace
from students.keras_models import folding

SMALL = [
    "data.options={train_examples: 75, validation_fraction: 0.2, test_fraction: 0.8}",
    "data.options.validation_examples=null",
    "batch_size=20",
    "teacher.network.options={depth: 8, width: 4}",
    "student.options={depth: 8, width: 4}",
    "augmentation.variants=2",
    "stages.0.epochs=1",
    "stages.1.epochs=1",
    "controls=[]",
    "finish=[]",
]
RUN = config.load("lit_resnet.yaml", SMALL)


@pytest.fixture(scope="module", name="splits")
def _splits():
    return RUN.data.load()


@pytest.fixture(scope="module", name="teacher")
def _teacher(splits):
    network = build.build("teacher", RUN)
    trainers.trainer.recalibrate(network, [splits.train.floats()])
    return network


def has_norms(network):
    kind = keras.layers.BatchNormalization
    return any(isinstance(layer, kind) for layer in network._flatten_layers())


@pytest.fixture(name="learn")
def _learn(splits, teacher, tmp_path, monkeypatch):
    """Trains the student; returns its weights, its metrics and what was committed."""
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "0")

    def learn(name, run=RUN):
        seen, committed = [], set()
        build_trainer, save = trainers.trainer.Trainer, checkpoint.Store.save

        def watched(**networks):
            made = build_trainer(**networks)
            seen.append(made.teacher)
            return made

        def saved(store, moment):
            committed.update((moment.step, name) for name in moment.arrays)
            save(store, moment)

        with monkeypatch.context() as patch:
            patch.setattr(teach_learner.trainer, "Trainer", watched)
            patch.setattr(checkpoint.Store, "save", saved)
            work = Workspace(run, splits, tmp_path / name / "run")
            network, records = stages.train(
                "student", run.stages, work, teacher=teacher
            )
        metrics = [record["metrics"] for record in records]
        for each in metrics:
            each.pop("examples_per_second", None)
        return network.get_weights(), metrics, committed, seen

    return learn


def test_a_student_learns_the_same_from_it(learn, teacher, monkeypatch):
    before = teacher.get_weights()
    weights, metrics, committed, seen = learn("folded")
    assert not any(map(has_norms, seen))
    assert seen[0] is seen[1]  # Folded once for all stages.
    for one, other in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    monkeypatch.setattr(folding, "foldable", lambda network: {})
    wanted, shown, names, seen = learn("plain")
    assert all(network is teacher for network in seen)
    assert committed == names
    for one, other in zip(wanted, weights, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-3)
    for one, other in zip(shown, metrics, strict=True):
        assert list(one) == list(other)
        for name, values in one.items():
            np.testing.assert_allclose(other[name], values, rtol=1e-2, err_msg=name)


def test_answers_are_cached_from_it(splits, teacher, tmp_path, monkeypatch):
    run = config.load("lit_resnet.yaml", [*SMALL, "teacher.cache=true"])
    asked = []

    def obtain(work, source, stage, networks, options):
        asked.append(networks[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "obtain", obtain)
    with pytest.raises(KeyboardInterrupt):
        work = Workspace(run, splits, tmp_path / "run")
        stages.train("student", run.stages, work, teacher=teacher)
    (copy,) = asked
    assert not has_norms(copy)
    form = layout.Layout(run.teacher.cache, (("logits", (10,)),), None)

    def key(network):
        identity = asking.Network(network, ["logits"]).identity
        return store.fingerprint(run, splits, identity, form)

    keys = {key(network) for network in (teacher, copy)}
    assert len(keys) == 2  # What the teacher itself has answered is not mixed in.
    again = folded.answering(teacher, splits.validation.floats())
    assert key(again) in keys


def test_a_copy_of_a_copy_is_not_made(teacher, splits):
    images = splits.validation.floats()
    copy = folded.answering(teacher, images)
    assert folded.answering(copy, images) is copy
