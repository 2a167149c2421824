"""`hardware.precision: auto` is decided once, by measurement, and kept."""

import contextlib

import pytest

import distill
from distill import benchmark, check, compare, config, score, train
from distill.run import conductor, folder, preflight
from distill.runtime import errors, files, onednn, processor, progress
from distill.runtime.process import distributed
from distill.studies.compare import jobs
from distill.studies.speed import mixed_precision, trial

FLOAT32, BFLOAT16 = mixed_precision.PRECISIONS
AUTO = "hardware.precision=auto"


def load(*more):
    return config.load("kd_resnet.yaml", more)


def trial_result(rate):
    stage = {"network": "student", "name": "kd", "images_per_second": 10 * rate}
    return {"images_per_second": rate, "stages": [stage]}


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A function that sets flags of the processor and files of devices."""
    devices = tmp_path / "dev"
    devices.mkdir()
    monkeypatch.setattr(onednn, "FACTS", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor, "DEVICES", devices)

    def describe(flags, *names):
        onednn.FACTS.write_text(f"flags\t\t: fpu {flags}\n")
        for name in names:
            (devices / name).touch()

    return describe


@pytest.fixture
def trials(monkeypatch, machine):
    """A function that sets images per second; returns the precisions that are tried."""
    machine("avx512_bf16")
    tried = []
    monkeypatch.setattr(trial, "run", None)

    def answer(*rates):
        left = iter(rates)

        def run(run, steps, environment):
            tried.append(run.hardware.precision)
            return trial_result(next(left))

        monkeypatch.setattr(trial, "run", run)
        return tried

    return answer


@pytest.fixture
def lines(monkeypatch):
    """What is said to the user."""
    said = []
    monkeypatch.setattr(progress, "say", said.append)
    return said


@pytest.mark.parametrize(
    ("ratios", "precision"),
    [
        ([1.1], BFLOAT16),
        ([1.09], FLOAT32),
        ([1.4, 1.2, 1.3], BFLOAT16),
        ([2.0, 1.09, 2.0], FLOAT32),  # A lucky median is no proof.
        ([0.5, 0.7], FLOAT32),
    ],
)
def test_every_round_must_be_clearly_faster(ratios, precision):
    assert mixed_precision.faster(ratios) == precision


@pytest.mark.parametrize(
    ("rates", "precision"),
    [
        ([10.0, 12.0, 11.0, 14.0, 9.0, 11.0], BFLOAT16),
        ([10.0, 10.5], FLOAT32),  # The first round decides.
        ([10.0, 12.0, 11.0, 11.0], FLOAT32),
    ],
)
def test_both_are_tried_in_turn_until_one_round_is_lost(
    rates, precision, trials, lines, tmp_path
):
    tried = trials(*rates)
    run = mixed_precision.settle(load(AUTO), tmp_path / "run")
    assert tried == [FLOAT32, BFLOAT16] * (len(rates) // 2)
    # From here on it is any run of this precision.
    explicit = load(f"hardware.precision={precision}")
    assert run == explicit
    assert run.hardware.decides == explicit.hardware.decides
    line = f"auto: {precision} (images/s in float32, in bfloat16: 10, {rates[1]:.0f}"
    assert line in lines[-1]


@pytest.mark.parametrize("precision", mixed_precision.PRECISIONS)
@pytest.mark.usefixtures("trials")
def test_a_precision_that_is_given_is_not_measured(precision, lines, tmp_path):
    run = load(f"hardware.precision={precision}")
    assert mixed_precision.settle(run, tmp_path) is run
    assert not lines


@pytest.mark.parametrize(
    ("flags", "devices", "measures"),
    [
        ("avx2 avx512f avx512_vnni amx_int8", [], False),
        ("", ["nvidiactl", "shm"], False),
        ("avx512_bf16", [], True),
        ("amx_bf16", [], True),
        ("avx2", ["nvidia0"], True),
        ("avx2", ["kfd"], True),
    ],
)
def test_who_has_no_bfloat16_takes_float32_at_once(
    flags, devices, measures, machine, trials, lines, tmp_path
):
    tried = trials(10.0, 9.0)
    machine(flags, *devices)
    run = mixed_precision.settle(load(AUTO), tmp_path / "run")
    assert run.hardware.precision == FLOAT32
    assert bool(tried) == measures
    assert ("not measured" in lines[-1]) != measures


def test_a_run_goes_on_in_what_it_began_with(trials, lines, tmp_path):
    run, place = load(AUTO), tmp_path / "run"
    place.mkdir()
    trials(10.0, 20.0, 10.0, 20.0, 10.0, 20.0)
    first = mixed_precision.settle(run, place)
    folder.claim(place, first)
    tried = trials(10.0, 5.0)
    tried.clear()
    # Before anything is saved in the folder: a teacher's checkpoints are beside it.
    for again in (run, load(AUTO, "track=mlflow")):
        going_on = mixed_precision.settle(again, place)
        assert going_on.hardware.precision == BFLOAT16
        folder.claim(place, going_on)
    assert not tried
    assert f"auto: {BFLOAT16} (as this run began)" in lines[-1]
    # Whoever changes the config before anything is saved gets a new answer.
    other = load(AUTO, "batch_size=7")
    assert mixed_precision.settle(other, place).hardware.precision == FLOAT32
    assert tried == [FLOAT32, BFLOAT16]
    # Afterwards, one refusal that does not wait for a measurement.
    saved = files.checkpoints(place) / "student.0.step1.ckpt"
    saved.parent.mkdir()
    saved.touch()
    with pytest.raises(errors.ConfigError) as excinfo:
        folder.claim(place, mixed_precision.settle(other, place))
    assert str(excinfo.value).count("->") == 1
    assert len(tried) == 2


def test_the_folder_of_a_comparison_is_refused_before_any_measurement(trials, tmp_path):
    folder.check_ground(tmp_path, {"keras": "3.15.1"})
    (tmp_path / "kd_resnet,seed=0").mkdir()
    (tmp_path / "kd_resnet,seed=0" / "student.keras").touch()
    tried = trials(10.0, 9.0)
    with pytest.raises(errors.ConfigError, match="holds a comparison"):
        mixed_precision.settle(load(AUTO), tmp_path)
    assert not tried


@pytest.mark.usefixtures("lines")
def test_two_runs_in_one_folder_do_not_measure_both(trials, tmp_path, monkeypatch):
    tried = trials(10.0, 9.0)

    def interrupt(*_, **__):
        mixed_precision.settle(load(AUTO), tmp_path / "run")

    with monkeypatch.context() as patch:
        patch.setattr(trial, "run", interrupt)
        with pytest.raises(errors.FolderBusy, match="in use"):
            interrupt()
    assert not tried
    mixed_precision.settle(load(AUTO), tmp_path / "run")
    assert tried == [FLOAT32, BFLOAT16]


@pytest.mark.usefixtures("lines")
def test_every_door_decides_first(trials, tmp_path, monkeypatch):
    seen = []

    def stop(run, *_):
        seen.append(run.hardware.precision)
        raise errors.ConfigError("enough")

    monkeypatch.setattr(conductor, "train", stop)
    monkeypatch.setattr(score.plan, "plan", stop)
    flags = ["--config=kd_resnet.yaml", f"--set={AUTO}", "--out"]
    doors = [
        lambda out: train.main([*flags, out]),
        lambda out: score.main([*flags, out]),
        lambda out: distill.train("kd_resnet.yaml", overrides=[AUTO], out=out),
    ]
    for index, door in enumerate(doors):
        trials(*[10.0, 20.0] * mixed_precision.ROUNDS)
        with contextlib.suppress(errors.ConfigError):
            door(str(tmp_path / str(index)))
    assert seen == [BFLOAT16] * len(doors)


def test_all_runs_of_a_comparison_are_in_one_precision(trials, tmp_path, monkeypatch):
    tried, claimed = trials(*[10.0, 20.0] * mixed_precision.ROUNDS), []
    monkeypatch.setattr(preflight, "check", lambda run: None)
    monkeypatch.setattr(folder, "check_ground", lambda *_: None)

    def claim(_, run):
        claimed.append(run.hardware.precision)
        if len(claimed) == 4:
            raise errors.ConfigError("enough")

    monkeypatch.setattr(folder, "claim", claim)
    flags = ["--configs", "kd_resnet.yaml", "lit_resnet.yaml", "--seeds=2"]
    assert compare.main([*flags, f"--set={AUTO}", f"--out={tmp_path}"]) == 2
    assert claimed == [BFLOAT16] * 4
    assert len(tried) == 2 * mixed_precision.ROUNDS  # One measurement for all.


def test_configs_that_leave_it_open_must_all_do_so(tmp_path):
    paths = []
    for name, precision in (("open", "auto"), ("half", BFLOAT16), ("full", FLOAT32)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            f"_base_: kd_resnet.yaml\nhardware: {{precision: {precision}}}\n"
        )
        paths.append(str(path))
    with pytest.raises(
        errors.ConfigError, match=r"must agree in `hardware\.precision`"
    ):
        jobs.plan(paths[:2], 1, tmp_path)
    jobs.plan(paths[1:], 1, tmp_path)  # Two precisions may be what is compared.


@pytest.mark.usefixtures("trials")
def test_several_processes_are_told_to_choose(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "count", lambda: 2)
    with pytest.raises(errors.ConfigError, match=r"processes\. Received: auto, 2"):
        mixed_precision.settle(load(AUTO), tmp_path)


@pytest.mark.parametrize(
    "assignments",
    [
        ["hardware.strategy=tpu"],
        [f"teacher={{onnx: {__file__}}}", "augmentation.variants=2"],
    ],
)
def test_what_cannot_be_measured_is_bad_input(assignments):
    message = r"precision` must be float32 or mixed_bfloat16 with .* Received: 'auto'"
    with pytest.raises(errors.ConfigError, match=message):
        load(AUTO, *assignments)
    load(*assignments)


def test_what_only_reads_a_config_says_when(trials, capfd):
    tried = trials()
    assert check.main(["--config=kd_resnet.yaml", f"--set={AUTO}"]) == 0
    assert "auto is decided when the run starts" in capfd.readouterr().out
    assert benchmark.main(["--config=kd_resnet.yaml", f"--set={AUTO}"]) == 2
    assert "--mixed-precision compares the two" in capfd.readouterr().err
    assert not tried


def test_a_benchmark_compares_the_two_and_says_what_to_write(trials, capfd):
    tried = trials(10.0, 12.0, 20.0, 30.0, 10.0, 12.0)
    flags = ["--config=kd_resnet.yaml", "--mixed-precision", "--rounds=3"]
    assert benchmark.main([*flags, f"--set={AUTO}"]) == 0
    assert tried == [FLOAT32, BFLOAT16] * 3
    text = capfd.readouterr().out
    rows = [line.split() for line in text.splitlines()]
    assert rows[2:4] == [[FLOAT32, "10", "100"], [BFLOAT16, "12", "120"]]
    assert f"1.20 to 1.50: `hardware.precision: {BFLOAT16}`" in text
