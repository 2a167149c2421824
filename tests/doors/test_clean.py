"""What may go is what no run misses; a run that is unfinished or in use stays whole."""

import json
import pathlib

import pytest

from distill import clean
from distill.run.folder import leftovers
from distill.runtime import files as whole_files

FINGERPRINT = "0123456789abcde{}"


def run(folder, *, finished=True, teacher="first", config="teacher: {}"):
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(parents=True)
    (folder / "run.yaml").write_text(config)
    (folder / ".lock").touch()
    (checkpoint / "ground.json").write_text("{}")
    (checkpoint / "student.0.json").write_text("{}")
    (checkpoint / "student.0.keras").write_text("weights")
    if teacher:
        (folder / "teacher.keras").write_text(teacher)
    if finished:
        (folder / "student.keras").write_text("weights")
        (folder / "report.json").write_text(json.dumps({"models": []}))
    return folder


def home(root, kind, number, **files):
    folder = root / kind / FINGERPRINT.format(number)
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    for name, content in files.items():
        (folder / f"{name}.keras").write_text(content)
    return folder


@pytest.fixture
def runs(tmp_path):
    """A finished run and what it used, and what nobody has."""
    run(tmp_path / "done")
    home(tmp_path, "teachers", 0, teacher="first")
    home(tmp_path, "teachers", 1, teacher="other")
    home(tmp_path, "answers", 2, rows="answers")
    home(tmp_path, "generators", 3, generator="g")
    return tmp_path


def removed_files(root, *arguments):
    """What a command removes: paths of files below a folder."""

    def files():
        return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}

    before = files()
    assert clean.main([str(root), *arguments]) == 0
    assert files() <= before
    return {pathlib.Path(path) for path in before - files()}


def of(root, kind, number):
    return {
        path.relative_to(root)
        for path in (root / kind / FINGERPRINT.format(number)).iterdir()
    }


def test_nothing_goes_unless_told(runs, capsys):
    assert removed_files(runs) == set()
    assert "--yes" in capsys.readouterr().out


def test_what_no_run_misses_goes(runs):
    expected = {pathlib.Path("done/checkpoint/student.0.keras")}
    expected |= of(runs, "teachers", 1) | of(runs, "answers", 2)
    expected |= of(runs, "generators", 3)
    assert removed_files(runs, "--yes") == expected
    assert removed_files(runs, "--yes") == set()


def test_an_unfinished_run_keeps_all_that_it_may_want(runs):
    going_on = run(
        runs / "more", finished=False, teacher="", config="teacher: {cache: {top_k: 1}}"
    )
    (runs / "more" / "checkpoint" / "student.1.step3.ckpt").write_text("moment")
    actual = removed_files(runs, "--yes")
    assert actual == {
        pathlib.Path("done/checkpoint/student.0.keras"),
        *(path for path in actual if path.parts[0] == "generators"),
    }
    assert (going_on / "checkpoint" / "student.0.keras").exists()


def test_an_unfinished_run_with_its_teacher_wants_no_other(runs):
    run(runs / "more", finished=False, teacher="first")
    actual = removed_files(runs, "--yes")
    assert {path.parts[0] for path in actual} == {
        "done",
        "teachers",
        "answers",
        "generators",
    }
    assert (runs / "more" / "checkpoint").relative_to(runs) not in {
        path.parent for path in actual
    }


def test_what_a_process_works_in_stays(runs):
    other = runs / "teachers" / FINGERPRINT.format(1)
    with whole_files.lock(runs / "done"), whole_files.lock(other):
        actual = {path.parts[0] for path in removed_files(runs, "--yes")}
    assert actual == {"answers", "generators"}


def test_a_generator_stays_while_a_run_has_one(runs):
    run(runs / "made", config="generator: {epochs: 1}")
    assert "generators" not in {path.parts[0] for path in removed_files(runs, "--yes")}


def test_a_folder_of_that_name_that_is_not_ours_stays(runs):
    mine = runs / "teachers" / "mine"
    mine.mkdir()
    (mine / "teacher.keras").write_text("mine")
    removed_files(runs, "--yes")
    assert (mine / "teacher.keras").exists()


def test_the_trials_of_a_search_are_no_run(runs, capsys):
    trials = runs / "done" / "search"
    trials.mkdir()
    (trials / "run.yaml").touch()
    removed_files(runs)
    assert str(trials) in capsys.readouterr().out
    (runs / "done" / "search.json").write_text("{}")
    removed_files(runs)
    assert str(trials) not in capsys.readouterr().out


def test_a_comparison_below_is_cleaned_too(tmp_path):
    run(tmp_path / "compare-a" / "a,seed=0")
    home(tmp_path / "compare-a", "teachers", 0, teacher="other")
    assert len(removed_files(tmp_path, "--yes")) == 3


def test_a_cleaned_run_is_known_as_one(tmp_path):
    folder = run(tmp_path / "done")
    assert not leftovers.is_cleaned(folder)
    removed_files(tmp_path, "--yes")
    assert leftovers.is_cleaned(folder)
    assert not leftovers.is_cleaned(run(tmp_path / "more", finished=False))


def test_no_folder_is_one_line(tmp_path, capsys):
    assert clean.main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
