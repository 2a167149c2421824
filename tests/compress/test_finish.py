"""Finishers keep their promises, or say how they broke them."""

import contextlib
import dataclasses
import json
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from distill import config
from distill.compress import finishers
from distill.compress.base import shares
from distill.compress.finishers import coded, pruned
from distill.measure import cost, energy, kernel
from distill.measure.counting import uses
from distill.measure.facts import Facts
from distill.run import folder, parent
from distill.runtime import errors
from distill.runtime.process import signals
from distill.teach.networks import build, checks
from students import ResNet

INTEGERS = [name for name in finishers.FINISHERS if name.startswith("int")]
INTEGERS += [
    name for name in finishers.FINISHERS if name.endswith(("_int8", "_int8_lut"))
]
INTEGERS.remove("dynamic_int8")
PARTS = {name: kind() for name, kind in finishers.FINISHERS.items()}
STUDENT = cost.Cost(1, 1000, 1, 0, 1, 1, 1)


def facts(sparsity=0.8, float_ops=(), macs=500, ops=("CUSTOM",), **kernel):
    counts, kernels = dict.fromkeys(ops, 1), (kernel_of(**kernel),)
    return Facts(1, macs, 1, 1, 1, sparsity, tuple(float_ops), counts, kernels)


def facts_of(**inner):
    """A file of three kernels, with one between the ends."""
    kernels = [kernel_of(), kernel_of("inner", **{"channel_distinct": 5, **inner})]
    return dataclasses.replace(facts(), kernels=(*kernels, kernel_of("head")))


def kernel_of(layer="conv", shape=(2, 1, 1, 8), bits=4, zeros=8, two_of_four=True, **n):
    most, channel = n.get("distinct", 16), n.get("channel_distinct", 16)
    entropy = n.get("entropy", 48.0)
    return kernel.Kernel(layer, shape, bits, zeros, most, channel, two_of_four, entropy)


def breaches(name, of, **changed):
    parts = {**PARTS, **changed}
    return parts[name].breaches(of, parts, STUDENT)


@pytest.mark.parametrize("name", PARTS)
def test_a_kept_promise_is_no_breach(name):
    floats = () if name in INTEGERS else ("CONV_2D",)
    assert breaches(name, facts(0.799, floats)) == []


@pytest.mark.parametrize("name", INTEGERS)
def test_integer_files_are_integers_alone(name):
    (line,) = breaches(name, facts(float_ops=["MEAN"]))
    assert "float ops left" in line and "MEAN" in line


@pytest.mark.parametrize(
    ("name", "broken", "words"),
    [
        ("int8", facts(float_ops=["CONV_2D", "ADD"]), ["float", "CONV_2D, ADD"]),
        ("pruned", facts(0.79), ["sparsity 0.790", "promised 0.8"]),
        ("pruned_int8", facts(0.3), ["sparsity 0.300"]),
        ("clustered", facts(distinct=17), ["17", "a kernel of `conv`", "promised 16"]),
        ("clustered_int8", facts(channel_distinct=17), ["17", "a channel of `conv`"]),
        ("pruned_clustered", facts(0.5), ["sparsity 0.500"]),
        ("pruned_clustered", facts(distinct=17), ["17", "promised 16"]),
        ("pruned_clustered_int8", facts(0.5), ["sparsity 0.500"]),
        ("pruned_clustered_int8", facts(channel_distinct=17), ["17"]),
        ("clustered_int8_lut", facts(channel_distinct=17), ["17", "a channel"]),
        ("clustered_int8_lut", facts(ops=()), ["no kernel", "as `clustered_int8`"]),
        ("pruned_clustered_int8_lut", facts(0.5), ["sparsity 0.500"]),
        ("dynamic_int4", facts(bits=8), ["more than four bits", "conv"]),
        ("coded", facts(entropy=49.0), ["3.06 bits", "promised at most 3.0"]),
        ("coded_int8", facts(entropy=49.0), ["3.06 bits"]),
        (
            "nary",
            facts_of(channel_distinct=6),
            ["6", "a channel of `inner`", "promised 5"],
        ),
        ("nary", facts_of(bits=32), ["more than eight bits", "inner"]),
        ("narrowed", facts(macs=501), ["0.501 of the student's MACs", "promised 0.5"]),
        ("narrowed_int8", facts(macs=501), ["0.501", "promised 0.5"]),
    ],
)
def test_a_broken_promise_is_told_in_words(name, broken, words):
    lines = breaches(name, broken)
    assert len(lines) == 1
    assert all(word in lines[0] for word in words)


def test_only_ranges_of_activations_excuse_one_example_in_a_hundred():
    excused = {name for name, part in PARTS.items() if part.compared == "most"}
    assert excused == {name for name in INTEGERS if not name.endswith("_lut")}


def test_a_kernel_of_integers_may_have_more_weights_than_a_channel_of_it():
    assert breaches("clustered_int8", facts(distinct=40)) == []


USES = {
    "conv": energy.Use((3, 3, 8, 16), 16, input_size=128, output_size=256),
    "deep": energy.Use((3, 3, 16, 1), 16, 256, 256, depthwise=True),
    "head": energy.Use((24, 10), places=1, input_size=24, output_size=10),
}
LAYERS = {
    name: energy.Layer(() if use.depthwise else (use.shape,), (use,))
    for name, use in USES.items()
}


def rules(*pairs):
    return tuple(shares.Rule(layers=layers, sparsity=share) for layers, share in pairs)


@pytest.mark.parametrize(
    ("layer", "zeros", "kept"),
    [("head", 0, True), ("conv", 8, True), ("conv", 4, False), ("", 0, True)],
)
def test_with_rules_each_layer_has_its_own_promise(layer, zeros, kept):
    part = pruned.Pruned(scope="kernel", sparsity=0.5, rules=rules(("h*", 0)))
    lines = breaches("pruned", facts(0.0, layer=layer, zeros=zeros), pruned=part)
    assert (lines == []) is kept
    assert kept or "`conv`: 0.250, promised 0.5" in lines[0]


def test_the_last_rule_that_matches_counts():
    part = pruned.Pruned(rules=rules(("*", 0.2), ("conv[12]", 0.4), ("conv2", 0)))
    assert [part.share(name) for name in ("x", "conv1", "conv2")] == [0.2, 0.4, 0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([("heat", 0)], ["`rules[0].layers` must match", "conv, head", "'heat'"]),
        ([("conv", 0.1), ("nod*", 0)], ["`rules[1].layers`", "'nod*'"]),
        ([("deep", 0.1)], ["`rules[0].layers`", "'deep'"]),  # Which is never pruned.
        ([("*", 0)], ["`rules` must leave a layer"]),
    ],
)
def test_a_rule_for_no_layer_is_refused_before_anything_trains(given, words):
    with pytest.raises(ValueError) as caught:
        pruned.Pruned(rules=rules(*given)).check_layers(LAYERS)
    assert all(word in str(caught.value) for word in words)
    pruned.Pruned(rules=rules(("h*", 0))).check_layers(LAYERS)


def test_there_must_be_a_kernel_to_prune():
    with pytest.raises(ValueError, match="no kernel to prune"):
        pruned.Pruned(scope="network").check_layers({"deep": LAYERS["deep"]})


@pytest.mark.parametrize(
    ("options", "whole", "option", "edge"),
    [
        ({"sparsity": 0.99}, (), "sparsity", "at most 0.981"),
        ({"sparsity": 0.9}, [("head", 0)], "sparsity", "at most 0.816"),
        ({"budget": ("macs", 0.01)}, (), "budget.keep", "at least 0.123"),
        ({"budget": ("energy", 0.1)}, (), "budget.keep", "at least 0.438"),
        ({"budget": ("packed", 0.01)}, (), "budget.keep", "at least 0.035"),
    ],
)
def test_a_share_that_the_floors_leave_no_room_for_is_refused(
    options, whole, option, edge
):
    def part(share):
        given = {"sparsity": share}
        if "budget" in options:
            given = {"budget": shares.Budget(counts=options["budget"][0], keep=share)}
        return pruned.Pruned(scope="network", rules=rules(*whole), **given)

    wrong = options.get("sparsity") or options["budget"][1]
    with pytest.raises(ValueError, match=f"`{option}` must be {edge} for"):
        part(wrong).check_layers(LAYERS)
    part(float(edge.split()[-1])).check_layers(LAYERS)


def test_a_budget_is_checked_by_what_the_file_itself_holds():
    part = pruned.Pruned(scope="network", budget=shares.Budget(counts="macs", keep=0.5))
    use = energy.Use(
        (3, 3, 8, 16), places=16, input_size=128, output_size=256, zeros=600
    )
    full = dataclasses.replace(facts(), uses=(use, USES["deep"]))
    (line,) = breaches("pruned", full, pruned=part)
    assert "0.5370 of the multiply-accumulates" in line and "promised 0.5" in line
    more = dataclasses.replace(full, uses=(use._replace(zeros=700), USES["deep"]))
    assert breaches("pruned_int8", more, pruned=part) == []
    modelled = dataclasses.replace(part.budget, counts="energy")
    part = dataclasses.replace(part, budget=modelled)
    assert "modelled energy" in breaches("pruned", more, pruned=part)[0]
    packed = dataclasses.replace(part.budget, counts="packed")
    part = dataclasses.replace(part, budget=packed)
    # Noise cannot be packed: 33 bytes of the 64 of the kernel in float32.
    noise = np.random.default_rng(0).bytes(33)
    stored = dataclasses.replace(full.kernels[0], stored=((noise, 1),))
    (line,) = breaches(
        "pruned", dataclasses.replace(full, kernels=(stored,)), pruned=part
    )
    assert "0.5156 of the float32 of the kernels, packed, left in the file" in line


def test_energy_is_that_of_the_model():
    """By hand: 24 places are 2 rows of units, and 16 outputs 2 columns of them."""
    use = energy.Use(
        (3, 3, 8, 16), places=24, input_size=128, output_size=384, zeros=100
    )
    assert use.per_weight("energy") == 200 + 2 * 6 + 24 * (1 + 3)
    moved = 200 * (128 + 384) + 24 * 72 * (2 * 6 + 16)
    assert energy.cost([use], "energy") == 1052 * 308 + moved
    assert energy.cost([use], "macs") == 1052 * 24


def test_tf_mot_prunes_if_it_supports_all_options_and_our_own_supports_all_layers():
    found = {"twin": {}, "whole": {"prune": None}}
    odd = {"name": "odd", "kind": "LSTM", "kernels": True, "prune": "no Odd"}
    found["layers"] = [odd]
    assert set(pruned.Pruned(scope="kernel").blocked(found)) == {"odd"}
    for new in ({"every": 2}, {"returns": True}, {"engine": "own"}):
        part = pruned.Pruned(scope="kernel", **new)
        assert part.pruner == "own" and part.blocked(found) == {}
    assert pruned.Pruned().blocked(found) == {}
    assert pruned.Pruned(score="kfac").blocked(found) == {
        "odd": "`score: kfac` does not support LSTM layers"
    }
    network = {"score": "kfac", "scope": "network"}
    assert set(pruned.Pruned(**network).blocked(found)) == {"odd"}
    # A budget of computation leaves layers whole of which it knows no cost.
    budget = shares.Budget(keep=0.5)
    assert pruned.Pruned(**network, budget=budget).blocked(found) == {}
    found["twin"] = {"odd": "none"}
    assert pruned.Pruned(engine="own").blocked(found) == found["twin"]


def test_kernels_are_coded_but_no_recurrent_ones():
    found = {"twin": {}, "whole": {"keras": None}, "layers": []}
    deep = {"name": "deep", "kind": "DepthwiseConv2D", "kernels": True, "keras": "no"}
    found["layers"] = [deep]
    assert PARTS["coded"].blocked(found) == {"model": "no kernel to code"}
    assert PARTS["coded_int8"].blocked(found) == {"deep": "no"}
    found["layers"].append({"name": "head", "kind": "Dense", "kernels": True})
    assert PARTS["coded"].blocked(found) == {}
    found["layers"].append({"name": "cell", "kind": "LSTM", "kernels": True})
    assert PARTS["coded"].blocked(found) == {"cell": "cannot code LSTM layers"}
    found |= {"layers": [], "twin": {"odd": "none"}}  # Nothing else is tried then.
    assert PARTS["coded"].blocked(found) == found["twin"]


def test_a_tradeoff_is_a_number_or_a_word():
    def load(tradeoff):
        step = f"{{name: coded, options: {{tradeoff: {tradeoff}}}}}"
        return config.load("finish_resnet.yaml", [f"finish=[{step}]"]).finish[0]

    assert [load(x).tradeoff for x in ("12", "1e1", "product")] == [12, 10, "product"]
    for wrong in ("sum", "true", "1e999"):
        with pytest.raises(errors.ConfigError, match="a number, or product"):
            load(wrong)
    assert load("0, width: 2").width == 2
    with pytest.raises(errors.ConfigError, match="or 0 with a `width`"):
        load("0")
    with pytest.raises(errors.ConfigError, match=r"`width`.*at least 0\.6"):
        load("12, width: 0.5")


def test_the_entropy_of_a_kernel_is_that_of_its_entries():
    codes = np.array([[0, 0, 0, 0], [1, 1, -1, -1]])  # A half and two quarters.
    assert kernel.describe("head/MatMul", codes, 8).entropy == 4 * 1 + 4 * 2
    assert kernel.describe("head/MatMul", 0 * codes, 8).entropy == 0


def test_there_is_a_caution_about_kfac_with_norms():
    found = {"layers": [{"kind": "Conv2D"}, {"kind": "BatchNormalization"}]}
    (line,) = pruned.Pruned(score="kfac").cautions(found)
    assert "with norms" in line
    assert pruned.Pruned().cautions(found) == []
    assert pruned.Pruned(score="kfac").cautions({"layers": found["layers"][:1]}) == []


def test_a_rule_is_checked_on_the_students_own_layers():
    run = config.load(
        "finish_resnet.yaml", ["finish.7.options.rules=[{layers: heat, sparsity: 0}]"]
    )
    with pytest.raises(errors.ConfigError, match=r"finish.pruned: `rules\[0\].*heat"):
        checks.check_finish(run)
    names = uses.of_network(build.build("student", run))
    assert "section2_block1_shortcut_conv" in names and "head" in names


@pytest.mark.parametrize(
    ("kernel", "kept"),
    [
        ({}, True),
        ({"two_of_four": False}, False),
        ({"two_of_four": False, "layer": "head"}, False),  # Nothing else is promised.
        ({"two_of_four": False, "shape": (2, 1, 1, 3)}, False),
    ],
)
def test_two_of_four_is_promised_where_it_fits(kernel, kept):
    part = pruned.Pruned(sparsity=0.5, pattern="2_of_4", rules=rules(("head", 0)))
    lines = breaches("pruned", facts(0.5, **kernel), pruned=part)
    assert (lines == []) is kept
    assert kept or "two zeros of every four" in lines[0]


@pytest.mark.parametrize(
    "name", [name for name, part in PARTS.items() if hasattr(part, "epochs")]
)
@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"learning_rate": 0.0}, {"temperature": 0.0}, {"kd_weight": -1.0}],
)
def test_options_out_of_range_are_refused_by_name(name, options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        finishers.FINISHERS[name](**options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pruned", {"sparsity": 0.0}),
        ("pruned", {"sparsity": 1.0}),
        ("pruned", {"rise": 0.0}),
        ("pruned", {"every": 0}),
        ("pruned", {"scope": "kernel", "score": "lamp"}),  # Which orders as magnitude.
        ("pruned", {"input_keep": 0.0}),
        ("pruned", {"engine": "tfmot", "input_keep": 0.5}),
        ("pruned", {"engine": "tfmot", "score": "kfac"}),
        ("pruned", {"engine": "tfmot", "scope": "network"}),  # Which is our own.
        ("pruned", {"engine": "tfmot", "every": 5}),
        ("pruned", {"engine": "tfmot", "returns": True}),
        ("pruned", {"pattern": "2_of_4"}),  # Which is a share of 0.5.
        ("clustered", {"clusters": 1}),
        ("pruned_clustered", {"clusters": 2}),
        ("coded", {"tradeoff": 0.05}),  # Which lets the rate grow without limit.
        ("narrowed", {"macs": 0.0}),
        ("narrowed", {"macs": 1.0}),
        ("int8_calibrated", {"calibration_examples": 0}),
        ("int16x8", {"calibration_examples": 0}),
    ],
)
def test_options_that_promise_nothing_are_refused(name, options):
    blamed = {"pattern": "sparsity"}.get(next(iter(options)), next(iter(options)))
    with pytest.raises(ValueError, match=f"`{blamed}` must be"):
        finishers.FINISHERS[name](**options)


def test_rules_promise_shares():
    with pytest.raises(ValueError, match=r"`sparsity` must be in \[0, 1\)"):
        shares.Rule(layers="*", sparsity=1.0)
    with pytest.raises(ValueError, match=r"`rules\[0\].sparsity` must be 0 or 0.5"):
        pruned.Pruned(sparsity=0.5, pattern="2_of_4", rules=rules(("*", 0.3)))
    with pytest.raises(ValueError, match=r"`rules\[0\].sparsity` must be 0 with"):
        pruned.Pruned(scope="network", rules=rules(("*", 0.3)))


def test_predicted_sizes_order_as_the_files_do():
    counted = cost.count(ResNet(depth=8).build((8, 8, 1), 10))
    size = {name: part.predicted_bytes(counted) for name, part in PARTS.items()}
    assert size["pruned"] < size["int8"] < size["float16"] < size["float32"]
    # As measured on the files of such a network.
    measured = {"float32": 317_500, "float16": 166_800, "dynamic_int8": 93_900}
    measured |= {"int8": 95_800, "pruned": 93_200, "pruned_int8": 95_800}
    measured |= {"dynamic_int4": 52_600, "int8_calibrated": 96_500, "int16x8": 101_200}
    measured |= {"clustered": 316_900, "clustered_int8": 96_200}
    measured |= {"narrowed": 154_600, "narrowed_int8": 53_500}
    measured |= {"coded": 90_600, "coded_int8": 98_200}
    measured |= {"clustered_int8_lut": 66_100, "pruned_clustered_int8_lut": 65_800}
    for name, wanted in measured.items():
        assert size[name] == pytest.approx(wanted, rel=0.1), name


def test_predicted_packed_sizes_are_those_of_the_files():
    counted = cost.count(ResNet(depth=8).build((8, 8, 1), 10))
    # As measured on the files of such a network, seed 0 of `finish_resnet.yaml`.
    measured = {"float32": 261_500, "float16": 134_600, "dynamic_int8": 79_300}
    measured |= {"dynamic_int4": 36_300, "int8_calibrated": 77_400, "int16x8": 80_600}
    measured |= {"int8": 77_400, "pruned": 61_900, "pruned_int8": 27_100}
    measured |= {"clustered": 40_700, "clustered_int8": 50_000, "narrowed": 126_700}
    measured |= {"pruned_clustered": 21_500, "pruned_clustered_int8": 23_500}
    measured |= {"coded": 13_000, "coded_int8": 13_800}  # After 1,000 steps.
    measured |= {"nary": 21_600}
    measured |= {"clustered_int8_lut": 43_800}
    for name, wanted in measured.items():
        packed = PARTS[name].predicted_packed_bytes(counted, PARTS)
        assert packed == pytest.approx(wanted, rel=0.1), name
        assert packed < PARTS[name].predicted_bytes(counted, PARTS)
    twelve = {**PARTS, "coded": coded.Coded(tradeoff=12.0)}
    for name, wanted in {"coded": 6_600, "coded_int8": 7_300}.items():
        packed = twelve[name].predicted_packed_bytes(counted, twelve)
        assert packed == pytest.approx(wanted, rel=0.1), name
    half = {**PARTS, "pruned": pruned.Pruned(sparsity=0.5)}
    for name in ("pruned_int8", "pruned_clustered", "pruned_clustered_int8"):
        packed = (PARTS[name].predicted_packed_bytes(counted, p) for p in (PARTS, half))
        assert next(packed) < 0.8 * next(packed)


def test_a_budget_of_computation_says_how_large_a_file_is_at_most():
    counted = cost.count(ResNet(depth=8).build((8, 8, 1), 10))
    parts = {}
    for counts in ("weights", "macs"):
        budget = shares.Budget(counts=counts, keep=0.3)
        parts[counts] = {
            **PARTS,
            "pruned": pruned.Pruned(scope="network", budget=budget),
        }
    plain, bound = (
        {
            name: (part.predicted_bytes(counted, each), part.upper_bounds(each))
            for name, part in each.items()
        }
        for each in parts.values()
    )
    both = ("bytes", "packed_bytes")
    assert {name: bounds for name, (_, bounds) in bound.items() if bounds} == {
        **dict.fromkeys(("pruned", "pruned_clustered"), both),
        **dict.fromkeys(("pruned_int8", "pruned_clustered_int8"), ("packed_bytes",)),
        "pruned_clustered_int8_lut": ("packed_bytes",),
    }
    assert not any(bounds for _, bounds in plain.values())
    # Most weights are in the last section, where each is used least.
    assert 1.5 * plain["pruned"][0] < bound["pruned"][0] < bound["float32"][0]
    assert plain["pruned_int8"] == (bound["pruned_int8"][0], ())


def finish_files(place):
    with contextlib.ExitStack() as stack:
        parent.Finishing(place, stack).finish(lambda: None)


def test_a_failing_process_hands_on_its_error_and_prints_nothing(tmp_path, capfd):
    folder.claim(tmp_path, config.load("lit_resnet.yaml"))
    with pytest.raises(errors.FinishError, match=r"student\.keras") as caught:
        finish_files(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    # Not anywhere in a line: TensorFlow complains of a GPU that is not there.
    assert not re.search("^error: ", capfd.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (signal.SIGKILL, "want of memory"),
        (signal.SIGSEGV, "a library crashed"),
        (signal.SIGTERM, "stopped it"),
    ],
)
def test_a_killed_process_is_one_line(number, cause, tmp_path, monkeypatch):
    """A real process, and a real signal: sent as soon as it is there."""

    def kill(forward):
        forward(number)
        return contextlib.nullcontext()

    monkeypatch.setattr(signals, "deferred", kill)
    with pytest.raises(errors.Killed) as caught:
        finish_files(tmp_path)
    line = str(caught.value)
    assert f"finish of {tmp_path} was ended by {number.name}" in line
    assert cause in line and "the same command goes on" in line


# TF-MOT turns `tf.keras` into Keras 2 for a whole process: it gets one of its own.
CHILD = """
import json

import keras
import numpy as np

from distill.compress import training
from distill.compress.twin import twin
from students import ResNet

said = {}
student = ResNet(depth=8, width=4).build((8, 8, 1), 10)
rng = np.random.default_rng(0)
for variable in student.variables:
    variable.assign(variable + rng.uniform(-0.05, 0.05, variable.shape))
images = rng.uniform(size=(5, 8, 8, 1)).astype("float32")
copy = twin.to_tf_keras(student)
wanted = keras.ops.convert_to_numpy(student(images)["logits"])
said["difference"] = float(abs(copy(images).numpy() - wanted).max())
said["names"] = [layer.name for layer in copy.layers]


def refused(action):
    try:
        action()
    except twin.NoTwin as mistake:
        return str(mistake)


shared = keras.layers.Dense(4, name="shared")
inputs = keras.Input((4,))
model = keras.Model(inputs, shared(shared(inputs)))
copy_of_shared = twin.to_tf_keras(model)
said["shared"] = len(copy_of_shared.layers)
x = np.ones((2, 4), "float32")
twice = copy_of_shared(x).numpy(), model(x).numpy()
said["shared_difference"] = float(abs(twice[0] - twice[1]).max())
odd = keras.Model(inputs, keras.layers.RMSNormalization(name="odd")(inputs))
said["odd"] = refused(lambda: twin.to_tf_keras(odd))
copy.layers[-1].bias.assign_add(np.full(10, 1e-3))
said["unequal"] = refused(lambda: twin.check_equal(student, copy, images))
copy.layers[-1].bias.assign(np.full(10, np.nan))
said["nan"] = refused(lambda: twin.check_equal(student, copy, images))
said["sequence"] = refused(lambda: twin.to_tf_keras(keras.Sequential()))


class Part:
    task_weight, kd_weight, temperature = 0.3, 0.7, 3.0
    labelled_share = 1.0


task, kd = training._terms(Part, taught=True)
taught, made = rng.normal(size=(2, 6, 4)).astype("float32")
labels = np.array([0, 1, 2, 3, 0, 1])
asked = np.column_stack([labels, taught]).astype("float32")
soft = lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True)
p, q = soft(taught / 3), soft(made / 3)
divergence = 0.7 * 9 * (p * np.log(p / q)).sum(-1)
said["kd"] = [float(abs(kd(asked, made).numpy() - divergence).max())]
ce = -np.log(soft(made)[np.arange(6), labels])
said["task"] = [float(abs(task(asked, made).numpy() - 0.3 * ce).max())]
(alone,) = training._terms(Part, taught=False)
said["alone"] = [float(abs(alone(asked[:, :1], made).numpy() - ce).max())]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def child():
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_twin_answers_as_the_student(child):
    assert child["difference"] <= 1e-5
    assert len(set(child["names"])) == len(child["names"])
    assert "section2_block1_shortcut_conv" in child["names"]


def test_a_shared_layer_is_shared_in_the_twin(child):
    assert child["shared"] == 2
    assert child["shared_difference"] <= 1e-5


def test_what_has_no_twin_is_named(child):
    assert "`odd` (RMSNormalization)" in child["odd"]
    assert "not a functional model" in child["sequence"]


def test_an_unequal_twin_is_refused(child):
    assert "largest difference 0.001" in child["unequal"]
    assert "nan" in child["nan"]


def test_finishing_learns_by_the_papers_formula(child):
    assert child["kd"][0] <= 1e-5
    assert child["task"][0] <= 1e-5


def test_without_a_teacher_the_labels_get_the_whole_weight(child):
    assert child["alone"][0] <= 1e-5
