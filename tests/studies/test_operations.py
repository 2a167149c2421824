"""A training step's time is divided among the operations that took it."""

import json

import keras
import pytest
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from distill import benchmark
from distill.runtime import versions
from distill.studies.speed import operations

SMALL = [
    "--config=kd_resnet.yaml",
    "--set=teacher.network={name: lenet}",
    "--set=student={name: lenet}",
    "--set=augmentation.shift=0",
    "--set=batch_size=8",
    "--operations",
]
STEPS = 100  # More than there are cores: see `test_times_add_up_to_the_step`.
SECOND = 10**12  # Picoseconds.


def spans(*seconds):
    """Operations from their starts, ends and types."""
    return [(start * SECOND, end * SECOND, kind) for start, end, kind in seconds]


def test_an_operation_has_the_time_that_it_did_not_spend_on_others():
    calls = spans((0, 10, "call"), (0, 3, "add"), (3, 7, "loop"), (4, 6, "add"))
    types, busy = operations._sum_up([calls])
    assert types == {"call": (1, 3.0), "add": (2, 5.0), "loop": (1, 2.0)}
    assert busy == 10


def test_threads_at_once_are_busy_once():
    one = spans((0, 4, "add"), (8, 9, "add"))
    other = spans((1, 2, "mul"), (3, 6, "mul"))
    types, busy = operations._sum_up([one, other, []])
    assert types == {"add": (2, 5.0), "mul": (2, 4.0)}
    assert busy == 7


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """The result for a step of KD between two LeNets."""
    out = tmp_path_factory.mktemp("speed") / "operations.json"
    assert benchmark.main([*SMALL, f"--steps={STEPS}", f"--json={out}"]) == 0
    written = json.loads(out.read_text())
    assert "rounds" not in written
    (result,) = written["stages"]
    return result


def test_every_operation_of_a_step_is_counted(stage):
    types = stage["operations"]
    assert all(each["count"] > 0 for each in types.values())
    # Whose kernels they are, and with a bias or without, TensorFlow decides.
    gradients = [kind for kind in types if "Conv2DBackpropFilter" in kind]
    assert sum(types[kind]["count"] for kind in gradients) == 3  # LeNet's.


def test_times_add_up_to_the_step(stage):
    seconds = [each["seconds"] for each in stage["operations"].values()]
    assert seconds == sorted(seconds, reverse=True)
    assert 0 < stage["idle_seconds"] < stage["profiled_seconds"]
    # More if several threads worked at once, but these are not more than cores.
    together = (sum(seconds) + stage["idle_seconds"]) / stage["profiled_seconds"]
    assert 0.99 < together < max(2, versions.cores())
    assert stage["seconds"] < STEPS / 2 * stage["profiled_seconds"]


def test_threads_are_compared_on_one_clock(tmp_path):
    space = xplane_pb2.XSpace()
    space.planes.add(name="/host:metadata")
    plane = space.planes.add(name="/host:CPU")
    for index, name in enumerate(["a/conv:Conv2D", "Run: a", "ThreadPool", "b:Mul"]):
        plane.event_metadata[index].name = name
    for start in (7, 8):
        line = plane.lines.add(timestamp_ns=start * 10**9)
        for index in range(4):
            event = {"offset_ps": index * SECOND, "duration_ps": SECOND}
            line.events.add(metadata_id=index, **event)
    trace = tmp_path / "host.xplane.pb"
    trace.write_bytes(space.SerializeToString())
    assert operations._read(trace) == [
        spans((7, 8, "Conv2D"), (10, 11, "Mul")),
        spans((8, 9, "Conv2D"), (11, 12, "Mul")),
    ]


def test_a_step_is_profiled_as_it_is_trained(tmp_path):
    out = tmp_path / "operations.json"
    student = "--set=student={name: resnet, options: {depth: 8, width: 4}}"
    half = "--set=hardware.precision=mixed_bfloat16"
    assert benchmark.main([*SMALL, student, half, "--steps=1", f"--json={out}"]) == 0
    (result,) = json.loads(out.read_text())["stages"]
    types = result["operations"]
    assert types["Cast"]["count"] > 20  # Of kernels, and of their gradients.
    assert any("FusedBatchNorm" in kind for kind in types)


def test_the_table_leaves_out_what_takes_no_time(stage):
    long = {"count": 2, "seconds": 0.006}
    short = {"count": 9, "seconds": 0.000001}
    stage = {**stage, "operations": {"Conv2D": long, "Sub": short}}
    stage |= {"idle_seconds": 0.002, "seconds": 0.005, "profiled_seconds": 0.007}
    lines = operations.table({"stages": [stage]}).splitlines()
    assert lines[2].split() == ["Conv2D", "2", "6.00", "75.0", "%"]
    assert lines[3].split() == ["no", "operation", "2.00", "25.0", "%"]
    assert lines[4] == "a step: 5.0 ms, with the profiler 7.0 ms"


def test_cached_answers_are_profiled_without_the_teacher(stage, tmp_path):
    out = tmp_path / "operations.json"
    cached = ["--set=teacher.cache=true", "--steps=1", f"--json={out}"]
    assert benchmark.main([*SMALL, *cached]) == 0
    (result,) = json.loads(out.read_text())["stages"]

    def convolutions(types):
        kinds = [kind for kind in types if kind.endswith("Conv2D")]
        return sum(types[kind]["count"] for kind in kinds)

    whole = convolutions(stage["operations"])
    assert convolutions(result["operations"]) == whole / 2


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--rounds=2", "--rounds must be left out with --find-batch-size and"),
        ("--set=hardware.jit=true", "needs `hardware.jit: false`"),
        ("--set=hardware.precision=auto", "--mixed-precision compares the two"),
        ("--kernels", "not allowed with argument"),
    ],
)
def test_what_cannot_be_profiled_is_refused(flag, expected, capfd):
    try:
        code = benchmark.main([*SMALL, flag])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert expected in capfd.readouterr().err


def test_only_tensorflow_on_a_cpu_has_the_profiler(monkeypatch, capfd):
    with monkeypatch.context() as patch:
        patch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
        assert benchmark.main(SMALL) == 2
    assert "Received: gpu:0" in capfd.readouterr().err
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert benchmark.main(SMALL) == 2
    assert "Received: jax" in capfd.readouterr().err
