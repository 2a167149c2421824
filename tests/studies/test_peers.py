"""Peers compute the same steps, are timed in turn, and are missed in one line."""

import gc
import importlib.util
import json

import keras
import numpy as np
import pytest

from distill import benchmark, config
from distill.run import folder
from distill.runtime import errors, versions
from distill.studies.speed import peers
from distill.studies.speed.peers import worker

SMALL = (
    "teacher.network.options={depth: 8, width: 4}",
    "student.options={depth: 8, width: 4, weight_decay: 0.01}",  # Narrow: `strided`.
    "batch_size=8",
    "controls=[]",
)
STAGES = (
    "stages=[{trainer: {name: lit, options: {section_weight: 0.3}}, task_weight: 0.4, "
    "epochs: 1}, {trainer: {name: kd}, task_weight: 0.4, epochs: 1}]"
)


def flags(*more):
    return ["--config=lit_resnet.yaml", *(f"--set={text}" for text in SMALL), *more]


def test_every_peer_finds_the_same_losses(tmp_path, capsys):
    """Three steps from the same weights: losses, gradients, penalty, momentum."""
    is_missing = importlib.util.find_spec("torch") is None
    out = tmp_path / "peers.json"
    # keras.distillation knows no penalty: here it is too small to be seen there.
    stages = [f"--set={STAGES}", "--set=student.options.weight_decay=0.00005"]
    more = ["--peers", "--threads=1", "--rounds=2", "--steps=1", f"--json={out}"]
    assert benchmark.main(flags(*stages, *more)) == 0
    result, output = json.loads(out.read_text()), capsys.readouterr().out
    assert result["threads"] == 1
    assert result["costs"]["student"]["parameters"] > 0
    assert result["costs"]["teacher"]["macs"] > 0
    for method, present in zip(
        result["methods"],
        (["pytorch", "pytorch_compiled"], [*worker.PEERS]),
        strict=True,
    ):
        present = [name for name in present if name not in result["missing"]]
        assert [*method["ratio"]] == [*method["cpu_ratio"]] == present
        own = method["losses"]["own"]
        assert own[0] > own[1] > own[2]  # They do learn.
        for name in present:
            assert method["losses"][name] == pytest.approx(own, rel=worker.TOLERANCE)
            assert len(method["seconds"][name]) == 2
            assert f"{method['ratio'][name]:.2f}" in output
    assert result["methods"][0]["name"] == "lit"
    if is_missing:
        assert "pytorch: not installed: pip install" in output
        pytest.skip("torch is not installed: pip install -e '.[bench]'")


def test_our_steps_are_fused_and_in_the_precision_of_the_run(tmp_path):
    from distill.studies.speed.peers import child, own

    small = (*SMALL, "data={name: digits}", STAGES, "hardware.precision=mixed_bfloat16")
    run = config.load("lit_resnet.yaml", small)
    batch = np.zeros((8, *run.data.input_shape), np.float32), np.zeros(8, np.int64)
    task = child.Task(run, batch, tmp_path / "weights.npz")
    own.costs(task)
    learner = own.Learner(task, run.stages[1])
    gc.collect()
    layers = own.layers(learner._learner)
    assert {layer.dtype_policy.name for layer in layers} == {"mixed_bfloat16"}
    norms = {type(layer).__name__ for layer in layers} - {"Conv2D", "Dense"}
    fused = "_Fused" if keras.backend.backend() == "tensorflow" else ""
    assert norms == {f"{fused}BatchNormalization"}


def test_on_kept_answers_our_steps_are_the_same(tmp_path):
    from distill.studies.speed.peers import child, own

    images, actual = np.random.default_rng(0).random((8, 8, 8, 1), np.float32), {}
    for cache in ("null", "true"):
        small = *SMALL, "augmentation={}", STAGES, f"teacher.cache={cache}"
        run = config.load("lit_resnet.yaml", small)
        task = child.Task(run, (images, np.arange(8) % 10), tmp_path / "weights.npz")
        if not actual:
            own.costs(task)
        for index, stage in enumerate(run.stages):
            learner = own.Learner(task, stage)
            if cache == "true":  # Nobody asks it any more.
                teacher = learner._learner.teacher
                teacher.set_weights([0 * value for value in teacher.get_weights()])
            actual[cache, index] = [learner.loss() for _ in range(3)]
    for index in range(2):
        np.testing.assert_allclose(actual["true", index], actual["null", index], 1e-5)


class Fake:
    """A worker whose steps take what it is told."""

    def __init__(self, name, seconds, losses, calls):
        self.methods = ["kd"]
        self._name, self._calls = name, calls
        self._seconds, self._losses = iter(seconds), losses

    def send(self, stage, check):
        self._calls.append(self._name)

    def answer(self):
        return self._losses

    def ask(self, stage, steps):
        self._calls.append(self._name)
        seconds = next(self._seconds)
        return {"seconds": seconds, "cpu_seconds": 3 * seconds}


def _timed(theirs, calls=None):
    calls = [] if calls is None else calls
    workers = {
        "own": Fake("own", [9.0, 1.0, 2.0, 4.0], [3.0, 2.0], calls),
        "other": Fake("other", [1.0, 2.0, 3.0, 4.0], theirs, calls),
    }
    losses, _ = worker.compare_losses(0, "kd", workers)
    return worker.time_rounds(0, losses, workers, rounds=3, steps=5)


def test_peers_are_timed_in_turn_and_compared_round_by_round():
    calls = []
    actual = _timed([3.0, 2.0], calls)
    assert calls == ["own", "other"] * 5  # Compared, warmed up, and timed thrice.
    assert actual["ratio"] == actual["cpu_ratio"] == {"other": 1.5}  # Of 2, 1.5 and 1.
    assert actual["ratio_range"] == actual["cpu_ratio_range"] == {"other": [1.0, 2.0]}
    assert actual["seconds"]["other"] == [2.0, 3.0, 4.0]
    assert actual["cpu_seconds"]["own"] == [3.0, 6.0, 12.0]


def test_who_computes_something_else_is_not_timed():
    with pytest.raises(RuntimeError, match="other computes another kd"):
        _timed([3.0, 2.001])


def test_who_differs_or_ends_can_be_left_out():
    def ends():
        raise errors.Killed("by SIGKILL")

    workers = {
        "own": Fake("own", [1.0], [3.0], []),
        "other": Fake("other", [1.0], [4.0], []),
        "gone": Fake("gone", [1.0], [3.0], []),
    }
    workers["gone"].answer = ends
    losses, out = worker.compare_losses(
        0, "kd", workers, worker.PLAIN._replace(alone=True)
    )
    assert losses["own"] == [3.0]
    assert "other computes another kd" in out["other"]
    assert out["gone"] == "by SIGKILL"
    with pytest.raises(RuntimeError):
        worker.compare_losses(0, "kd", workers)


def test_who_has_other_networks_is_not_timed():
    costs = {"own": {"teacher": {"macs": 1}}, "other": {"teacher": {"macs": 2}}}
    with pytest.raises(RuntimeError, match="other has other networks"):
        peers.require_equal(costs)


def test_the_table_has_rates_ratios_and_who_is_missing():
    result = {
        "threads": 2,
        "packages": {"own": "Keras 3"},
        "missing": {"pytorch": peers._CURE},
        "costs": {"teacher": {"macs": 1000}, "student": {"macs": 10}},
        "peak": {"float32": 1e6},
        "methods": [
            {"name": "kd", "precision": "float32", **_timed([3.0, 2.0])},
        ],
    }
    text = peers.table(result, 128)
    (row,) = [line for line in text.splitlines() if "other" in line and "kd" in line]
    # 2 x 128 x (1000 + 3 x 10) operations in three seconds, of 1e6 in each.
    expected = ["kd", "float32", "other", "3000.0", "43", "9", "%"]
    assert row.split() == expected + 2 * ["1.50", "(1.00", "to", "2.00)"]
    assert "peak: 0 GFLOP/s in float32, the fastest product" in text
    assert "pytorch: not installed: pip install -e '.[bench]'" in text
    assert "threads: 2" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("student.options.shortcut=zero_pad", "`student` must be a resnet with"),
        ("teacher.network.options.activation_order=pre", "`teacher.network` must be"),
        ("stages=[{trainer: {name: dkd}, epochs: 1}]", "`stages[0].trainer` must be"),
        ("teacher.cache={top_k: 3}", "`teacher.cache` must be true for --peers"),
        ("teacher.cache={precision: float16}", "`teacher.cache` must be true"),
        (
            "stages=[{trainer: {name: kd, options: {match: logits}}, epochs: 1}]",
            "`stages[0].trainer` must be",
        ),
    ],
)
def test_what_no_peer_computes_is_refused_in_a_line(change, words, capfd):
    plain = "--set=augmentation={}"
    assert benchmark.main([*flags(plain, f"--set={change}"), "--peers"]) == 2
    assert words in capfd.readouterr().err


@pytest.mark.parametrize("more", [["--threads=0", "--peers"], ["--threads=2"]])
def test_threads_are_at_least_one_and_of_peers(more, capfd):
    assert benchmark.main(flags(*more)) == 2
    assert "--threads must be at least 1, and needs --peers" in capfd.readouterr().err


def test_a_peer_that_ends_is_named(tmp_path):
    (tmp_path / "run.yaml").write_text("nothing: 1")
    with pytest.raises(RuntimeError, match=r"the process of pytorch ended: .*nothing"):
        worker.Worker("pytorch", tmp_path, 1)


def test_a_peer_that_dies_is_named_with_its_signal(tmp_path, dying_python):
    dying_python(9)
    with pytest.raises(errors.Killed, match=r"the process of pytorch was .*SIGKILL"):
        worker.Worker("pytorch", tmp_path, 1)


def test_a_run_begun_on_other_kernels_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv(versions.KERNELS, raising=False)
    folder.check_ground(tmp_path, versions.versions())
    monkeypatch.setenv(versions.KERNELS, "1")
    with pytest.raises(errors.ConfigError, match=f"{versions.KERNELS}: as .* -> 1"):
        folder.check_ground(tmp_path, versions.versions(), yields=False)
