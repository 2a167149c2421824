"""Stages that learn from unlabelled examples: from the teacher, and only from it."""

import dataclasses

import keras
import numpy as np
import pytest

import students
import trainers
from distill import config, data
from distill.config import finishing
from distill.runtime import errors
from distill.runtime.resume import checkpoint
from distill.studies.compare import controls
from distill.studies.generate import study as generation
from distill.studies.score import plan
from distill.teach import stages
from distill.teach import teacher as teach_teacher
from distill.teach.cache import size
from distill.teach.workspace import Workspace

OPTIONS = "validation_fraction: 0.2, test_fraction: 0.5, unlabelled: {examples: 50}"
SMALL = [
    f"data.options={{train_examples: 60, {OPTIONS}}}",
    "batch_size=16",
    "teacher.network={name: lenet}",
    "student={name: lenet}",
    "stages=[{trainer: {name: kd}, epochs: 2, labelled_share: 0.25}]",
    "stages.0.learning_rate=0.01",
    "controls=[]",
    "finish=[]",
    "augmentation={shift: 1, variants: 2}",
]


def load(*overrides):
    return config.load("lit_resnet.yaml", [*SMALL, *overrides])


RUN = load()


@pytest.fixture(scope="module")
def splits():
    return RUN.data.load()


@pytest.fixture(scope="module")
def teacher():
    """A teacher whose sums are never rounded: no batch can change its answers."""
    network = students.LeNet().build((8, 8, 1), 10)
    rng = np.random.default_rng(0)
    shares = [0.05, 0.9, 0.05]
    network.set_weights(
        [rng.choice([-0.5, 0, 0.5], w.shape, p=shares) for w in network.get_weights()]
    )
    return network


def learned(run, splits, folder, teacher):
    """The weights after all stages, as bytes."""
    work = Workspace(run, splits, folder)
    network, records = stages.train("student", run.stages, work, teacher=teacher)
    metrics = dict(records[-1]["metrics"])
    del metrics["examples_per_second"]
    return [weight.tobytes() for weight in network.get_weights()], metrics


def other(splits):
    """The same, with other pixels in the unlabelled examples."""
    more = dataclasses.replace(
        splits.unlabelled, inputs=splits.unlabelled.floats()[::-1, ::-1]
    )
    return dataclasses.replace(splits, unlabelled=more)


@pytest.mark.parametrize(("weight", "teaches"), [(0.9, True), (0.0, False)])
def test_unlabelled_examples_teach_by_the_teacher_alone(
    weight, teaches, splits, teacher, tmp_path
):
    weight = f"stages.0.trainer.options.kd_weight={weight}"
    run = load(weight, "stages.0.epochs=1")
    first = learned(run, splits, tmp_path / "a", teacher)
    second = learned(run, other(splits), tmp_path / "b", teacher)
    assert (first != second) == teaches


def test_kept_and_live_answers_end_in_the_same_bytes(splits, teacher, tmp_path):
    kept = load("teacher.cache=true")
    wanted = learned(RUN, splits, tmp_path / "live", teacher)
    assert learned(kept, splits, tmp_path / "kept", teacher) == wanted
    files = {p.name: p.stat().st_size for p in tmp_path.rglob("*.rows")}
    # 48 examples give 12 steps of 12 unlabelled ones: almost three passes an epoch.
    names = ["training0", "training1", "unlabelled0", "unlabelled1", "validation0"]
    assert sorted(name.split("_")[0] for name in files) == names
    ((_, _, predicted),) = size.check(kept, splits)
    assert predicted == sum(files.values())


class Interrupted(Exception):
    """The training ends here."""


def test_a_resumed_stage_ends_in_the_same_bytes(splits, teacher, tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_CHECKPOINT_SECONDS", "0")
    wanted = learned(RUN, splits, tmp_path / "whole", teacher)
    save, steps = checkpoint.Store.save, []

    def save_and_stop(self, moment):
        save(self, moment)
        steps.append(1)
        if len(steps) == 7:
            raise Interrupted

    monkeypatch.setattr(checkpoint.Store, "save", save_and_stop)
    with pytest.raises(Interrupted):
        learned(RUN, splits, tmp_path / "part", teacher)
    keras.backend.clear_session()
    assert learned(RUN, splits, tmp_path / "part", teacher) == wanted


def test_a_teacher_is_shared_by_runs_with_and_without_unlabelled_examples(splits):
    alone = load("data.options.unlabelled=null", "stages.0.labelled_share=1")
    keys = [
        teach_teacher.fingerprint(run, some)
        for run, some in ((RUN, splits), (alone, alone.data.load()))
    ]
    assert keys[0] == keys[1]
    fewer = load("data.options.train_examples=50")
    assert teach_teacher.fingerprint(fewer, fewer.data.load()) != keys[0]


def test_a_config_without_the_options_is_written_as_before():
    alone = load("data.options.unlabelled=null", "stages.0.labelled_share=1.0")
    text = config.dump(alone)
    assert "unlabelled" not in text
    assert "labelled_share" not in text
    assert "labelled_share: 0.25" in config.dump(RUN)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["data.options.unlabelled=null"],
            r"`stages\[0\].labelled_share` must be 1 with",
        ),
        (["stages.0.labelled_share=1"], "`data.options.unlabelled` must be left out"),
        (["stages.0.labelled_share=0.01"], "enough for one labelled and one unlab"),
        (["stages.0.labelled_share=0.99"], "enough for one labelled and one unlab"),
        (["stages.0.labelled_share=1.5"], r"`labelled_share` must be in \[0, 1\]"),
        (["stages.0.labelled_share=-1"], r"`labelled_share` must be in \[0, 1\]"),
        (["stages.0.trainer={name: supervised}"], "1 without a trainer that has a"),
        (["teacher.stages.0.labelled_share=0.5"], "1 without a trainer that has a"),
        (
            ["stages.0.synthetic={name: mixup, options: {p_fake: 0.5}}"],
            "`labelled_share` must be 1 beside `synthetic`",
        ),
        (
            ["stages.0.labelled_share=0", "stages.0.task_weight=0.1"],
            "`task_weight` must be 0 with `labelled_share: 0`",
        ),
        (
            ["data.options.unlabelled=null", "data.options.unlabelled={path: nowhere}"],
            "a folder or file that exists",
        ),
        (
            ["finish=[{name: pruned, options: {labelled_share: 0.5, kd_weight: 0}}]"],
            "`labelled_share` must be left out without `kd_weight`",
        ),
        (
            ["finish=[{name: pruned, options: {labelled_share: 2}}]"],
            r"`labelled_share` must be in \[0, 1\]",
        ),
    ],
)
def test_what_has_no_effect_or_cannot_be_is_refused_in_one_line(overrides, words):
    with pytest.raises(errors.ConfigError, match=words) as caught:
        load(*overrides)
    assert "\n" not in str(caught.value)


def test_finishing_without_a_teacher_refuses_them(tmp_path):
    students.LeNet().build((8, 8, 1), 10).save(tmp_path / "a.keras")
    overrides = [
        f"model={tmp_path / 'a.keras'}",
        "data={name: digits}",
        f"data.options={{train_examples: 60, {OPTIONS}}}",
        "finish=[{name: pruned, options: {labelled_share: 0.5}}]",
    ]
    base = tmp_path / "finish.yaml"
    base.write_text("batch_size: 16\n")
    with pytest.raises(errors.ConfigError, match="must be 1 without `teacher`"):
        config.read(finishing.Finishing, base, overrides)
    path = f"teacher={tmp_path / 'a.keras'}"
    assert config.read(finishing.Finishing, base, [*overrides, path])
    idle = "finish=[{name: float32}]"
    with pytest.raises(errors.ConfigError, match="unlabelled` must be left out"):
        config.read(finishing.Finishing, base, [*overrides, path, idle])


def test_texts_refuse_them(tmp_path):
    file = tmp_path / "texts.csv"
    file.write_text("text,label\n" + "".join(f"some {n},{n % 2}\n" for n in range(40)))
    base = tmp_path / "run.yaml"
    options = f"{{train: {file}, text_column: text, label_column: label, tokenizer: "
    options += "{name: bytes, options: {length: 32}}, train_examples: 20, "
    base.write_text(
        f"data: {{name: text_file, options: {options}unlabelled: {{examples: 3}}}}}}\n"
        "teacher: {network: {name: vdcnn, options: {depth: 9}}, "
        "stages: [{trainer: {name: supervised}, epochs: 1}]}\n"
        "student: {name: vdcnn, options: {depth: 9}}\n"
        "stages: [{trainer: {name: kd}, epochs: 1, labelled_share: 0.5}]\n"
    )
    with pytest.raises(
        errors.ConfigError, match=r"unlabelled` must be .* takes images"
    ):
        config.load(str(base))


def test_the_control_of_a_comparison_has_the_labelled_alone_and_as_many_updates():
    whole = controls.with_controls(RUN)
    kd = next(part for part in whole.controls if part.name == "kd")
    (stage,) = kd.stages
    assert stage.labelled_share == 1
    assert stage.epochs == 8
    assert type(stage.trainer) is trainers.KD
    with pytest.raises(errors.ConfigError, match=r"as many epochs.* 2, or 8"):
        load("controls=[{stages: [{trainer: {name: supervised}, epochs: 3}]}]")


def test_scores_are_of_the_training_split_alone():
    rows = plan.plan(RUN)
    assert {row.run.stages[0].labelled_share for row in rows} == {1.0}


def test_a_generator_has_no_use_for_them():
    options = ["data.options={train_examples: 60, unlabelled: {examples: 50}}"]
    with pytest.raises(errors.ConfigError, match="unlabelled` must be left out"):
        config.read(generation.Study, "lit_generator_digits.yaml", options)


def test_labels_are_never_changed(splits):
    before = splits.train.labels.copy()
    source = stages.build_batches(
        Workspace(RUN, splits, None), RUN.stages[0], 0, teacher=None, generator=None
    )
    pairs = zip(splits.train.floats(), before, strict=True)
    names = {image.tobytes(): label for image, label in pairs}
    plain = dataclasses.replace(RUN.augmentation, shift=0, variants=None)
    for part in source.parts:
        part.augmentation = plain
    for step in range(source.steps_per_epoch):
        images, labels = source.batch(step)
        for image, label in zip(images, labels, strict=True):
            assert names.get(image.tobytes(), data.UNLABELLED) == label
    np.testing.assert_array_equal(splits.train.labels, before)
