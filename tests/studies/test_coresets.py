"""Weights that are drawn keep sums on average, and errors keep what was promised."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from sklearn import datasets

from distill.compress.prune import scores
from distill.runtime import errors
from distill.studies.coresets import __main__ as command
from distill.studies.coresets import sampling

ROOT = pathlib.Path(__file__).parents[2]
RNG = np.random.default_rng(0)
KERNEL, PATCHES = RNG.normal(size=(12, 4)), np.maximum(RNG.normal(size=(30, 12)), 0)
SHARES = scores.sensitivities(KERNEL, PATCHES)
BOTH = np.concatenate([PATCHES, -PATCHES + RNG.uniform(size=PATCHES.shape)])


def many(way, count, times=400):
    rng = np.random.default_rng(0)
    return [sampling.DRAWN[way](KERNEL, SHARES, count, rng) for _ in range(times)]


@pytest.mark.parametrize("way", sampling.DRAWN)
def test_drawn_weights_are_the_kernel_on_average(way):
    found = np.array([kept.kernel for kept in many(way, 6)])
    doubt = found.std(0) / np.sqrt(len(found))
    assert (np.abs(found.mean(0) - KERNEL) < 5 * doubt).all()
    assert (found.std(0) > 0).all()


@pytest.mark.parametrize("way", sampling.DRAWN)
def test_a_weight_stays_in_multiples_of_what_a_draw_is_worth(way):
    kept = many(way, 6, 1)[0]
    rates = SHARES if way == "drawn by sensitivity" else np.ones(SHARES.shape)
    for neuron in range(4):
        total = np.zeros(2, int)
        for weight, left, rate in zip(
            KERNEL[:, neuron], kept.kernel[:, neuron], rates[:, neuron], strict=True
        ):
            same = np.sign(KERNEL[:, neuron]) == np.sign(weight)
            sign = int(weight < 0)
            draws = kept.draws[sign, neuron]
            times = left / weight * draws * rate / rates[same, neuron].sum()
            assert times == pytest.approx(round(times), abs=1e-9)
            total[sign] += round(times)
        assert (total == kept.draws[:, neuron]).all()


@pytest.mark.parametrize("way", sampling.DRAWN)
def test_as_many_weights_stay_as_were_wanted_on_average(way):
    stay = np.mean([np.count_nonzero(kept.kernel) for kept in many(way, 6, 200)])
    assert stay / KERNEL.shape[1] == pytest.approx(6, abs=0.5)


@pytest.mark.parametrize("way", sampling.DRAWN)
def test_sums_exceed_the_error_promised_no_oftener_than_promised(way):
    broken = [
        (
            sampling.relative_errors(KERNEL, kept.kernel, PATCHES)
            > kept.promised[:, None]
        ).mean((0, 2))
        for kept in many(way, 11, 300)
    ]
    # For each example alone, as the promise says.
    assert np.mean(broken, 0).max() <= sampling.DELTA


@pytest.mark.parametrize("way", sampling.DRAWN)
def test_the_promise_solves_the_inequality_that_it_is_from(way):
    kept = many(way, 9, 1)[0]
    for sign, here in enumerate((KERNEL > 0, KERNEL < 0)):
        shares = np.where(here, SHARES, 0)
        random = here.sum(0) * shares.max(0)
        most = shares.sum(0) if way == "drawn by sensitivity" else random
        error, draws = kept.promised[sign], kept.draws[sign]
        exponent = error**2 * draws / (most * (2 + 2 * error / 3))
        np.testing.assert_allclose(2 * np.exp(-exponent), sampling.DELTA)


def test_the_draws_of_the_paper_give_its_error():
    shares, draws = sampling.by_sign(KERNEL, SHARES), np.full((2, 4), 20)
    error = sampling.paper_error(shares, draws, neurons=14, widest=10)
    sums = shares.sum(1)
    wanted = 8 * sums * np.log(14 * 10) * np.log(8 * 14 / 0.05) / error**2
    np.testing.assert_allclose(wanted, draws)


@pytest.mark.parametrize("way", sampling.FIXED)
@pytest.mark.parametrize("patches", [PATCHES, BOTH], ids=["positive", "both"])
def test_dropped_sensitivities_bound_the_error(way, patches):
    shares = scores.sensitivities(KERNEL, patches)
    for count in range(1, 13):
        kept = sampling.FIXED[way](KERNEL, shares, count, None)
        assert (np.count_nonzero(kept.kernel, axis=0) == count).all()
        assert set(kept.kernel.ravel()) <= {0, *KERNEL.ravel()}
        found = sampling.relative_errors(KERNEL, kept.kernel, patches)
        assert (found <= kept.promised[:, None] + 1e-12).all()
    # Tight for one dropped weight on the example on which its share is largest.
    one = sampling.FIXED[way](KERNEL, shares, 11, None)
    found = sampling.relative_errors(KERNEL, one.kernel, patches).max(1)
    np.testing.assert_allclose(found.filled(0), one.promised)


@pytest.mark.parametrize("way", sampling.DRAWN | sampling.FIXED)
def test_all_weights_are_the_kernel(way):
    keep = (sampling.DRAWN | sampling.FIXED)[way]
    kept = keep(KERNEL, SHARES, 12, np.random.default_rng(0))
    np.testing.assert_allclose(kept.kernel, KERNEL, rtol=1e-3)
    assert kept.promised.max() < 0.01


def test_each_way_keeps_what_it_is_named_after():
    for way, value in (("sensitivity", SHARES), ("magnitude", np.abs(KERNEL))):
        kept = sampling.FIXED[f"largest {way}"](KERNEL, SHARES, 5, None)
        stays = kept.kernel != 0
        least = np.where(stays, value, np.inf).min(0)
        assert (least >= np.where(stays, 0, value).max(0)).all()
        assert (least > np.where(stays, 0, value).min(0)).all()


def test_errors_are_those_of_sums_over_weights_of_one_sign():
    kept = sampling.FIXED["largest magnitude"](KERNEL, SHARES, 5, None).kernel
    found = sampling.relative_errors(KERNEL, kept, BOTH)
    for s, sign in enumerate((1, -1)):
        for t, side in enumerate((1, -1)):
            for n, row in enumerate(BOTH):
                here = (np.sign(KERNEL) == sign) & (np.sign(row) == side)[:, None]
                whole = (row[:, None] * KERNEL * here).sum(0)
                left = (row[:, None] * kept * here).sum(0)
                error = found[s, t * len(BOTH) + n]
                assert (np.ma.getmaskarray(error) == (whole == 0)).all()
                known = whole != 0
                wanted = np.abs(left - whole)[known] / np.abs(whole[known])
                np.testing.assert_allclose(error.compressed(), wanted)


@pytest.mark.parametrize(
    "flags, line",
    [
        (["--keep", "1"], "--keep must be between 0 and 1. Received: 1.0"),
        (["--keep", "nan"], "--keep must be between 0 and 1. Received: nan"),
        (["--keep", ".5", "0.5"], "--keep must be different shares"),
        (["--seeds", "0"], "--seeds must be at least 1. Received: 0"),
        (["--json", "no/such/file"], "--json: no such folder: no/such"),
        (["--model", "none.keras"], "--model: no such file: none.keras"),
    ],
)
def test_bad_flags_are_refused_in_a_line(tmp_path, capsys, flags, line):
    (tmp_path / "x.keras").touch()
    given = ["--model", str(tmp_path / "x.keras"), "--config", "finish_resnet.yaml"]
    assert command.main([*given, *flags]) == errors.EXIT_BAD_INPUT
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and line in said[0]


def small_network():
    """Random features of digits; the head is fitted to them by least squares."""
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(6, 3, strides=2, name="first")(images)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Conv2D(16, 2, activation="relu", name="second")(x)
    x = keras.layers.Flatten()(x)
    digits = datasets.load_digits()
    features = keras.Model(images, x)(digits.images[..., None] / 16).numpy()
    head = keras.layers.Dense(10, name="head")
    model = keras.Model(images, head(x))
    wanted = np.eye(10)[digits.target]
    ones = np.ones((len(features), 1))
    found = np.linalg.lstsq(np.hstack([features, ones]), wanted, rcond=None)[0]
    head.set_weights([found[:-1], found[-1]])
    return model


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What the command writes of a small network, at all weights, then at few."""
    folder = tmp_path_factory.mktemp("study")
    small_network().save(folder / "small.keras")
    flags = ["--model", str(folder / "small.keras"), "--config", "finish_resnet.yaml"]
    flags += ["--keep", "0.999", "0.4", "--seeds", "2"]
    flags += ["--json", str(folder / "out.json")]
    # In a process of its own: tf_keras stays out of pytest's.
    done = subprocess.run(
        [sys.executable, "-m", "distill.studies.coresets", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "out.json").read_text()) | {"said": done.stdout}


def test_all_weights_give_the_student_which_is_the_same_after_few(report):
    """The kernels are put back, and nothing but kernels changes."""
    whole = [row for row in report["rows"] if row["keep"] == 0.999]
    assert len(whole) == 4
    for row in whole:
        # A weight whose inputs were all zero is never drawn; others may not be zero.
        assert row["kept"] > (0.9 if row["way"] == "drawn by sensitivity" else 0.99)
        assert row["error"] < 1e-3 and row["broken"] < 1e-3
        for found in row["accuracies"]:
            assert found == pytest.approx(report["student"], abs=1.5)


def test_few_weights_are_told_apart(report):
    few = {row["way"]: row for row in report["rows"] if row["keep"] == 0.4}
    assert list(few) == [*sampling.DRAWN, *sampling.FIXED]
    for way, row in few.items():
        assert row["kept"] == pytest.approx(0.4, abs=0.06)
        assert 0 < row["error"] <= row["error_95"] and row["output_error"] > 0
        assert ("draws" in row) == (way in sampling.DRAWN)
        assert len(row["accuracies"]) == (2 if way in sampling.DRAWN else 1)
        assert row["broken"] <= sampling.DELTA
        assert all(one["test"] < report["student"]["test"] for one in row["accuracies"])
        tests = {one["test"] for one in row["accuracies"]}
        assert len(tests) == len(row["accuracies"])
        assert way in report["said"]
    assert few["drawn by sensitivity"]["promised"] < few["drawn at random"]["promised"]
    assert few["drawn by sensitivity"]["paper"] > 1


def test_layers_say_what_they_listen_to_and_what_kfac_keeps(report):
    assert [layer["layer"] for layer in report["layers"]] == ["first", "second", "head"]
    sizes = np.array([9 * 6, 24 * 16, 64 * 10])
    assert [layer["inputs"] for layer in report["layers"]] == [9, 24, 64]
    for layer in report["layers"]:
        assert 1 <= layer["listens_to"] <= layer["inputs"]
    kept = [layer["kfac_keeps"]["0.4"] for layer in report["layers"]]
    assert kept @ sizes / sizes.sum() == pytest.approx(0.4, abs=0.01)
    # Each share is of the whole network again.
    assert all(layer["kfac_keeps"]["0.999"] > 0.99 for layer in report["layers"])
    assert set(report["rank_correlation"]) == {"0.4", "0.999"}
