"""Laws of the comparison: fair arms, one run each, and nothing made up."""

import dataclasses
import hashlib
import html
import json
import pathlib
import re

import numpy as np
import pytest

import trainers
from distill import compare, config
from distill.run import conductor, folder, preflight
from distill.runtime import errors, versions
from distill.runtime.files import atomic_write
from distill.runtime.process import signals
from distill.studies.compare.controls import with_controls
from distill.studies.compare.jobs import plan

BOTH = ("lit_resnet.yaml", "kd_resnet.yaml")


def lit(*overrides):
    return config.load("lit_resnet.yaml", ["controls=[]", *overrides])


def controls(run):
    return {control.name: control for control in with_controls(run).controls}


def test_the_standard_controls_have_the_students_updates_and_optimizer():
    run = lit("stages.0.optimizer=adam", "stages.0.learning_rate=0.003")
    actual = controls(run)
    assert list(actual) == ["scratch", "kd"]
    for control in actual.values():
        (stage,) = control.stages
        assert stage.epochs == sum(each.epochs for each in run.stages)
        assert (stage.optimizer, stage.learning_rate) == ("adam", 0.003)
        assert stage.schedule == "cosine"
    assert type(actual["scratch"].stages[0].trainer) is trainers.Supervised
    assert actual["scratch"].stages[0].task_weight == 1


def test_plain_kd_is_tuned_as_the_runs_own_or_by_default():
    own = lit("stages.1.trainer.options.temperature=7", "stages.1.task_weight=0.3")
    (stage,) = controls(own)["kd"].stages
    assert stage.trainer == trainers.KD(kd_weight=0.9, temperature=7.0)
    assert stage.task_weight == 0.3
    alone = dataclasses.replace(own, stages=own.stages[:1])
    (stage,) = controls(alone)["kd"].stages
    assert stage.trainer == trainers.KD()
    assert stage.task_weight == 0.1


def test_a_student_of_one_stage_lends_its_schedule():
    run = lit("stages.0.schedule=step", "stages.0.decay_epochs=[5, 9]")
    run = dataclasses.replace(run, stages=run.stages[:1])
    for control in controls(run).values():
        assert control.stages[0].decay_epochs == (5, 9)
        assert control.stages[0].schedule == "step"


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_controls_have_as_many_updates_where_one_takes_several_batches(steps):
    game = trainers.Adversarial(discriminator_steps=steps)
    run = lit("stages.0.schedule=step", "stages.0.decay_epochs=[1, 6, 12]")
    first, second = (dataclasses.replace(s, epochs=18) for s in run.stages)
    first = dataclasses.replace(first, trainer=game)
    alone = dataclasses.replace(run, stages=(first,))
    both = dataclasses.replace(run, stages=(first, second))
    for control in ("scratch", "kd"):
        (stage,) = controls(alone)[control].stages
        assert stage.epochs == 18 // steps
        assert stage.decay_epochs == {1: (1, 6, 12), 2: (3, 6), 3: (2, 4)}[steps]
        (stage,) = controls(both)[control].stages
        assert stage.epochs == 18 // steps + 18
        assert stage.schedule == "cosine"


def test_a_schedule_whose_every_decay_is_within_an_epoch_is_none():
    run = lit("stages.0.schedule=step", "stages.0.decay_epochs=[1]")
    game = trainers.Adversarial(discriminator_steps=2)
    (first,) = (dataclasses.replace(s, trainer=game) for s in run.stages[:1])
    (stage,) = controls(dataclasses.replace(run, stages=(first,)))["scratch"].stages
    assert (stage.schedule, stage.decay_epochs) == ("constant", ())


def test_a_control_of_the_configs_own_stands_for_the_standard_one():
    run = config.load("lit_resnet.yaml", ["controls.0.stages.0.learning_rate=0.05"])
    assert list(controls(run)) == ["control", "kd"]
    assert controls(run)["control"] == run.controls[0]
    # Its student is plain KD already.
    assert list(controls(config.load("kd_resnet.yaml"))) == ["control"]


def test_an_adversary_is_compared_with_none_in_the_same_stages():
    run = lit()
    assert "no_adversarial" not in controls(run)
    last = dataclasses.replace(
        run.stages[1], trainer=trainers.Adversarial(temperature=3.0)
    )
    run = dataclasses.replace(run, stages=(run.stages[0], last))
    actual = controls(run)
    assert list(actual) == ["scratch", "kd", "no_adversarial"]
    assert actual["kd"].stages[0].trainer == trainers.KD()
    first, second = actual["no_adversarial"].stages
    assert first == run.stages[0]
    assert second.trainer == trainers.Adversarial(
        temperature=3.0, adversarial_weight=0.0
    )
    assert dataclasses.replace(second, trainer=last.trainer) == last


def test_the_standard_controls_see_real_examples_alone():
    comparison = config.load("gan_tsc_resnet.yaml", ["controls=[]"])
    added = controls(comparison)
    assert list(added) == ["scratch", "kd"]
    stages = [control.stages[0] for control in added.values()]
    assert [stage.synthetic for stage in stages] == [None, None]
    assert stages[1].trainer == comparison.stages[0].trainer
    real = config.load("gan_tsc_resnet.yaml")
    assert "kd" not in controls(real)  # Its own control `real` is that.


def test_a_control_without_adversary_does_not_end_the_run():
    run = config.load(
        "gan_resnet.yaml", ["stages.0.trainer.options.stop_on_collapse=true"]
    )
    (stage,) = controls(run)["no_adversarial"].stages
    assert not stage.trainer.stop_on_collapse
    assert stage.trainer.adversarial_weight == 0


def test_adding_controls_twice_adds_nothing():
    once = with_controls(lit())
    assert with_controls(once) == once


def test_all_runs_share_one_place_for_teachers_and_seeds_go_up(tmp_path):
    jobs = plan(BOTH, 3, tmp_path, overrides=["seed=4"])
    assert [job.run.seed for job in jobs] == [4, 4, 5, 5, 6, 6]
    assert len({job.folder for job in jobs}) == 6
    assert {job.folder.parent for job in jobs} == {tmp_path}
    assert all(job.run.finish for job in jobs)
    assert not any(job.run.finish for job in plan(BOTH, 1, tmp_path, finish=False))


CLASH = "controls=[{name: kd, stages: [{trainer: {name: lit}, epochs: 40}]}]"


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--configs", *BOTH, "--seeds=0"], "--seeds must be at least 1"),
        (["--configs", BOTH[0], BOTH[0]], "different names"),
        (["--configs", BOTH[0], "none.yaml"], "none.yaml: no such file"),
        (["--configs", BOTH[0], "shifted.yaml"], "must agree in `data`"),
        (["--configs", BOTH[0], "later.yaml"], "must agree in `seed`"),
        (["--configs", BOTH[0], f"--set={CLASH}"], "of different names"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_trains_nothing(
    flags, word, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(conductor, "train", None)
    base = "_base_: lit_resnet.yaml\n"
    pathlib.Path("shifted.yaml").write_text(
        f"{base}data: {{options: {{test_fraction: 0.4}}}}"
    )
    pathlib.Path("later.yaml").write_text(f"{base}seed: 1")
    assert compare.main(flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert word in line
    assert not pathlib.Path("runs").exists()


class Fake:
    """`conductor.train` without training: every model has a number made of its name."""

    def __init__(self, stop_at=None, failed=()):
        self.trained, self.stop_at, self.failed = [], stop_at, failed

    def __call__(self, run, folder):
        if len(self.trained) == self.stop_at:
            raise signals.Stopped(2)
        self.trained.append(folder.name)
        names = ["teacher", "student", *(control.name for control in run.controls)]
        files = [f"{name}.keras" for name in names]
        files += [f"student.{config.name_of(part)}.tflite" for part in run.finish]
        comparison = {
            "data": {"name": "digits", "train": 270, "test": 899, "fingerprint": "0f"},
            "machine": "Some CPU",
            "versions": versions.versions(),
            "models": [self.model(folder.name, run.seed, file) for file in files],
        }
        folder.mkdir(exist_ok=True)
        atomic_write(folder / "report.json", json.dumps(comparison))
        return comparison

    def model(self, place, seed, file):
        name = file.rsplit(".", 1)[0]
        key = f"{seed}" if name == "teacher" else f"{place}{name}"
        digest = hashlib.sha256(key.encode()).hexdigest()
        return {
            "name": name,
            "file": file,
            "sha256": digest,
            "accuracy": 95 + int(digest[:4], 16) / 2**16,
            "agreement_with_teacher": 97.0,
            "bytes": 10_000 + int(digest[4:8], 16),
            "failed": ["too bad"] if (seed, name) in self.failed else [],
        }


@pytest.fixture
def run_compare(tmp_path, monkeypatch):
    """Runs a comparison of the shipped configs; returns code and numbers."""

    def run(*flags, fake=None, seeds=2):
        fake = fake or Fake()
        monkeypatch.setattr(conductor, "train", fake)
        out = tmp_path / "out"
        flags = ["--configs", *BOTH, f"--seeds={seeds}", f"--out={out}", *flags]
        code = compare.main(flags)
        comparison = out / "compare.json"
        return (
            code,
            fake.trained,
            json.loads(comparison.read_text()) if comparison.exists() else {},
        )

    return run


def test_what_is_finished_is_never_run_again(run_compare):
    _, runs_trained, first = run_compare()
    assert len(runs_trained) == len(set(runs_trained)) == 4
    code, runs_trained, again = run_compare()
    assert (code, runs_trained, again) == (0, [], first)
    _, runs_trained, more = run_compare(seeds=3)
    assert runs_trained == ["lit_resnet,seed=2", "kd_resnet,seed=2"]
    assert more["seeds"] == [0, 1, 2]


def test_interrupted_it_goes_on_where_it_was(run_compare):
    whole = ["lit_resnet,seed=0", "kd_resnet,seed=0", "lit_resnet,seed=1"]
    code, runs_trained, comparison = run_compare(fake=Fake(stop_at=3))
    assert (code, runs_trained, comparison) == (130, whole, {})
    code, runs_trained, comparison = run_compare()
    assert (code, runs_trained) == (0, ["kd_resnet,seed=1"])
    assert len(comparison["runs"]) == 4


def test_a_folder_of_another_comparison_is_refused_before_any_training(
    run_compare, capsys
):
    run_compare(seeds=1)
    code, runs_trained, _ = run_compare("--set=batch_size=32")
    assert (code, runs_trained) == (2, [])
    assert "batch_size: 64 -> 32" in capsys.readouterr().err


@pytest.mark.parametrize("by", ["a later run", "a run around", "preflight"])
def test_a_used_folder_stays_as_it_was_if_the_comparison_is_refused(
    by, run_compare, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    used = out / "kd_resnet,seed=1" if by == "a later run" else out
    (used / "checkpoint").mkdir(parents=True)
    (used / "checkpoint" / "teacher.0.json").write_text("{}")
    if by != "preflight":
        folder.claim(used, config.load("kd_resnet.yaml", ["batch_size=7"]))
        folder.check_ground(used, {"data": "3f"})

    def refuse(run):
        raise errors.ConfigError("by preflight")

    if by == "preflight":
        monkeypatch.setattr(preflight, "check", refuse)

    def files():
        paths = (path for path in out.rglob("*") if path.name != ".lock")
        return {p: p.is_dir() or (p.read_bytes(), p.stat().st_ino) for p in paths}

    before = files()
    assert run_compare()[:2] == (2, [])
    (line,) = capsys.readouterr().err.splitlines()
    words = {"a later run": "another config", "a run around": "other data"}
    assert words.get(by, by) in line
    assert files() == before


def test_the_numbers_are_those_of_the_runs(run_compare, tmp_path):
    *_, comparison = run_compare(seeds=3)
    runs = {
        config_: [
            {m["name"]: m["accuracy"] for m in json.loads(path.read_text())["models"]}
            for path in sorted((tmp_path / "out").glob(f"{config_},*/report.json"))
        ]
        for config_ in ("lit_resnet", "kd_resnet")
    }
    for model in comparison["models"]:
        values = [run[model["model"]] for run in runs[model["config"]]]
        assert model["accuracy"]["values"] == values
        assert model["accuracy"]["mean"] == pytest.approx(np.mean(values))
        assert model["accuracy"]["sd"] == pytest.approx(np.std(values, ddof=1))
    pairs = [(each["of"], each["to"]) for each in comparison["differences"]]
    assert pairs == [
        ("lit_resnet.student", "lit_resnet.control"),
        ("lit_resnet.student", "lit_resnet.kd"),
        ("kd_resnet.student", "kd_resnet.control"),
        ("kd_resnet.student", "lit_resnet.student"),
    ]
    for each in comparison["differences"]:
        (a, b), (c, d) = each["of"].split("."), each["to"].split(".")
        expected = [x[b] - y[d] for x, y in zip(runs[a], runs[c], strict=True)]
        assert each["values"] == pytest.approx(expected)
    updates = {m["name"]: m["updates"] for m in comparison["models"] if m["updates"]}
    assert set(updates.values()) == {40 * (270 // 64)}
    assert len(updates) == 5


def test_a_shared_teacher_is_listed_once(run_compare):
    *_, comparison = run_compare()
    assert [m["name"] for m in comparison["models"] if m["family"] == "teacher"] == [
        "teacher"
    ]


class Micro(Fake):
    """As runs for TFLite Micro, beside a reference that seed 1 could not measure."""

    def model(self, place, seed, file):
        model = super().model(place, seed, file)
        runs = file == "student.int8.tflite"
        return model | {"arena_bytes": 5000 + 100 * seed if runs else None}

    def __call__(self, run, folder):
        report = super().__call__(run, folder)
        for name in ("reference.some", *([] if run.seed else ["reference.late"])):
            model = {**self.model("", 0, f"{name}.tflite"), "arena_bytes": 7000}
            report["models"].append(model)
        (folder / "report.json").write_text(json.dumps(report))
        return report


def test_arenas_and_references_are_shown_where_runs_have_them(
    run_compare, tmp_path, capsys
):
    *_, comparison = run_compare(fake=Micro())
    known = {
        m["name"]: m["arena_bytes"] for m in comparison["models"] if "arena_bytes" in m
    }
    assert {name: each["mean"] for name, each in known.items()} == {
        "lit_resnet.student.int8": 5050,
        "lit_resnet.reference.some": 7000,
        "kd_resnet.student.int8": 5050,
    }
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 100
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "arena kB" in output and "in TFLite Micro" in page
    assert 'class="point reference' in page
    assert "7.0" in next(x for x in output.splitlines() if "reference.some" in x)


def test_table_and_page_say_it_all(run_compare, tmp_path, capsys):
    _, _, comparison = run_compare(fake=Fake(failed=[(1, "student.int8")]), seeds=5)
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 100
    page = html.unescape((tmp_path / "out" / "compare.html").read_text())
    for model in comparison["models"]:
        number = f"{model['accuracy']['mean']:.2f}"
        row = next(line for line in output.splitlines() if f" {model['name']} " in line)
        assert number in row
        assert row.startswith("x") == bool(model["failed"])
        assert f"{model['name']}" in page
        assert number in page
    for each in comparison["differences"]:
        text = f"[{each['low']:+.2f}, {each['high']:+.2f}]"
        assert text in output
        assert text in page
    for run in comparison["runs"]:
        assert f'href="{run["config"]}%2Cseed%3D{run["seed"]}/report.html"' in page
    assert "seed 1: too bad" in page
    assert "arena" not in output and "Micro" not in page
    clear = sum(each["clear_of_zero"] for each in comparison["differences"])
    assert 0 < clear < len(comparison["differences"])
    assert page.count('<g class="h1">') == output.count(" clear\n") == clear
    assert f"{clear} of 4 differences are clear of zero" in page
    assert page.count("<svg") == 2 + len(comparison["differences"])
    assert not re.search(
        r"<script|<link|<iframe|https?:|src=|url\(", page.split("<pre")[0]
    )


def test_a_broken_promise_in_any_seed_is_a_1(run_compare):
    assert run_compare(fake=Fake(failed=[(1, "student.int8")]))[0] == 1


def test_one_seed_says_that_it_has_no_interval(run_compare, tmp_path, capsys):
    code, _, comparison = run_compare("--no-finish", seeds=1)
    assert code == 0
    assert "--seeds 2" in comparison["warnings"][0]
    assert {each["low"] for each in comparison["differences"]} == {None}
    assert "nan" not in capsys.readouterr().out
    assert "Keras files" in (tmp_path / "out" / "compare.html").read_text()


def test_unequal_updates_of_two_students_are_said(tmp_path, monkeypatch):
    other = tmp_path / "longer.yaml"
    other.write_text(
        "_base_: kd_resnet.yaml\ncontrols: []\n"
        "stages: [{trainer: {name: kd}, epochs: 50}]\n"
    )
    monkeypatch.setattr(conductor, "train", Fake())
    out = tmp_path / "out"
    compare.main(["--configs", BOTH[0], str(other), "--seeds=2", f"--out={out}"])
    comparison = json.loads((out / "compare.json").read_text())
    assert "lit_resnet 160, longer 200" in comparison["warnings"][0]


@pytest.mark.parametrize("accumulated", [1, 3])
@pytest.mark.parametrize("steps", [1, 2])
def test_updates_are_those_of_the_optimizer(steps, accumulated, tmp_path, monkeypatch):
    game_config = tmp_path / "played.yaml"
    game_config.write_text(
        "_base_: gan_resnet.yaml\ncontrols: []\nfinish: []\n"
        "stages: [{trainer: {name: adversarial, options: "
        f"{{discriminator_steps: {steps}}}}}, epochs: 12}}]\n"
        f"hardware: {{gradient_accumulation: {accumulated}}}\n"
    )
    monkeypatch.setattr(conductor, "train", Fake())
    out = tmp_path / "out"
    compare.main(["--configs", str(game_config), "--seeds=2", f"--out={out}"])
    comparison = json.loads((out / "compare.json").read_text())
    updates = {m["model"]: m["updates"] for m in comparison["models"] if m["updates"]}
    assert list(updates) == ["student", "scratch", "kd", "no_adversarial"]
    # 270 examples in batches of 64 are 4 steps an epoch.
    assert set(updates.values()) == {12 * 4 // (steps * accumulated)}
    assert not comparison["warnings"]


TINY = """
_base_: kd_resnet.yaml
data: {options: {train_examples: 100}}
batch_size: 30
teacher: {network: {options: {depth: 8, width: 4}}, stages: [
  {trainer: {name: supervised}, epochs: 2}]}
student: {options: {width: 4}}
stages: [{trainer: {name: kd}, task_weight: 0.1, epochs: 1}]
controls: []
finish: []
"""


def test_a_real_comparison_shares_teachers_and_repeats_nothing(tmp_path, capfd):
    tiny, out = tmp_path / "tiny.yaml", tmp_path / "out"
    tiny.write_text(TINY)
    flags = ["--configs", str(tiny), "--seeds=2", f"--out={out}"]
    assert compare.main(flags) == 0
    comparison = json.loads((out / "compare.json").read_text())
    (difference,) = comparison["differences"]
    assert difference["to"] == "tiny.scratch"
    assert difference["n"] == 2
    assert len(list((out / "teachers").iterdir())) == 2
    for run in comparison["runs"]:
        assert (out / run["page"]).exists()
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.keras")}
    assert "Epoch" in "".join(capfd.readouterr())
    assert compare.main(flags) == 0
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*.keras")}
    assert "Epoch" not in "".join(capfd.readouterr())
    assert json.loads((out / "compare.json").read_text()) == comparison
