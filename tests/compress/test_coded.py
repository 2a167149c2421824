"""Coded kernels: the numbers of the file are those that were trained."""

import pytest

from distill.measure import codec
from distill.run.evaluation import judge

# tf_keras in a process of its own, as in `test_finish.py`.
CHILD = """
import json

import benches
import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from distill.compress.finishers import coded
from distill.compress.quantize import bins, levels
from distill.compress.twin import folding
from distill.measure import codec, cost
from distill.measure.facts import read_facts
from distill.run import child
from distill.runtime.resume import resume

layers, results = keras.layers, {}
run, folder = benches.begin("[{name: coded}]", batch_size=54)
images = keras.Input((8, 8, 1), name="images")


def kernel(x, name, width, kind=layers.Conv2D, size=3, **options):
    x = kind(width, size, padding="same", use_bias=False, name=name, **options)(x)
    return layers.ReLU()(layers.BatchNormalization(name=f"{name}_norm")(x))


x = kernel(images, "stem", 8, strides=2)
x = kernel(x, "up", 8, layers.Conv2DTranspose, strides=2)
x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
x = layers.Reshape((64, 8))(kernel(x, "inner", 8, groups=2))
x = layers.Conv1D(8, 3, name="sequence")(x)
x = layers.GlobalAveragePooling1D(name="pool")(x)
student = keras.Model(images, {"logits": layers.Dense(10, name="head")(x)})
gamma = student.get_layer("inner_norm").gamma
gamma.assign(gamma * [1, -1, 0.5, -2, 1, 1, 3, -0.1])
counted, work = cost.count(student), benches.open_bench(run, folder, student)
parts = {"coded": coded.Coded(epochs=2, tradeoff=0.5)}
parts["coded_int8"] = coded.CodedInt8(epochs=1)
work.take_up(parts.values(), folder, {})
# The file: its codes are the trained numbers, its weights those of the network.
def codes_of(file):
    packed = schema.ModelT.InitFromPackedBuf(file, 0)
    found = {}
    for tensor in packed.subgraphs[0].tensors:
        data = packed.buffers[tensor.buffer].data
        if tensor.type == schema.TensorType.INT8 and data is not None:
            codes = np.asarray(data).view(np.int8).reshape(tensor.shape)
            found[tensor.name.decode()] = codes, np.asarray(tensor.quantization.scale)
    return found


def compare(file, model):
    # For each kernel: whether its codes are in the file, and how far its weights are.
    folded = folding.fold(levels.unwrap(model))
    result = {}
    for kernel in levels.find(model):
        name, axis = kernel.layer.name, -1 - (kernel.layer.name == "up")
        numbers = np.rint(kernel.variable.numpy() / kernel.levels.width.numpy())
        rounded = folded.get_layer(name).kernel.numpy()
        wanted, weights = (np.moveaxis(x, axis, 0) for x in (numbers, rounded))
        size = len(wanted)
        wanted, weights = wanted.reshape(size, -1), weights.reshape(size, -1)
        signs = np.sign((wanted * weights).sum(1))
        both = [wanted * signs[:, None], weights]
        for codes, scales in codes_of(file).values():
            flat = codes.reshape(len(codes), -1)
            if flat.shape == wanted.shape and (flat == both[0]).all():
                far = np.abs(flat * scales.reshape(-1, 1) - weights).max()
                result[name] = float(far / np.abs(weights).max())
    return result


def made(name):
    part, path = parts[name], folder / "x.tflite"
    path.write_bytes(part.make(work))
    facts = read_facts(path)
    results[name] = {
        "breaches": part.breaches(facts, parts, counted),
        "conversion": part.conversion_breaches(work.parity),
        "parity": work.parity,
        "bits": [kernel.bits for kernel in facts.kernels],
        "layers": [kernel.layer for kernel in facts.kernels],
        "float ops": list(facts.float_ops),
    }
    history = work.trained[name][0]
    results[name]["rates"] = history["rate"]
    work.store(name).clear()
    return path.read_bytes()


fits, train = [], bins.train


def watched(model, *arguments, **options):
    fits.append(train(model, *arguments, **options))
    return fits[-1]


bins.train = watched
whole = made("coded")
results["codes"] = compare(whole, fits[-1])
eight = made("coded_int8")
simulated = fits[-1]
results["kernels"] = []
for kernel in levels.find(simulated):
    numbers = np.rint(kernel.variable.numpy() / kernel.levels.width.numpy())
    wanted = np.sort(np.abs(numbers), None).tolist()
    found = [np.sort(np.abs(c), None).tolist() for c, _ in codes_of(eight).values()]
    results["kernels"].append(wanted in found)
results["engine"] = work.engines["coded_int8"]

# A kill after every step.
commit, killed = resume._Saver._commit, []


def dies(self):
    commit(self)
    killed.append(self.step)
    raise KeyboardInterrupt


resume._Saver._commit, resume.seconds_between_moments = dies, lambda: 0.0
steps = work.steps_per_epoch(run.finish[0])
for name, count in (("coded", 2 * steps), ("coded_int8", steps)):
    for step in range(1, count):
        try:
            parts[name].make(work)
        except KeyboardInterrupt:
            pass
    child._make_file(parts[name], work, folder, with_layer_errors=False)
    path = folder / f"student.{name}.tflite"
    first = work.stamp(f"student.{name}", {"coded": whole, "coded_int8": eight}[name])
    same = path.read_bytes() == first
    results[name]["killed"] = [killed == list(range(1, count)), same]
    packed = path.with_suffix(".tflz").read_bytes()
    results[name]["packed"] = [codec.unpack(packed) == first, len(packed) < len(first)]
    killed.clear()
print(json.dumps(results))
"""


@pytest.mark.parametrize("name", ["coded", "coded_int8"])
def test_a_file_holds_what_was_promised(results, name):
    assert results[name]["breaches"] == results[name]["conversion"] == []
    assert set(results[name]["bits"]) == {8}


def test_a_rate_becomes_smaller(results):
    before, after = results["coded"]["rates"]
    assert after < before < 2.4


def test_every_code_in_the_file_is_the_number_of_a_bin(results):
    found = results["codes"]
    assert set(found) == {"stem", "up", "inner", "sequence", "head"}
    # Scales have the eight significant bits of a bfloat16.
    assert max(found.values()) < 2**-8 + 1e-5


def test_the_file_in_integers_has_the_codes_too_and_no_float_op(results):
    assert results["kernels"] == [True] * 5
    assert results["coded_int8"]["float ops"] == []
    assert results["engine"] == "keras"


@pytest.mark.parametrize("name", ["coded", "coded_int8"])
def test_a_kill_after_each_step_changes_no_byte(results, name):
    assert results[name]["killed"] == [True, True]


@pytest.mark.parametrize("name", ["coded", "coded_int8"])
def test_the_packed_file_is_beside_the_file(results, name):
    assert results[name]["packed"] == [True, True]


def test_a_packed_file_of_other_bytes_is_a_breach(tmp_path):
    path = tmp_path / "student.coded.tflite"
    path.write_bytes(b"one" * 99)
    path.with_suffix(".tflz").write_bytes(codec.pack(b"one" * 99))
    assert judge.container_breaches(path) == []
    path.write_bytes(b"two" * 99)
    (line,) = judge.container_breaches(path)
    assert line == "student.coded.tflz unpacks to other bytes than student.coded.tflite"
