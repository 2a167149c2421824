"""An option without effect is refused; one that a base config gives is dropped."""

import dataclasses

import pytest

import students
import trainers
from distill import config, data
from distill.compress.finishers import FINISHERS
from distill.config import effect, finishing, roles
from distill.data.synthetic.sources import SOURCES
from distill.runtime.errors import ConfigError
from distill.studies.compare import controls
from distill.studies.tabular import study as tabular
from gan import conditional, generators
from trainers.generators import acgan, stargan

TABLES = (
    students.BUILDERS,
    trainers.TRAINERS,
    data.DATASETS,
    FINISHERS,
    generators.GENERATORS,
    conditional.DISCRIMINATORS,
    SOURCES,
)
KINDS = {kind for table in TABLES for kind in table.values()} | {
    config.Run,
    finishing.Finishing,
    config.Stage,
    roles.Teacher,
    roles.CoTeacher,
    acgan.ACGAN,
    stargan.StarGAN,
}
KD = "stages.1.trainer.options"
ADVERSARIAL = "stages=[{trainer: {name: adversarial}, epochs: 40}]"
CRD = "stages=[{trainer: {name: crd}, epochs: 40}]"
GAME = "stages.0.trainer.options"


def load(*overrides, kind=config.Run, path="lit_resnet.yaml"):
    return config.read(kind, path, overrides)


@pytest.mark.parametrize(
    ("overrides", "name", "reason"),
    [
        (["stages.0.optimizer=adam", "stages.0.momentum=0.5"], "momentum", "sgd"),
        (["stages.0.decay_factor=0.3"], "decay_factor", "without `schedule: step`"),
        ([f"{KD}.match=logits", f"{KD}.temperature=2"], "temperature", "softened"),
        ([f"{KD}.kd_weight=0", f"{KD}.temperature=2"], "temperature", "`kd_weight`"),
        ([f"{KD}.kd_weight=0", f"{KD}.match=logits"], "match", "`kd_weight`"),
        ([ADVERSARIAL, f"{GAME}.noise_rate=0.3"], "noise_rate", "`noise_weight`"),
        (
            [ADVERSARIAL, f"{GAME}={{adversarial_weight: 0, stop_on_collapse: yes}}"],
            "stop_on_collapse",
            "`adversarial_weight`",
        ),
        (
            [CRD, f"{GAME}={{contrastive_weight: 0, embedding_size: 9}}"],
            "embedding_size",
            "`contrastive_weight`",
        ),
        (
            [
                "finish=[{name: pruned, options: "
                "{sparsity: 0.5, pattern: 2_of_4, rise: 0.5}}]"
            ],
            "rise",
            "`pattern: unstructured`",
        ),
        (
            [
                "finish=[{name: pruned, options: "
                "{sparsity: 0.5, pattern: 2_of_4, every: 5}}]"
            ],
            "every",
            "`pattern: unstructured`",
        ),
        (
            ["finish=[{name: pruned, options: {scope: kernel, budget: {keep: 0.5}}}]"],
            "budget",
            "without `scope: auto or network`",
        ),
        (
            ["finish=[{name: pruned, options: {budget: {keep: 0.5}, sparsity: 0.5}}]"],
            "sparsity",
            "beside `budget`",
        ),
        (["finish=[]", "max_accuracy_drop=2"], "max_accuracy_drop", "`finish`"),
        (
            ["finish.3.options={kd_weight: 0, temperature: 2}"],
            "temperature",
            "`kd_weight`",
        ),
        (
            [f"{GAME}={{section_weight: 0, section_noise: 0.1}}"],
            "section_noise",
            "`section_weight`",
        ),
        (
            ["stages.1.synthetic={name: munge, options: {p_fake: 0, variance: 2}}"],
            "variance",
            "`p_fake`",
        ),
        (
            [
                "stages=[{trainer: {name: lit_parallel}, epochs: 40}]",
                f"{GAME}.temperature=2",
            ],
            "temperature",
            "`kd_weight`",
        ),
    ],
)
def test_an_option_without_effect_is_refused_in_one_line(overrides, name, reason):
    with pytest.raises(ConfigError) as excinfo:
        load(*overrides)
    message = str(excinfo.value)
    assert f"`{name}` must be left out" in message
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data={name: mnist, options: {test_fraction: 0.3}}"], "`test_fraction`"),
        (
            [
                "stages=[{trainer: {name: supervised}, epochs: 40}]",
                "teacher.cache=on",
                "augmentation.variants=2",
            ],
            "teacher.cache",
        ),
        (
            [
                "stages=[{trainer: {name: supervised}, epochs: 40}]",
                "assistants=[{network: {name: resnet, options: {depth: 14}}, stages: "
                "[{trainer: {name: supervised}, epochs: 1}]}]",
            ],
            "assistants",
        ),
    ],
)
def test_a_part_that_no_stage_uses_is_refused_in_one_line(overrides, words):
    with pytest.raises(ConfigError, match=words):
        load(*overrides)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("finish: [{name: int8, options: {temperature: 2}}]", "finish.0..*temperature"),
        ("finish: [{name: float32}]\naugmentation: {flip: yes}", "augmentation"),
        (
            "finish: [{name: float32}]\nbudget: {max_kb: 9, trials: 0}\n"
            "max_accuracy_drop: 3",
            "max_accuracy_drop",
        ),
        ("finish: [{name: float32}]\nbudget: {max_kb: 9, trials: 0, part: 1}", "part"),
        (
            "finish: [{name: pruned, options: {sparsity: 0.7}}]\nbudget: {max_kb: 9}",
            "finish.0..*sparsity",
        ),
        (
            "finish: [{name: pruned}]\nbudget: {max_kb: 9, among: [int8]}",
            "finish.0.. must be made by the search",
        ),
        ("finish: [{name: float32}]\nteacher_sha256: ab", "teacher_sha256"),
    ],
)
def test_finishing_refuses_options_without_effect(text, words, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"model: {path}\ndata: {{name: digits}}\n{text}\n")
    with pytest.raises(ConfigError, match=words):
        load(kind=finishing.Finishing, path=path)


def test_a_table_refuses_a_validation_split_that_is_never_used():
    options = ["data.options.validation_fraction=0.3"]
    with pytest.raises(ConfigError, match="measured_on: validation"):
        load(*options, kind=tabular.Study, path="tabular_magic.yaml")
    load(
        *options,
        "measured_on=validation",
        kind=tabular.Study,
        path="tabular_magic.yaml",
    )


def test_an_option_at_its_default_is_never_without_effect():
    run = load("stages.0.optimizer=adam", "stages.0.momentum=0.9")
    assert run.stages[0].optimizer == "adam"


def test_a_base_option_that_the_child_makes_ineffective_is_dropped(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "_base_: lit_resnet.yaml\nteacher:\n  network: {name: resnet, options: "
        "{depth: 14}}\naugmentation: {shift: 0}\n"
    )
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"_base_: base.yaml\nteacher: {{file: {mine}, sha256: {'a' * 64}}}")
    teacher = config.load(mine).teacher
    assert teacher.file == str(mine)
    assert teacher.network is None
    assert teacher.stages == ()
    again = tmp_path / "again.yaml"
    again.write_text(
        "_base_: mine.yaml\nteacher: {network: {name: resnet, options: {depth: 20}}, "
        "stages: [{trainer: {name: supervised}, epochs: 1}]}"
    )
    teacher = config.load(again).teacher
    assert (teacher.file, teacher.sha256) == (None, None)
    with pytest.raises(ConfigError, match="`network` must be absent"):
        config.load(mine, ["teacher={file: x, network: {name: lenet}}"])


def test_an_option_is_dropped_for_a_later_one_and_refused_for_an_earlier_one(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "_base_: lit_resnet.yaml\nstages:\n"
        "- {trainer: {name: supervised}, epochs: 40, momentum: 0.5}"
    )
    assert config.load(mine, ["stages.0.optimizer=adam"]).stages[0].momentum == 0.9
    mine.write_text(mine.read_text().replace("momentum: 0.5", "optimizer: adam"))
    with pytest.raises(ConfigError, match="`momentum` must be left out"):
        config.load(mine, ["stages.0.momentum=0.5"])


@pytest.mark.parametrize("kind", sorted(KINDS, key=str), ids=lambda kind: kind.__name__)
def test_conditions_name_existing_options(kind):
    fields = {field.name for field in dataclasses.fields(kind)}
    for name, condition in effect.conditions(kind).items():
        assert {name, *effect.option_names(condition)} <= fields


@pytest.mark.parametrize(
    "overrides",
    [
        [
            "stages.1.schedule=step",
            "stages.1.decay_epochs=[3]",
            "stages.1.decay_factor=0.3",
        ],
        [
            "stages.0.schedule=step",
            "stages.0.decay_epochs=[3]",
            "stages.0.decay_factor=0.3",
        ],
        [
            "stages.1={trainer: {name: adversarial}, epochs: 20}",
            f"{KD}={{stop_on_collapse: yes, noise_weight: 1, noise_rate: 0.2}}",
        ],
    ],
)
def test_the_controls_that_compare_adds_can_be_read_back(overrides, tmp_path):
    run = controls.with_controls(load(*overrides, "controls=[]"))
    path = tmp_path / "run.yaml"
    path.write_text(config.dump(run))
    assert config.load(path) == run


def test_kd_and_finishers_have_the_same_default_weights():
    kd = trainers.KD()
    (stage,) = load("stages=[{trainer: {name: kd}, epochs: 40}]").stages
    finisher = FINISHERS["int8"]()
    weights = {(part.task_weight, part.kd_weight) for part in (kd, finisher)}
    assert weights == {(stage.task_weight, stage.trainer.kd_weight)} == {(0.1, 0.9)}
    assert config.Stage(trainer=trainers.LITParallel(), epochs=1).task_weight == 0
    assert config.Stage(trainer=trainers.Supervised(), epochs=1).task_weight == 1


def test_lit_adversarial_has_the_options_of_both_its_bases():
    names = [
        {field.name for field in dataclasses.fields(kind)}
        for kind in (trainers.LIT, trainers.Adversarial, trainers.LITAdversarial)
    ]
    assert names[0] | names[1] == names[2]
