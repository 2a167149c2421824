"""The table of a run's time is all of it, and names what is not known of it."""

import json

import pytest

from distill import benchmark
from distill.run import times
from distill.runtime import files, stopwatch
from distill.studies.speed import whole_run


@pytest.fixture
def folder(tmp_path):
    """A run of two commands, the first with a finishing process."""
    checkpoints = files.checkpoints(tmp_path)
    checkpoints.mkdir()
    stopwatch.restart()
    with stopwatch.working("steps", "student"):
        stopwatch.turn_to("validation")
    with stopwatch.working(part="finish"), stopwatch.working(stopwatch.WAITING):
        begun = stopwatch.stretches()[-1].end
        stretch = ["student.int8.tflite", "conversion", begun, begun + 1e9]
        (checkpoints / "times.finish.json").write_text(json.dumps([stretch]))
    times.write(tmp_path)
    with stopwatch.working(part="measure latency"):
        pass
    times.write(tmp_path)
    return tmp_path


def test_the_parts_are_the_whole_of_all_commands(folder):
    result = whole_run.read(folder)
    every = [value for kinds in result["parts"].values() for value in kinds.values()]
    assert result["seconds"] == pytest.approx(sum(every))
    assert result["commands"] == 2
    assert set(result["parts"]["student"]) == {"steps", "validation"}
    # What the other process did counts as long as it was waited for.
    assert 0 < result["parts"]["student.int8.tflite"]["conversion"] < 1e3
    assert "measure latency" in result["parts"]


def test_the_command_prints_a_row_for_each_part_and_their_sum(folder, tmp_path, capsys):
    out = tmp_path / "times.json"
    assert benchmark.main([f"--run={folder}", f"--json={out}"]) == 0
    printed = capsys.readouterr().out
    result = json.loads(out.read_text())
    assert all(part in printed for part in result["parts"])
    assert f"{result['seconds']:.1f}" in printed
    assert "of 2 commands" in printed


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--config FILE, or --run FOLDER"),
        (["--run=runs", "--config=lit_resnet.yaml"], "Received: both"),
        (["--run=runs", "--steps=3"], "--steps must be left out"),
        (["--run=runs", "--seed=3"], "--seed must be left out"),
        (["--run=no_such_folder"], "needs the folder of a run that has ended"),
    ],
)
def test_flags_without_effect_and_a_folder_without_times_are_refused(
    flags, said, capsys
):
    assert benchmark.main(flags) == 2
    assert said in capsys.readouterr().err
