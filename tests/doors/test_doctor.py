"""The diagnosis is TF-MOT's own and the converter's, and comes before any training."""

import collections
import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

import students
from distill import doctor
from distill.compress import finishers
from distill.report import compress_tables
from distill.run import diagnosis, parent

ZOO = os.environ.get("DISTILL_ZOO")
ROOT = pathlib.Path(__file__).parents[2]
PARTS = [kind() for kind in finishers.FINISHERS.values()]
NEED_NOTHING = {name for name, kind in finishers.FINISHERS.items() if not kind.asks}

# TF-MOT in a process of its own, and asked outright whether it is as diagnosed.
CHILD = """
import json

import keras
from keras import layers

from distill.compress import capabilities, diagnosis, trials
from distill.compress.twin import twin
from students import ResNet

images = keras.Input((4, 4, 3))


def gated(name):
    x = layers.Conv2D(4, 1, name="conv")(layers.Rescaling(0.5, name="scaling")(images))
    x = layers.Multiply(name=name)([x, layers.Conv2D(4, 1, activation="sigmoid")(x)])
    x = layers.Conv2D(5, 1, activation="softplus", name="odd")(x)
    return keras.Model(images, layers.Flatten()(x))


rows = layers.Reshape((4, 12))(images)
networks = {
    "plain": ResNet(depth=8, width=4).build((8, 8, 1), 3),
    "before": ResNet(depth=8, width=4, activation_order="pre").build((8, 8, 1), 3),
    "gated": gated("gate"),
    "alone": keras.Model(
        images, layers.BatchNormalization(name="norm")(layers.Flatten()(images))
    ),
    "none": keras.Model(images, layers.RMSNormalization(name="rms")(images)),
    "transposed": keras.Model(
        images, layers.Conv2DTranspose(3, 2, strides=2, name="up")(images)
    ),
    "wrapped": keras.Model(
        images, layers.Bidirectional(layers.LSTM(2), name="both")(rows)
    ),
    "summed": keras.Model(
        images, layers.EinsumDense("abc,cd->abd", (4, 5), name="sum")(rows)
    ),
    "attentive": keras.Model(
        images, layers.MultiHeadAttention(1, 2, name="attention")(rows, rows)
    ),
}
tried, simulate = [], trials.simulate


def record_trial(engine, options, model):
    tried.append([len(model.layers), model.output_shape[-1]])
    simulate(engine, options, model)


trials.simulate = record_trial
wide = layers.Conv2D(96, 1, groups=3, name="grouped")(layers.Conv2D(96, 3)(images))
diagnosis.diagnose(keras.Model(images, layers.ReLU()(wide)))
recorded = list(tried)
diagnoses = {name: diagnosis.diagnose(network) for name, network in networks.items()}
diagnoses["plain"]["tried"] = recorded

TFMOT = [way for way in capabilities.get_support()._actions if way.startswith("tfmot")]


def takes(name, way):
    model = twin.to_tf_keras(networks[name])
    actions = {**capabilities.get_support()._actions, "keras": trials.make_file}
    return trials.try_action(actions[way], lambda: trials.perturb(model)) is None


ways_of_layers = ("prune", "cluster", "tfmot", "keras")
ways = dict.fromkeys(("before", "gated", "alone"), ways_of_layers)
ways |= {"plain": ("prune", "cluster", *TFMOT), "transposed": TFMOT}
for name in ways:
    diagnoses[name]["takes"] = {way: takes(name, way) for way in ways[name]}
print(json.dumps(diagnoses))
"""


@pytest.fixture(scope="module")
def diagnoses():
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=ROOT,
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def refusals(diagnosed, way):
    return {layer["name"]: layer[way] for layer in diagnosed["layers"] if layer[way]}


@pytest.mark.parametrize("name", ["plain", "before", "gated", "alone", "transposed"])
def test_a_network_is_refused_just_where_a_layer_or_the_whole_is_blamed(
    diagnoses, name
):
    diagnosed = diagnoses[name]
    for way, takes in diagnosed["takes"].items():
        is_refused = bool(refusals(diagnosed, way) or diagnosed["whole"][way])
        assert takes == (not is_refused), way


def test_what_is_tried_is_small_and_the_whole_tried_once_an_engine(diagnoses):
    whole = [width for size, width in diagnoses["plain"]["tried"] if size > 3]
    alone = [width for size, width in diagnoses["plain"]["tried"] if size < 3]
    assert whole == [96, 96]
    assert len(alone) > 4
    # Of eight filters a group; a rectifier is as wide as what it is given.
    assert sorted(set(alone)) == [8, 24, 96]


def test_every_layer_in_the_way_is_named_with_the_reason(diagnoses):
    diagnosed = refusals(diagnoses["gated"], "tfmot")
    assert set(diagnosed) == {"scaling", "gate", "odd"}
    assert "cannot quantize Rescaling" in diagnosed["scaling"]
    assert "with activation `softplus`" in diagnosed["odd"]
    assert set(refusals(diagnoses["gated"], "keras")) == {"odd"}


def test_tf_mot_quantizes_what_it_can_and_our_engine_the_rest(diagnoses):
    engines = {name: diagnosed["engines"][""] for name, diagnosed in diagnoses.items()}
    assert engines["plain"] == engines["before"] == "tfmot"
    assert engines["gated"] == engines["alone"] == "keras"
    for diagnosed in diagnoses.values():
        for layer in diagnosed["layers"]:
            assert layer["quantize"] == layer[diagnosed["engines"][""]]


def test_norms_before_kernels_are_rewritten_and_not_refused(diagnoses):
    assert not refusals(diagnoses["before"], "quantize")
    written = [
        each["kind"] for each in diagnoses["before"]["layers"] if each["rewritten"]
    ]
    assert "BatchNormalization" in written
    assert not any(layer["rewritten"] for layer in diagnoses["plain"]["layers"])


def test_what_has_no_twin_is_said_and_nothing_else_asked(diagnoses):
    assert "rms" in next(iter(diagnoses["none"]["twin"]))
    assert diagnoses["none"]["layers"] == []


def test_the_scheme_that_will_train_is_asked_about(diagnoses, monkeypatch):
    engines = diagnoses["transposed"]["engines"]
    assert engines[""] == "tfmot"
    assert engines[" zeros"] == engines[" zeros clusters"] == "keras"
    diagnosed = examine(monkeypatch, diagnoses["transposed"])
    files = {
        file["name"]: (file["engine"], file["blocked"]) for file in diagnosed["files"]
    }
    assert files["int8"] == ("tfmot", {})
    assert files["pruned_int8"] == ("keras", {})
    part = finishers.FINISHERS["pruned_int8"](engine="tfmot")
    (why,) = part.blocked(diagnoses["transposed"]).values()
    assert why == "TF-MOT cannot quantize Conv2DTranspose layers whose zeros stay"
    assert (
        finishers.FINISHERS["int8"](engine="tfmot").blocked(diagnoses["transposed"])
        == {}
    )


@pytest.mark.parametrize("name", ["wrapped", "attentive"])
def test_what_a_library_raises_for_a_layer_is_that_layers_reason(
    diagnoses, monkeypatch, name
):
    diagnosed = examine(monkeypatch, diagnoses[name])
    blocked = {file["name"]: file["blocked"] for file in diagnosed["files"]}
    assert {each for each, why in blocked.items() if not why} >= NEED_NOTHING
    (layer,) = blocked["int8"]
    assert layer in ("`both` (Bidirectional)", "attention")


def examine(monkeypatch, diagnosed, parts=PARTS):
    monkeypatch.setattr(parent, "diagnose", lambda network: diagnosed)
    images = keras.Input((4, 4, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(images))
    return diagnosis.examine(keras.Model(images, x), parts)


def test_a_finisher_is_blocked_by_what_it_asks_for_alone(diagnoses, monkeypatch):
    diagnosed = examine(monkeypatch, diagnoses["gated"])
    blocked = {file["name"]: set(file["blocked"]) for file in diagnosed["files"]}
    assert {name for name, layers in blocked.items() if not layers} >= NEED_NOTHING
    assert blocked["int8"] == {"odd"}
    assert blocked["pruned"] == set()
    assert blocked["pruned_int8"] == blocked["int8"] | blocked["pruned"]
    assert blocked["clustered_int8"] == blocked["int8"] | blocked["clustered"]
    assert blocked["narrowed"] == {"model"}  # A product binds its channels.
    assert blocked["narrowed_int8"] == blocked["int8"] | blocked["narrowed"]


def test_what_tf_mot_cannot_prune_our_engine_prunes(diagnoses, monkeypatch):
    parts = [finishers.FINISHERS["pruned"](engine=name) for name in ("tfmot", "own")]
    diagnosed = diagnoses["summed"]
    refused, made = (examine(monkeypatch, diagnosed, [part]) for part in parts)
    assert set(refused["files"][0]["blocked"]) == {"sum"}
    assert made["files"][0]["blocked"] == {}
    row = next(x for x in compress_tables.tables(made).splitlines() if "sum " in x)
    assert row.split()[-3:-1] == ["own", "no"]  # To prune, and to cluster.
    assert refused["advice"] == ["`sum`: leave `engine` at `auto`"]
    own = "give `pruned` the option `engine: own`"
    quantized = finishers.FINISHERS["int8"](engine="tfmot")
    for advised, options, others in (
        (own, {"scope": "kernel"}, []),
        (f"leave `engine` at `auto`, and {own}", {"scope": "kernel"}, [quantized]),
        # Our engine has no pattern.
        ("take another layer", {"pattern": "2_of_4", "sparsity": 0.5}, []),
        # Nor does `auto` help, which would refuse so many zeros.
        ("take another layer", {"engine": "tfmot", "sparsity": 0.97}, []),
    ):
        made = [finishers.FINISHERS["pruned"](**options), *others]
        (advice,) = examine(monkeypatch, diagnosed, made)["advice"]
        assert advice.startswith(f"`sum`: {advised}"), advice


def test_options_that_do_not_fit_the_layers_block_a_file(diagnoses, monkeypatch):
    parts = [finishers.FINISHERS["pruned"](scope="network", sparsity=0.97)]
    parts += [finishers.FINISHERS[name]() for name in ("pruned_int8", "int8")]
    diagnosed = examine(monkeypatch, diagnoses["plain"], parts)
    *both, other = (file["blocked"] for file in diagnosed["files"])
    assert both[0] == both[1] and other == {}
    # Of 27 weights, an output channel keeps one.
    assert "`sparsity` must be at most 0.962 for" in both[0]["model"]
    assert both[0]["model"] in compress_tables.tables(diagnosed)


def test_a_student_that_cannot_be_narrowed_is_told_why(diagnoses, monkeypatch):
    why = diagnoses["alone"]["whole"]["narrow"]
    assert "no filter can go" in why and diagnoses["alone"]["least_macs"] == 1.0
    blocked = {
        file["name"]: file["blocked"]
        for file in examine(monkeypatch, diagnoses["alone"])["files"]
    }
    assert blocked["narrowed"] == {"model": why}
    assert blocked["narrowed_int8"]["model"] == why


def test_a_student_that_cannot_be_narrowed_so_far_is_told_how_far(diagnoses):
    least = diagnoses["plain"]["least_macs"]
    assert 0 < least < 0.5
    part = finishers.FINISHERS["narrowed"]
    assert part(macs=least).blocked(diagnoses["plain"]) == {}
    (why,) = part(macs=0.9 * least).blocked(diagnoses["plain"]).values()
    assert "`macs` must be at least" in why


def test_the_share_that_stays_float_is_that_of_the_refused_layers(
    diagnoses, monkeypatch
):
    share = examine(monkeypatch, diagnoses["gated"])["float_share"]
    # conv 3x4, gate's 4x4, odd 4x5, each at 16 pixels; a bias for each channel.
    assert share["macs"] == pytest.approx(20 / 48)
    assert share["bytes"] == pytest.approx(25 / (16 + 20 + 25))


def test_without_a_twin_only_plain_conversions_are_left(diagnoses, monkeypatch):
    diagnosed = examine(monkeypatch, diagnoses["none"])
    free = {file["name"] for file in diagnosed["files"] if not file["blocked"]}
    assert free == NEED_NOTHING
    assert "rms" in compress_tables.tables(diagnosed)


def test_the_tables_name_layers_reasons_and_cures(diagnoses, monkeypatch):
    text = compress_tables.tables(examine(monkeypatch, diagnoses["gated"]))
    assert "41.7 % of the MACs" in text
    assert "`odd`: our engine cannot quantize Conv2D layers with activation" in text
    assert "quantize: engine keras; TF-MOT refuses `scaling`, `gate`, `odd`" in text


def test_a_chosen_engine_is_asked_alone(diagnoses, monkeypatch):
    part = finishers.FINISHERS["int8"](engine="tfmot")
    diagnosed = examine(monkeypatch, diagnoses["gated"], [part])
    (file,) = diagnosed["files"]
    assert file["engine"] == "tfmot"
    assert set(file["blocked"]) == {"scaling", "gate", "odd"}
    text = compress_tables.tables(diagnosed)
    assert "change: `scaling`, `gate`: leave `engine` at `auto`" in text


def test_the_command_exits_1_where_a_file_cannot_be_made(tmp_path, capsys):
    images = keras.Input((4, 4, 3))
    x = keras.layers.Activation("softplus", name="odd")(images)
    keras.Model(images, x).save(tmp_path / "student.keras")
    flags = ["--model", str(tmp_path / "student.keras"), "--json"]
    assert doctor.main(flags) == 1
    files = json.loads(capsys.readouterr().out)["files"]
    blocked = {file["name"]: file["blocked"] for file in files}
    assert list(blocked["int8"]) == ["odd"]
    assert blocked["float32"] == {}


def test_it_wants_a_model_or_a_config(capsys):
    assert doctor.main([]) == 2
    assert "give --model" in capsys.readouterr().err


def zoo():
    """Networks of the house and of `keras.applications`, untrained, for 32 x 32."""
    own = {
        "resnet": students.ResNet(depth=8),
        "resnet, pre": students.ResNet(depth=8, activation_order="pre"),
        "resnext": students.ResNeXt(depth=11),
        "mobilenet": students.MobileNet(),
        "wide_resnet": students.WideResNet(depth=10),
    }
    for name, network in own.items():
        yield name, network.build((32, 32, 3), 10)
    yield "vdcnn", students.VDCNN(depth=9, width=8).build((64,), 2, vocabulary=50)
    for name in (
        *["MobileNetV2", "ResNet50", "ResNet50V2"],
        *["EfficientNetB0", "MobileNetV3Small"],
    ):
        build = getattr(keras.applications, name)
        yield name, build(weights=None, input_shape=(32, 32, 3), classes=10)


@pytest.mark.skipif(not ZOO, reason="long: DISTILL_ZOO=1 prints the table of docs")
def test_the_table_of_networks(capsys):
    lines = ["| network | twin | prune | cluster | quantize | obstacles |"]
    lines.append("|" + "---|" * 6)
    for name, network in zoo():
        diagnosed = parent.diagnose(network)
        ways = ["prune", "cluster", "tfmot", "keras"]
        counts = collections.Counter(
            f"{layer['kind']} ({', '.join(way for way in ways if layer[way])})"
            for layer in diagnosed["layers"]
            if any(layer[way] for way in ways)
        )
        supported = {
            way: not (diagnosed["whole"][way] or refusals(diagnosed, way))
            for way in (*ways, "quantize")
        }
        cells = ["yes" if supported[way] else "no" for way in ("prune", "cluster")]
        cells.append(diagnosed["engines"][""] if supported["quantize"] else "no")
        obstacles = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        twin = "no" if diagnosed["twin"] else "equal"
        lines.append(f"| {' | '.join([name, twin, *cells, obstacles])} |")
        assert not diagnosed["twin"], name
    with capsys.disabled():
        print("", *lines, sep="\n")
