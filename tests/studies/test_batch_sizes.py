"""Batch sizes are tried in processes of their own, and never until memory ends."""

import json
import sys

import pytest

from distill import benchmark, config
from distill.runtime import errors
from distill.runtime.process import memory
from distill.studies.speed import batch_sizes, trial

GB = 10**9


def trial_result(rate, peak, examples=10**6):
    stage = {"network": "student", "name": "kd", "images_per_second": rate}
    return {
        "images_per_second": rate,
        "peak_memory_bytes": peak,
        "examples": examples,
        "stages": [stage],
    }


@pytest.fixture
def run():
    return config.load("kd_resnet.yaml", ["batch_size=32"])


def search_sizes(monkeypatch, run, try_size, free):
    """Searches with processes that answer by size; notes the sizes that they had."""
    sizes = []

    def answer(run, steps, limit):
        sizes.append(run.batch_size)
        return try_size(run.batch_size)

    monkeypatch.setattr(trial, "run", answer)
    monkeypatch.setattr(memory, "available", lambda: free)
    return batch_sizes.search(run, steps=1), sizes


@pytest.mark.parametrize("free", [3, 5, 17, 100])
def test_no_size_is_tried_that_could_take_more_than_its_share(monkeypatch, run, free):
    """Of one that does, memory is a base and a share for each image."""

    def peak(size):
        return GB + size * GB // 50

    result, sizes = search_sizes(
        monkeypatch, run, lambda size: trial_result(1.0, peak(size)), free * GB
    )
    limit = batch_sizes.SHARE * free * GB
    assert all(peak(size) <= limit for size in sizes[1:])
    assert 2 * peak(sizes[-1]) > limit  # It did not end long before.
    assert sizes == [batch_sizes.FIRST * 2**power for power in range(len(sizes))]
    assert result["largest"] == sizes[-1]
    assert "GB" in result["ended"]


def test_the_fastest_need_not_be_the_largest(monkeypatch, run):
    rates = {8: 10.0, 16: 30.0, 32: 20.0}
    result, _ = search_sizes(
        monkeypatch, run, lambda size: trial_result(rates[size], GB, 50), 100 * GB
    )
    assert (result["fastest"], result["largest"]) == (16, 32)
    assert result["ended"] == "64: there are 50 training examples"
    table = batch_sizes.table(result, run.batch_size)
    assert "fastest: 16, largest: 32; `batch_size` stays 32" in table
    assert "1.00" in table and "student: kd" in table


def test_one_that_fails_is_the_end_of_the_search(monkeypatch, run):
    def try_size(size):
        return (
            trial_result(1.0, GB) if size < 32 else {"ended": "took more than 3.0 GB"}
        )

    result, sizes = search_sizes(monkeypatch, run, try_size, 100 * GB)
    assert sizes == [8, 16, 32]
    assert result["largest"] == 16
    assert result["ended"] == "32: took more than 3.0 GB"
    with pytest.raises(errors.ConfigError, match="batch of 8 can be trained: out"):
        search_sizes(monkeypatch, run, lambda size: {"ended": "out of it"}, GB)


def child(monkeypatch, tmp_path, code):
    """Lets the process of each trial run this code instead."""
    path = tmp_path / "python"
    path.write_text(f"#!{sys.executable}\n{code}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_one_that_takes_more_than_it_may_is_ended(monkeypatch, tmp_path, run):
    """Whatever was foreseen: nobody waits for it to say so itself."""
    hungry = "import time\nheld = b'x' * 200_000_000\ntime.sleep(60)"
    child(monkeypatch, tmp_path, hungry)
    if not memory.resident_bytes(1):
        pytest.skip("the system does not say what a process holds")
    assert trial.run(run, 1, limit=10**8) == {"ended": "took more than 0.1 GB"}


def test_a_process_is_given_the_run(monkeypatch, tmp_path, run):
    child(
        monkeypatch,
        tmp_path,
        "import json, os, pathlib, sys\n"
        "path, steps = sys.argv[-2:]\n"
        "said = [pathlib.Path(path).read_text(), steps, os.environ['MARK']]\n"
        "print(json.dumps(said))",
    )
    text, *others = trial.run(run, 5, environment={"MARK": "1"})
    (tmp_path / "given.yaml").write_text(text)
    assert config.load(tmp_path / "given.yaml") == run
    assert others == ["5", "1"]


def test_one_that_dies_is_an_error_unless_others_went_before(
    monkeypatch, run, dying_python
):
    def try_size(size):
        if size > batch_sizes.FIRST:
            dying_python(9)
            return trial_run(run, 1)
        return trial_result(1.0, GB)

    trial_run = trial.run
    result, sizes = search_sizes(monkeypatch, run, try_size, 100 * GB)
    assert sizes == [8, 16]
    assert "batches of 32 was ended by SIGKILL (as a rule" in result["ended"]
    dying_python(11)
    with pytest.raises(errors.Killed, match=r"SIGSEGV \(a library crashed\)"):
        search_sizes(monkeypatch, run, lambda size: trial_run(run, 1), 100 * GB)


def test_what_a_process_says_last_is_the_reason(monkeypatch, tmp_path, run):
    child(monkeypatch, tmp_path, "raise SystemExit('no more memory')")
    assert trial.run(run, 1) == {"ended": "no more memory", "code": 1}


def test_a_process_trains_in_batches_of_its_size(tmp_path, capsys):
    """Every stage, weighing as much as it has epochs; ten examples end the search."""
    out = tmp_path / "sizes.json"
    flags = ["--set=teacher.network={name: lenet}", "--set=student={name: lenet}"]
    few = "{train_examples: 20, validation_fraction: 0.5}"
    flags += ["--set=augmentation.shift=0", f"--set=data.options={few}"]
    flags += ["--set=controls=[]"]
    flags += ["--steps=1", "--find-batch-size", f"--json={out}"]
    assert benchmark.main(["--config=kd_resnet.yaml", *flags]) == 0
    result = json.loads(out.read_text())
    assert [size["batch_size"] for size in result["sizes"]] == [8]
    (size,) = result["sizes"]
    names = [(stage["network"], stage["name"]) for stage in size["stages"]]
    assert names == [
        ("teacher", "supervised"),
        ("student", "kd"),
    ]
    epochs = 200, 40
    seconds = [
        count / stage["images_per_second"]
        for count, stage in zip(epochs, size["stages"], strict=True)
    ]
    assert size["images_per_second"] == pytest.approx(sum(epochs) / sum(seconds))
    assert size["peak_memory_bytes"] > 10**8
    assert size["examples"] == 10
    assert "`batch_size` stays 64" in capsys.readouterr().out


@pytest.mark.parametrize("other", ["--peers", "--kernels"])
def test_it_is_no_comparison_with_others(other, capfd):
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--config=kd_resnet.yaml", "--find-batch-size", other])
    stderr = capfd.readouterr().err
    assert stderr.startswith("error: ") and "not allowed with argument" in stderr
    assert stderr.count("\n") == 1
