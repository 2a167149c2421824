"""Means over runs are those of their reports; what cannot be paired is refused."""

import json

import numpy as np
import pytest
from scipy import stats

from distill import aggregate
from distill.studies.compare import aggregate as aggregated


def report(seed, **accuracies):
    models = [
        {
            "name": name,
            "file": f"{name}.{'keras' if name == 'student' else 'tflite'}",
            "accuracy": accuracy,
            "bytes": 1000 + seed,
            "gzip_bytes": 900,
            "packed_bytes": 800,
            "macs": 10,
            "sparsity": 0.5,
            "latency_ms": {"median": 0.25} if name != "student" else None,
        }
        for name, accuracy in accuracies.items()
    ]
    data = {"fingerprint": "abc"}
    return {"run": {"seed": seed, "batch_size": 8}, "data": data, "models": models}


OURS = [
    report(0, student=80.0, int8=80.5, more=1.0),
    report(1, student=82.0, int8=81.0),
    report(2, student=81.0, int8=81.9),
]
THEIRS = [report(seed, int8=accuracy) for seed, accuracy in enumerate([80, 80.1, 81.2])]


def test_means_and_differences_are_those_of_the_reports():
    student, int8 = aggregated.aggregate(OURS, THEIRS)
    assert (student["name"], int8["name"]) == ("student", "int8")
    assert student["accuracy"]["mean"] == 81
    assert student["latency_ms"] is None
    assert student["minus_student"] is None and student["minus_theirs"] is None
    assert int8["bytes"]["mean"] == 1001
    assert int8["latency_ms"]["mean"] == 0.25
    for key, apart in (
        ("minus_student", [0.5, -1.0, 0.9]),
        ("minus_theirs", [0.5, 0.9, 0.7]),
    ):
        expected = stats.ttest_1samp(apart, 0).confidence_interval(0.95)
        assert int8[key]["mean"] == pytest.approx(np.mean(apart))
        assert int8[key]["low"] == pytest.approx(expected.low)
        assert int8[key]["high"] == pytest.approx(expected.high)


def test_the_arena_is_shown_where_a_run_has_one(tmp_path, capsys):
    arenas = [{**one, "models": [dict(m) for m in one["models"]]} for one in OURS]
    for one in arenas:
        one["models"][1]["arena_bytes"] = 5000 + 100 * one["run"]["seed"]
    student, int8 = aggregated.aggregate(arenas)
    assert int8["arena_bytes"]["mean"] == 5100 and student["arena_bytes"] is None
    lines = table(capsys, write_reports(tmp_path, arenas, "arenas"))
    assert "arena kB" in lines[0] and " 5.1 " in lines[3]
    assert not any("arena_bytes" in row for row in aggregated.aggregate(OURS))
    assert "arena" not in table(capsys, write_reports(tmp_path, OURS, "ours"))[0]


def other(key, **change):
    """The run of seed 1, with something else in its config or data."""
    return {**OURS[1], key: {**OURS[1][key], **change}}


def write_reports(tmp_path, reports, name):
    folders = []
    for content in reports:
        folder = tmp_path / f"{name}{content['run']['seed']}"
        folder.mkdir(exist_ok=True)
        (folder / "report.json").write_text(json.dumps(content))
        folders.append(str(folder))
    return folders


def test_the_command_prints_and_writes_what_it_found(tmp_path, capsys):
    ours = write_reports(tmp_path, OURS, "ours")
    theirs = write_reports(tmp_path, THEIRS, "theirs")
    path = tmp_path / "found.json"
    assert aggregate.main([*ours, "--against", *theirs, "--json", str(path)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "81.13" in lines["int8"] and "+0.70" in lines["int8"]
    assert json.loads(path.read_text()) == aggregated.aggregate(OURS, THEIRS)


@pytest.mark.parametrize("count", [1, 3])
def test_one_run_has_no_interval(tmp_path, capsys, count):
    assert aggregate.main(write_reports(tmp_path, OURS[:count], "ours")) == 0
    assert ("[" in capsys.readouterr().out) == (count > 1)


def test_what_cannot_be_paired_is_refused_in_one_line(tmp_path, capsys):
    ours = write_reports(tmp_path, OURS, "ours")
    theirs = write_reports(tmp_path, THEIRS, "theirs")
    colder = write_reports(tmp_path, [OURS[0], other("run", batch_size=9)], "colder")
    elsewhere = write_reports(tmp_path, [other("data", fingerprint="b")], "elsewhere")
    for arguments, cure in (
        ([*ours, "--against", *theirs[::-1]], "same seeds, in the same order"),
        ([*ours, ours[0]], "different seeds"),
        ([str(tmp_path / "none")], "folder of a finished run"),
        ([*colder, "--against", *theirs[:2]], "of one config"),
        ([ours[0], *elsewhere, "--against", *theirs[:2]], "one data set"),
        ([*ours, "--max-kb", "0"], "--max-kb must be positive"),
        ([ours[1], "--against", *elsewhere], "same data set"),
        ([*ours, "--json", str(tmp_path / "no" / "file.json")], "no such folder"),
    ):
        assert aggregate.main(arguments) == 2
        error = capsys.readouterr().err
        assert cure in error and error.count("\n") == 1


def table(capsys, arguments, code=0):
    assert aggregate.main(arguments) == code
    return capsys.readouterr().out.splitlines()


def test_runs_of_other_configs_and_data_stand_beside_and_it_is_said(tmp_path, capsys):
    ours = write_reports(tmp_path, OURS, "ours,seed=")
    other_config = write_reports(tmp_path, [other("run", batch_size=9)], "colder")
    elsewhere = write_reports(
        tmp_path, [other("data", fingerprint="b" * 9)], "elsewhere"
    )
    lines = table(capsys, [*ours, *other_config, *elsewhere])
    rows = [line.split() for line in lines if " int8 " in line]
    assert [row[0].rpartition("/")[2] for row in rows] == [
        "ours",
        "colder1",
        "elsewhere1",
    ]
    assert [row[2] for row in rows] == ["81.13", "81.00", "81.00"]
    assert any("different data" in line and "bbbbbbbb" in line for line in lines)
    assert any("batch_size (8, 9)" in line for line in lines)
    assert not any("different" in line for line in table(capsys, ours))


def test_a_folder_of_runs_means_its_runs_and_the_same_seed_twice_is_two(
    tmp_path, capsys
):
    (tmp_path / "here").mkdir()
    write_reports(tmp_path / "here", OURS, "run,seed=")
    lines = table(capsys, [str(tmp_path / "here")])
    assert any("81.13" in line for line in lines)
    again = write_reports(tmp_path, OURS[:1], "again")
    lines = table(capsys, [str(tmp_path / "here"), *again])
    assert len([line for line in lines if " int8 " in line]) == 2
    assert not any("different" in line for line in lines)


def test_the_best_file_is_the_most_accurate_that_is_never_too_large(tmp_path, capsys):
    ours = write_reports(tmp_path, OURS, "ours")  # Of 1000 to 1002 bytes.
    assert "best file of at most 1.002 kB: int8, 1.0 kB, 81.13 %" in "\n".join(
        table(capsys, [*ours, "--max-kb", "1.002"])
    )
    assert "no file of at most 1.001 kB" in table(capsys, [*ours, "--max-kb=1.001"], 1)
    worse = [{**OURS[0], "models": [dict(OURS[0]["models"][1], failed=["lost"])]}]
    assert (
        "no file"
        in table(capsys, [*write_reports(tmp_path, worse, "worse"), "--max-kb=9"], 1)[
            -1
        ]
    )


def test_a_report_of_another_command_is_one_line(tmp_path, capsys):
    (tmp_path / "report.json").write_text('{"study": {}}')
    assert aggregate.main([str(tmp_path)]) == 2
    assert "report of another command" in capsys.readouterr().err
