"""Each precision has its rows, and its peak is the fastest product of all peers."""

import importlib.util

import numpy as np
import pytest

from distill import benchmark, config
from distill.studies.speed import peers
from distill.studies.speed.peers import worker


def test_precisions_are_of_peers(capfd):
    assert benchmark.main(["--config=lit_resnet.yaml", "--precisions", "float32"]) == 2
    assert "--precisions needs --peers. Received: float32" in capfd.readouterr().err


def test_each_precision_has_its_rows_its_peak_and_its_tolerance(monkeypatch):
    asked = []

    def side_by_side(run, *, terms, **how):
        asked.append((run.hardware.precision, terms.tolerance, how))
        return {"peak": float(len(asked)), "methods": [{"name": "kd"}], "threads": 1}

    monkeypatch.setattr(peers, "side_by_side", side_by_side)
    run = config.load("lit_resnet.yaml")
    how = {"rounds": 2, "steps": 3, "threads": 1}
    both = ["float32", "mixed_bfloat16"]
    actual = peers.in_precisions(run, both, **how)
    assert asked == [(both[0], 1e-4, how), (both[1], 0.05, how)]
    assert [entry["precision"] for entry in actual["methods"]] == both
    assert actual["peak"] == {"float32": 1.0, "mixed_bfloat16": 2.0}


def test_the_peak_is_the_fastest_product_of_all():
    seconds = iter([3.0, 2.0, 4.0, 5.0])

    class Multiplying:
        def ask(self, product):
            assert product == worker.PRODUCT
            return next(seconds)

    workers = {"own": Multiplying(), "other": Multiplying()}
    assert worker.time_products(workers, 2) == 2 * worker.PRODUCT**3 / 2.0


def test_a_product_is_computed_in_the_precision_of_the_run(tmp_path):
    from distill.studies.speed.peers import child, own

    values = np.full((4, 4), 1.01, np.float32)
    products = {name: own.product(values, name)() for name in ("float32", "bfloat16")}
    assert products["float32"] == pytest.approx(4 * 1.01**2, rel=1e-6)
    assert products["bfloat16"] != pytest.approx(4 * 1.01**2, rel=1e-4)
    run = config.load("lit_resnet.yaml", ("hardware.precision=mixed_bfloat16",))
    asked = []

    class Peer:
        @staticmethod
        def product(values, precision):
            asked.append((values.shape, precision))
            return lambda: None

    assert child._time_product(Peer, child.Task(run, (), tmp_path), 3) >= 0
    assert asked == [((3, 3), "bfloat16")]


def test_without_a_compiler_the_compiled_peer_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(peers.shutil, "which", lambda name: None)
    assert peers._reason("pytorch") is None
    assert "install g++" in peers._reason("pytorch_compiled")
