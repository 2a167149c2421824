"""Our own pruning: which weights become zero, when, and the zeros of every file."""

import pytest

# TF-MOT turns `tf.keras` into Keras 2 for a whole process: it gets one of its own.
CHILD = """
import json

import benches
import keras
import numpy as np

from distill import config
from distill.compress.base import prices, shares
from distill.compress.finishers import clustered, pruned, pruned_int8
from distill.compress.prune import ledger, schedule
from distill.measure import cost, energy, interpreter
from distill.measure.counting import uses
from distill.measure.facts import read_facts
from distill.runtime import errors
from distill.runtime.resume import resume

layers, results = keras.layers, {}
run, folder = benches.begin("[{name: pruned}]")
images = keras.Input((8, 8, 1), name="images")


def kernel(x, name, scale):
    start = keras.initializers.RandomNormal(stddev=scale)
    x = layers.Conv2D(8, 3, use_bias=False, name=name, kernel_initializer=start)(x)
    return layers.ReLU()(layers.BatchNormalization(name=f"{name}_norm")(x))


x = kernel(kernel(kernel(images, "stem", 1.0), "large", 0.3), "small", 0.01)
x = layers.GlobalAveragePooling2D(name="pool")(x)
student = keras.Model(images, {"logits": layers.Dense(10, name="head")(x)})
counted, work = cost.count(student), benches.open_bench(run, folder, student)
steps, zeros = work.steps_per_epoch(run.finish[0]), []
after_a_step = schedule.Project.on_train_batch_end


def noted(self, batch, logs=None):
    after_a_step(self, batch, logs)
    flat = [(k.variable.numpy() == 0).ravel() for k in self._kernels]
    zeros.append(np.concatenate(flat))


schedule.Project.on_train_batch_end = noted
parts = {}


def made(name, part):
    path = folder / "x.tflite"
    zeros.clear()
    file = part.make(work)
    path.write_bytes(file)
    work.store(config.name_of(part)).clear()
    facts = read_facts(path)
    parts[config.name_of(part)] = part
    moves = zip(zeros, zeros[1:])
    results[name] = {
        "breaches": part.breaches(facts, parts, counted),
        "conversion": part.conversion_breaches(work.parity),
        "zeros": {x.layer: x.zeros / x.size for x in facts.kernels},
        "all": facts.sparsity,
        "each": [float(seen.mean()) for seen in zeros],
        "back": [int((one & ~two).sum()) for one, two in moves],
    }
    return file


short = {"epochs": 2, "learning_rate": 0.05}
wide = {"scope": "network", "sparsity": 0.6, **short}
alone = {"engine": "own", "scope": "kernel", **short}
made("kernel", pruned.Pruned(sparsity=0.7, every=2, **alone))
made("constant", pruned.Pruned(schedule="constant", **alone))
rule = shares.Rule(layers="head", sparsity=0)
made("rule", pruned.Pruned(rules=(rule,), every=1, **wide))
made("returns", pruned.Pruned(returns=True, every=3, rise=1.0, **wide))

# Each score, and its zeros in eight bits.
for score in ("lamp", "kfac", "sensitivity"):
    made(score, pruned.Pruned(score=score, every=2, rise=0.5, **wide))
    made(f"{score} int8", pruned_int8.PrunedInt8(epochs=1))

# Budgets.
for counts, keep in (("weights", 0.35), ("macs", 0.4), ("energy", 0.8)):
    budget = shares.Budget(counts=counts, keep=keep)
    made(counts, pruned.Pruned(budget=budget, scope="network", rules=(rule,), **short))
    facts = read_facts(folder / "x.tflite")
    results[counts]["left"] = facts.share_left(counts)
    results[counts]["paid"] = [facts.share_left(other) for other in ("weights", "macs")]
_, dense = ledger.find_prices(work.twin(), prices.PRICES["energy"])
of_layers = uses.of_network(student).values()
results["dense"] = [
    dense,
    energy.cost(facts.uses, "energy", dense=True),
    energy.cost([use for layer in of_layers for use in layer.uses], "energy"),
]
small = shares.Budget(counts="energy", keep=0.3)
try:
    pruned.Pruned(budget=small, scope="network", **short).make(work)
except errors.FinishError as error:
    results["too small"] = str(error)

# A mask of the input, and noise where it is zero.
seen = pruned.Pruned(input_keep=0.4, sparsity=0.5, every=2, epochs=2)
later = [pruned_int8.PrunedInt8, clustered.PrunedClustered]
later += [clustered.PrunedClusteredInt8]
for part in (seen, *(kind(epochs=1) for kind in later)):
    name = f"mask {config.name_of(part)}"
    made(name, part)
    path = folder / "x.tflite"
    with np.load(folder / "checkpoint" / "finish.pruned.npz") as arrays:
        dark = arrays["input_mask"] == 0
    pixels = work.validation.floats()[:40]
    noise = np.random.default_rng(0).uniform(size=pixels.shape).astype("float32")
    changes = [np.where(here, noise, pixels) for here in (dark, ~dark)]
    one, hidden, shown = (
        interpreter.predict(path, some) for some in (pixels, *changes)
    )
    facts = read_facts(path)
    results[name]["mask"] = {
        "dark": float(dark.mean()),
        "seen": facts.input_seen,
        "muls": facts.ops["MUL"],
        "hidden": bool((one == hidden).all()),
        "shown": bool((one == shown).all()),
        "without": pruned.Pruned(input_keep=0.3).breaches(facts, parts, counted)[-1:],
    }

held = pruned.Pruned(returns=True, every=1, rise=0.6, **wide)
whole = made("network", held)
for part in later:
    made(part.__name__, part(epochs=1))

# A kill after every step, each time the same again.
commit, killed = resume._Saver._commit, []


def dies(self):
    commit(self)
    killed.append(self.step)
    raise KeyboardInterrupt


resume._Saver._commit, resume.seconds_between_moments = dies, lambda: 0.0
for step in range(1, 2 * steps):
    try:
        held.make(work)
    except KeyboardInterrupt:
        pass
results["killed"] = [killed, made("again", held) == whole]
results["steps"] = 2 * steps
print(json.dumps(results))
"""


FILES = ["kernel", "constant", "rule", "returns", "network"]
FILES += ["lamp", "lamp int8", "kfac", "kfac int8", "sensitivity", "sensitivity int8"]
FILES += ["weights", "macs", "energy"]
FILES += ["PrunedInt8", "PrunedClustered", "PrunedClusteredInt8"]
MASKED = ["mask pruned", "mask pruned_int8", "mask pruned_clustered"]
MASKED += ["mask pruned_clustered_int8"]


@pytest.mark.parametrize("name", FILES + MASKED)
def test_a_file_holds_what_was_promised(results, name):
    assert results[name]["breaches"] == results[name]["conversion"] == []


def test_each_kernel_has_its_share_or_all_have_it_together(results):
    assert min(results["kernel"]["zeros"].values()) == pytest.approx(0.7, abs=0.02)
    shares = results["network"]["zeros"]
    assert results["network"]["all"] == pytest.approx(0.6, abs=0.005)
    assert shares["small"] > 0.8 > 0.5 > shares["large"]  # Small are its weights.
    assert shares["small"] < 1 - 0.3 * 0.4 + 0.01  # Which is its floor.


def test_what_a_rule_leaves_whole_counts_in_the_share(results):
    zeros = results["rule"]["zeros"]
    assert zeros.get("head", zeros.get("")) == 0
    assert results["rule"]["all"] == pytest.approx(0.6, abs=0.005)


@pytest.mark.parametrize(
    ("counts", "keep"), [("weights", 0.35), ("macs", 0.4), ("energy", 0.8)]
)
def test_a_budget_is_kept_in_the_file_and_not_wasted(results, counts, keep):
    assert keep - 0.02 < results[counts]["left"] <= keep


def test_what_is_paid_for_decides_where_zeros_go(results):
    weights, macs = results["weights"]["paid"]
    assert macs != pytest.approx(weights, abs=0.02)


def test_network_twin_and_file_agree_on_what_is_paid(results):
    assert results["dense"][0] == results["dense"][1] == results["dense"][2]


def test_a_budget_that_nobody_can_keep_is_refused_before_it_trains(results):
    assert "no less than 0." in results["too small"]
    assert "of the energy can be left. Received: 0.3000" in results["too small"]


@pytest.mark.parametrize("name", MASKED)
def test_noise_in_masked_pixels_changes_no_bit(results, name):
    mask = results[name]["mask"]
    assert mask["dark"] == pytest.approx(1 - 25 / 64)  # 0.4 of 64, and no more.
    assert mask["seen"] == 25 / 64
    assert mask["muls"] == 1
    assert mask["hidden"] and not mask["shown"]
    assert mask["without"] == ["0.3906 of the input counts in the file, promised 0.3"]


def test_the_share_rises_or_is_whole_at_once(results):
    rising = results["kernel"]["each"]
    assert rising[0] == 0 < rising[1] < rising[-1]  # Every second step.
    assert min(results["constant"]["each"]) == pytest.approx(0.8, abs=0.02)


def test_a_weight_that_has_gone_stays_away_unless_it_may_return(results):
    for name in ("kernel", "constant", "rule"):
        assert sum(results[name]["back"]) == 0, name
    back = results["returns"]["back"]
    assert back[2] > 0  # After the choice of the third step.
    assert results["returns"]["each"][-1] == pytest.approx(0.6, abs=0.005)
    assert not any(results["network"]["back"][results["steps"] * 6 // 10 - 1 :])


def test_a_kill_after_each_step_changes_no_byte(results):
    assert results["killed"] == [list(range(1, results["steps"])), True]
