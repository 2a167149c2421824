"""A budget of packed kernels: estimated in training, kept by the file that is made."""

import numpy as np
import pytest

from distill.compress.base import lengths, shares
from distill.compress.finishers import pruned

# tf_keras in a process of its own, as in `test_finish.py`.
CHILD = """
import json

import benches
import keras

from distill import config
from distill.compress.base import lengths, shares
from distill.compress.finishers import pruned, pruned_int8
from distill.compress.prune import own
from distill.measure import codec, cost
from distill.measure.facts import read_content
from distill.runtime.resume import resume

layers, results = keras.layers, {}
run, folder = benches.begin("[{name: pruned}]")
images = keras.Input((8, 8, 1), name="images")
x = layers.Conv2D(16, 3, use_bias=False, name="stem")(images)
x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
x = layers.ReLU()(layers.Conv2D(32, 3, name="large")(x))
x = layers.GlobalAveragePooling2D(name="pool")(x)
student = keras.Model(images, {"logits": layers.Dense(10, name="head")(x)})
counted, work = cost.count(student), benches.open_bench(run, folder, student)
cuts, cut, packed, pack = [], own.cut, [], codec.pack


def noted(*arguments):
    cuts.append(1)
    cut(*arguments)


own.cut = noted
codec.pack = lambda content: packed.append(1) or pack(content)
parts = {}


def made(name, part):
    cuts.clear()
    work.store(config.name_of(part)).clear()
    parts[config.name_of(part)] = part
    packed.clear()
    file = part.make(work)
    packs = len(packed)
    facts = read_content(file)
    results[name] = {
        "breaches": part.breaches(facts, parts, counted),
        "left": facts.share_left("packed"),
        "zeros": facts.sparsity,
        "cuts": len(cuts),
        "packs": packs,
    }
    return file


def part(keep, **options):
    budget = shares.Budget(counts="packed", keep=keep)
    options = {"scope": "network", "epochs": 2, "learning_rate": 0.05, **options}
    return pruned.Pruned(budget=budget, **options)


whole = made("0.3", part(0.3))
made("int8", pruned_int8.PrunedInt8(epochs=1))
made("0.15", part(0.15, returns=True, every=3))
rule = shares.Rule(layers="head", sparsity=0)
made("ruled", part(0.3, rules=(rule,), score="sensitivity"))

# A training that takes weights to be shorter than they are, and the file's last word.
lengths.VALUE = 16.0
made("shortened", part(0.3))
made("shortened by images", part(0.3, score="kfac"))
lengths.VALUE = 26.5


# A kill in training, and one after it.
def dies(*arguments):
    raise KeyboardInterrupt


commit = resume._Saver._commit
resume.seconds_between_moments = lambda: 0.0
work.store("pruned").clear()


def dies_at_three(self):
    commit(self)
    if self.step == 3:
        dies()


for place, name, stop in (
    (resume._Saver, "_commit", dies_at_three), (type(work), "convert", dies)
):
    kept = getattr(place, name)
    setattr(place, name, stop)
    try:
        part(0.3).make(work)
        raise AssertionError("it was not killed")
    except KeyboardInterrupt:
        setattr(place, name, kept)
results["resumed"] = part(0.3).make(work) == whole
print(json.dumps(results))
"""

KEEPS = {"0.3": 0.3, "0.15": 0.15, "ruled": 0.3, "shortened": 0.3}
KEEPS["shortened by images"] = 0.3


@pytest.mark.parametrize("name", KEEPS)
def test_no_file_exceeds_the_budget_or_wastes_much_of_it(results, name):
    assert results[name]["breaches"] == []
    assert 0.9 * KEEPS[name] < results[name]["left"] <= KEEPS[name]


def test_the_estimate_of_training_suffices_and_else_the_file_decides(results):
    assert results["0.3"]["cuts"] == results["0.15"]["cuts"] == 0
    assert results["shortened"]["cuts"] > 0
    assert results["shortened by images"]["cuts"] > 0
    # Whole files are not packed to learn how long their kernels are.
    assert not any(results[name]["packs"] for name in KEEPS)


def test_the_zeros_stay_in_eight_bits(results):
    assert results["int8"]["breaches"] == []
    assert results["int8"]["zeros"] >= results["0.3"]["zeros"]


def test_a_kill_changes_no_byte(results):
    assert results["resumed"]


@pytest.mark.parametrize("seed", range(5))
def test_as_many_weights_spread_unevenly_take_no_more(seed):
    """What lets a search for the share begin at the even one."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(50, 5000, 4)
    kept = rng.uniform(0, 1, 4) * sizes
    keep = lengths.share_left(sizes, kept, sizes.sum())
    assert lengths.even_share(sizes, sizes.sum(), keep) <= kept.sum() / sizes.sum()


def test_a_weight_more_is_longer_and_one_that_stays_whole_counts():
    sizes = [100, 900]
    few = [lengths.share_left(sizes, [1, kept], 1000) for kept in range(1, 900)]
    assert (np.diff(few) > 0).all()
    assert lengths.share_left(sizes, [1, 9], 1500) * 1500 == pytest.approx(
        few[8] * 1000 + 500 * lengths.VALUE / 32
    )


def test_a_budget_that_needs_no_zeros_is_refused():
    with pytest.raises(ValueError, match=r"`keep` must be at most 0\.8 with") as caught:
        shares.Budget(counts="packed", keep=0.81)
    assert "kernels without zeros take little more. Received: 0.81" in str(caught.value)
    shares.Budget(counts="macs", keep=0.81)


def test_a_density_is_that_of_a_large_kernel():
    part = pruned.Pruned(
        scope="network", budget=shares.Budget(counts="packed", keep=0.05)
    )
    size = 10**7
    length = lengths.bits(size, part.limit.density({}, (), size) * size) / (32 * size)
    assert length == pytest.approx(0.05, rel=1e-3)
    assert part.limit is part.budget
