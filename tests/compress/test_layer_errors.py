"""What is results of a layer in a file is what was done to that layer."""

import pytest
import reports

from distill.report import console, layer_errors

# TF-MOT turns `tf.keras` into Keras 2 for a whole process: it gets one of its own.
CHILD = """
import json

import keras
import numpy as np

from distill.compress import convert, layer_errors
from distill.compress.twin import twin

L = keras.layers
rng = np.random.default_rng(0)
images = rng.uniform(size=(20, 6, 6, 2)).astype("float32")


def network():
    # Keras names them conv2d, conv2d_1, and in files conv2d_1, conv2d_1_1.
    keras.utils.clear_session()
    given = keras.Input((6, 6, 2))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(given)))
    y = L.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = L.Add()([x, L.BatchNormalization()(y)])
    x = L.DepthwiseConv2D(3, 2, padding="same")(x)
    x = L.Conv2D(6, 1, activation="sigmoid")(x)
    x = L.Flatten()(x)
    model = keras.Model(given, {"logits": L.Dense(5)(L.Dense(7)(x))})
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.weights])
    return model


student = network()
weights = student.get_weights()
found = layer_errors.Reference(twin.to_tf_keras(student), images)
kernels = [x.name for x in student.layers if hasattr(x, "kernel")]
results = {"kernels": kernels}
results["float32"] = found.errors(convert.to_tflite(student, "float32"))
results["pruned"] = found.errors(convert.to_tflite(student, "pruned"))
results["int8"] = found.errors(convert.to_tflite(student, "int8", images))
results["float16"] = found.errors(convert.to_tflite(student, "float16"))
for variant, calibration in (("float32", None), ("int8", images)):
    results[f"spoiled {variant}"] = {}
    for name in kernels if calibration is None else kernels[1::3]:
        kernel = student.get_layer(name).kernel
        kernel.assign(rng.permuted(np.array(kernel)))
        file = convert.to_tflite(student, variant, calibration)
        results[f"spoiled {variant}"][name] = found.errors(file)
        student.set_weights(weights)
student.layers[-1].kernel.assign(1.25 * np.array(student.layers[-1].kernel))
results["scaled"] = found.errors(convert.to_tflite(student, "float32"))
start = keras.Input((6, 6, 2))
narrow = keras.Model(start, L.Dense(5)(L.Flatten()(L.Conv2D(3, 3)(start))))
results["other"] = found.errors(convert.to_tflite(narrow, "float32"))
print(json.dumps(results))
"""


ERRORS = ("weight_error", "own_error", "output_error")


@pytest.mark.parametrize("name", ["float32", "pruned"])
def test_a_float_file_has_no_error_in_any_layer(results, name):
    assert sorted(x["layer"] for x in results[name]) == sorted(results["kernels"])
    assert all(layer[kind] <= 1e-4 for layer in results[name] for kind in ERRORS)


def test_eight_bits_cost_more_than_sixteen_in_every_layer(results):
    eight, sixteen = (
        {x["layer"]: x for x in results[name]} for name in ("int8", "float16")
    )
    assert sorted(eight) == sorted(sixteen) == sorted(results["kernels"])
    for name in results["kernels"]:
        for kind in ERRORS:
            assert 1e-5 < sixteen[name][kind] < eight[name][kind] < 0.1


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_a_spoiled_layer_adds_the_largest_error_of_its_file(results, variant):
    spoiled = results[f"spoiled {variant}"]
    assert len(spoiled) == (6 if variant == "float32" else 2)
    for name, errors in spoiled.items():
        by_name = {x["layer"]: x for x in errors}
        for kind in ("own_error", "weight_error"):
            assert max(by_name, key=lambda x: by_name[x][kind]) == name
            others = [x[kind] for x in errors if x["layer"] != name]
            assert max(others) < 0.1 < by_name[name][kind]
        assert layer_errors.worst({"layers": errors})["layer"] == name


def test_an_error_is_seen_behind_its_layer_and_not_before(results):
    order = results["kernels"]
    for index, name in enumerate(order):
        output = {
            x["layer"]: x["output_error"] for x in results["spoiled float32"][name]
        }
        assert all(output[before] <= 1e-4 for before in order[:index])
        assert all(output[after] > 1e-3 for after in order[index:])


def test_a_kernel_that_is_larger_by_a_quarter_has_that_error(results):
    *others, last = results["scaled"]
    assert last["layer"] == results["kernels"][-1]
    assert last["weight_error"] == pytest.approx(0.25, abs=1e-4)
    assert max(x["weight_error"] for x in others) <= 1e-4


def test_layers_of_another_shape_are_left_out(results):
    assert results["other"] == []


def layer(name, own, **more):
    errors = {"weight_error": 0.011, "own_error": own, "output_error": 0.222}
    return {"layer": name, **errors, **more}


def given():
    made = reports.make()
    files = [x for x in made["models"] if x["name"].startswith("student.")]
    files[0]["layers"] = [layer("stem", 1e-7), layer("head", 2e-7)]
    files[1]["layers"] = [layer("stem", 0.0345), layer("head", None)]
    files[2]["layers"] = [layer("head", 2.5)]
    return made


def test_the_console_names_the_worst_layer_of_each_file():
    text = " ".join(console.table(given()).split())
    assert (
        "largest error that a layer adds: float32 2e-05 % at head; float16 3.45 % at "
        "stem; dynamic_int8 250 % at head" in text
    )
    assert "a layer adds" not in console.table(reports.make())


def test_the_page_shows_layers_by_files():
    found = layer_errors.table(given()["models"])
    assert found["files"] == ["float32", "float16", "dynamic_int8"]
    stem, head = found["rows"]
    assert [cell and cell["shade"] for cell in stem["cells"]] == [0, 4, None]
    assert [cell["shade"] for cell in head["cells"]] == [0, 0, layer_errors.STEPS]
    assert [cell and cell["worst"] for cell in stem["cells"]] == [False, True, None]
    text = reports.page(given())
    assert "What each file does to each layer" in text
    assert '<td class="e4 worst" title="of the weights 1.1 %' in text
    assert "each layer" not in reports.page(reports.make())
