"""What a foreign file brings: layers and weights, for inference in float32."""

import inspect
import pathlib
import re
import zipfile

import keras
import numpy as np
import pytest
from ai_edge_litert import interpreter
from keras import layers, ops
from keras.src.applications import convnext, inception_resnet_v2

from distill.compress import convert
from distill.compress.twin import twin
from distill.runtime.errors import Untrusted
from distill.runtime.trust import allowed, bare, loader, sandbox, scan
from students.keras_models import flat

SHAPE = (8, 8, 3)
IMAGES = np.random.default_rng(0).uniform(size=(3, *SHAPE)).astype("float32")


def open_foreign(path):
    """As `loader.open_foreign`, in this process: the other one is tested elsewhere."""
    source, target = path.with_name("searched.keras"), path.with_name("made.keras")
    with zipfile.ZipFile(source, "w") as archive:
        for name, content in scan.members(path).items():
            archive.writestr(name, content)
    sandbox.open_keras(source, target)
    return loader.open_own(target)


@pytest.fixture
def save_and_open(tmp_path):
    """A function: saves a model, and opens its file."""

    def open_(model):
        model.save(tmp_path / "given.keras")
        return open_foreign(tmp_path / "given.keras")

    return open_


def answers(model, images=IMAGES):
    outputs = keras.tree.flatten(model(images, training=False))
    return [ops.convert_to_numpy(ops.cast(one, "float32")) for one in outputs]


def of(body, shape=SHAPE, **options):
    keras.utils.set_random_seed(0)
    images = keras.Input(shape, **options)
    return keras.Model(images, body(images))


def dense(dtype):
    return lambda x: layers.Dense(2, dtype=dtype)(
        layers.Conv2D(4, 3, dtype=dtype)(layers.Rescaling(2.0, dtype=dtype)(x))
    )


# Types.


@pytest.mark.parametrize(
    "dtype", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float16", "float64"]
)
def test_a_dtype_policy_stays_outside(dtype, save_and_open):
    original = of(dense(dtype))
    actual = save_and_open(original)
    assert {v.dtype for v in actual.variables} == {"float32"}
    assert all(op.compute_dtype == "float32" for op in actual.layers[1:])
    assert actual.output.dtype == "float32"
    for one, other in zip(actual.get_weights(), original.get_weights(), strict=True):
        np.testing.assert_allclose(one, other.astype("float32"), rtol=1e-6)
    np.testing.assert_allclose(answers(actual)[0], answers(original)[0], atol=0.05)


def test_a_cast_and_constants_compute_in_float32(save_and_open):
    original = of(
        lambda x: ops.cast(ops.cast(x, "float16") * np.arange(3.0), "float64")
    )
    actual = save_and_open(original)
    assert actual.output.dtype == "float32"
    np.testing.assert_allclose(answers(actual)[0], IMAGES * np.arange(3), rtol=1e-6)


def test_an_input_of_bytes_takes_floats_and_ids_stay_ids(save_and_open):
    actual = save_and_open(of(layers.Rescaling(1 / 255), dtype="uint8"))
    np.testing.assert_allclose(answers(actual, 255 * IMAGES)[0], IMAGES, rtol=1e-5)
    ids = save_and_open(of(layers.Embedding(9, 2), (4,), dtype="int32"))
    assert ids.inputs[0].dtype == "int32"


def test_a_quantized_network_is_refused_by_its_policy(save_and_open):
    original = of(lambda x: layers.Dense(4, name="eight_bits")(x))
    original.get_layer("eight_bits").quantize("int8")
    with pytest.raises(Untrusted, match=r"Quantized.*before `model.quantize`"):
        save_and_open(original)
    plain = {"class_name": "Dense", "module": "keras.layers", "registered_name": None}
    with pytest.raises(Untrusted, match="int8_from_float32"):
        scan._check_config("x", {**plain, "config": {"dtype": "int8_from_float32"}})


# Augmentation.


def augmentation_layer(name):
    """A layer of this class, with what it cannot do without."""
    kind = getattr(layers, name)
    expected = {"height": 8, "width": 8, "value_range": (0, 1), "seed": 1}
    known = inspect.signature(kind.__init__).parameters
    least = 3 if name == "RandomPosterization" else 0.3
    needed = {
        key: expected.get(key, least)
        for key, parameter in known.items()
        if key in expected
        or (parameter.default is parameter.empty and key not in ("self", "kwargs"))
    }
    return kind(**needed)


@pytest.mark.parametrize("name", sorted(allowed.AUGMENTING))
def test_what_drops_out_does_nothing_in_inference(name):
    outputs = keras.tree.flatten(augmentation_layer(name)(IMAGES, training=False))
    np.testing.assert_allclose(outputs[0], IMAGES, rtol=1e-6)


def test_augmentation_drops_out_at_every_depth(save_and_open):
    inside = keras.Sequential([layers.RandomFlip(), layers.RandomZoom(0.2)])

    def body(x):
        x = layers.Pipeline([layers.RandomContrast(0.3), layers.RandomHue(0.1)])(x)
        x = layers.RandomRotation(0.4)(inside(x))
        x = layers.Conv2D(4, 3)(x)
        return layers.Dense(5)(layers.GlobalAveragePooling2D()(x))

    original = of(body)
    actual = save_and_open(
        keras.Sequential([keras.Input(SHAPE), layers.MixUp(), original])
    )
    expected = answers(original)[0]
    np.testing.assert_array_equal(answers(actual)[0], expected)
    np.testing.assert_array_equal(  # Nor in training.
        ops.convert_to_numpy(actual(IMAGES, training=True)), expected
    )
    kinds = {type(layer).__name__ for layer in flat.flatten(actual, SHAPE).layers}
    assert kinds == {
        "InputLayer", "Conv2D", "GlobalAveragePooling2D", "Dense"
    }  # fmt: skip
    names = {type(layer).__name__ for layer in twin.to_tf_keras(actual).layers}
    assert names == kinds


def test_a_layer_that_only_looks_like_augmentation_is_refused():
    node = {"class_name": "RandomFlip", "config": {"name": "f"}}
    for more in (
        {"module": "mine"},
        {"module": "keras.layers", "registered_name": "x>R"},
    ):
        with pytest.raises(Untrusted, match="RandomFlip"):
            scan._check_config("x", bare.bare({**node, **more}))


# Classes.

OPERATIONS = {
    "slice": lambda x: x[:, 1:, ::2],
    "index": lambda x: x[:, 0, ..., -1],
    "new axis": lambda x: x[:, None, 1:5],
    "constants": lambda x: (x - np.array([0.5, 0.4, 0.3])) / ops.array([0.2, 0.3, 0.4]),
    "split": lambda x: ops.split(x, 3, axis=-1)[1],
    "where": lambda x: ops.where(x > 0.5, x, ops.exp(x) - 1),
    "einsum": lambda x: ops.einsum("bijc,bikc->bijk", x, x),
    "log softmax": lambda x: ops.log(ops.softmax(x)),
    "moments": lambda x: ops.std(x, axis=1) + ops.sum(x, axis=2),
    "padded": lambda x: ops.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]]),
    "taken": lambda x: ops.take(x, [0, 2], axis=1),
    "transposed": lambda x: ops.transpose(x, (0, 2, 1, 3)),
    "resized": lambda x: ops.image.resize(x, (4, 4)),
    "activation": lambda x: layers.Activation(ops.tanh)(x),
    "convnext": lambda x: convnext.StochasticDepth(0.5)(convnext.LayerScale(0.3, 3)(x)),
    "inception": lambda x: inception_resnet_v2.CustomScaleLayer(0.2)([x, x]),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_only_computes_is_opened(name, save_and_open):
    original = of(OPERATIONS[name])
    for one, other in zip(
        answers(save_and_open(original)), answers(original), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_every_class_that_is_allowed_is_of_the_installed_keras():
    for name in allowed.LAYERS | allowed.AUGMENTING:
        assert issubclass(getattr(layers, name), keras.Layer), name
    for module, names in allowed.PRIVATE.items():
        actual = __import__(module, fromlist=["_"])
        for name in names:
            kind = getattr(actual, name)
            assert kind.__module__ == module, name
            assert issubclass(kind, keras.Operation), name


def test_no_class_that_is_allowed_takes_a_function_or_a_path():
    """By the names of what its constructor and its call are given."""
    suspicious = re.compile(
        r"\b(f|fn|\w*func(tion)?|callable|\w*path|file\w*|vocab\w*)\b"
    )
    for module, names in {"keras.layers": allowed.LAYERS, **allowed.PRIVATE}.items():
        actual = __import__(module, fromlist=["_"])
        for name in names:
            kind = getattr(actual, name)
            known = [*inspect.signature(kind.__init__).parameters]
            known += inspect.signature(kind.call).parameters
            assert not [n for n in known if suspicious.fullmatch(n)], name


@pytest.mark.parametrize(
    "node",
    [
        {"module": "keras.src.ops.core", "class_name": "WhileLoop"},
        {"module": "keras.src.ops.numpy", "class_name": "Vectorize"},
        {"module": "keras.src.applications.convnext", "class_name": "Layer"},
        {"module": "mine.convnext", "class_name": "LayerScale"},
        {
            "module": "keras.src.applications.convnext",
            "class_name": "LayerScale",
            "registered_name": "mine>LayerScale",
        },
        {"class_name": "__numpy__", "config": {"value": [1], "dtype": "object"}},
        {"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "float32"}},
        {"class_name": "__numpy__", "config": {"value": {}, "dtype": "float32"}},
        {"class_name": "__tensor__", "config": {"value": "a", "dtype": "string"}},
        {"class_name": "__lambda__", "config": {"value": ["a"]}},
        {"class_name": "__typespec__", "config": []},
        {"class_name": ["Dense"], "module": "keras.layers"},
    ],
)
def test_what_is_near_to_an_allowed_class_is_refused(node):
    with pytest.raises(Untrusted, match="none of the built-in"):
        scan._check_config("x", node)


class Gain(layers.Layer):
    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer="random_normal")

    def call(self, x):
        return x * self.gain


def test_the_cure_of_the_refusal_keeps_the_weights(
    save_and_open, tmp_path, monkeypatch
):
    inside = of(lambda x: Gain()(layers.Conv2D(3, 3, padding="same")(x)))
    original = of(
        lambda x: layers.Dense(2)(
            inside(layers.Lambda(lambda x: x / 2, name="halved")(x))
        )
    )
    with pytest.raises(Untrusted, match=r"Lambda.*docs/given\.md"):
        save_and_open(original)
    text = (pathlib.Path(__file__).parents[2] / "docs" / "given.md").read_text()
    (code,) = re.findall(r"<!-- cure -->\n```python\n(.*?)```", text, re.S)
    monkeypatch.chdir(tmp_path)
    exec(code, {"model": original})
    actual = open_foreign(tmp_path / "mine.keras")
    np.testing.assert_allclose(answers(actual)[0], answers(original)[0], rtol=1e-5)


# Models inside models.


def test_a_compiled_model_inside_and_two_layers_of_one_name(save_and_open):
    keras.utils.set_random_seed(0)
    inside = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Rescaling(1 / 255, name="same"),
            layers.Conv2D(2, 3, name="kernel"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    inside.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inside.fit(IMAGES, np.arange(3), verbose=0)  # Its optimizer has state, too.
    original = keras.Sequential(
        [keras.Input(SHAPE), layers.Rescaling(255.0, name="same"), inside]
    )
    actual = save_and_open(original)
    np.testing.assert_array_equal(answers(actual)[0], answers(original)[0])
    for _ in range(2):  # The second time as the first.
        flattened = flat.flatten(actual, SHAPE)
        names = [layer.name for layer in flattened.layers]
        assert names[1:4] == ["same", f"{inside.name}_same", "kernel"]
        np.testing.assert_allclose(
            answers(flattened)[0], answers(original)[0], rtol=1e-6
        )
    copy = keras.models.clone_model(flattened)
    assert [layer.name for layer in copy.layers] == names


def test_what_is_shared_keeps_its_one_name(save_and_open):
    tower = of(lambda x: layers.Conv2D(2, 3, name="kernel")(x))
    other = of(lambda x: layers.Conv2D(2, 3, name="kernel")(x))
    original = of(lambda x: layers.Flatten()(tower(x) + tower(2 * x) * other(x)))
    flattened = flat.flatten(save_and_open(original), SHAPE)
    kernels = {layer.name for layer in flattened.layers if layer.weights}
    assert kernels == {"kernel", f"{other.name}_kernel"}
    np.testing.assert_allclose(answers(flattened)[0], answers(original)[0], rtol=1e-6)


# Inputs and outputs of a file.


def pair(names):
    return {name: keras.Input((4,), name=name) for name in names}


def test_a_file_keeps_the_order_and_the_names_of_inputs_and_outputs():
    original = pair(["zeta", "alpha"])
    z, a = original.values()
    d = layers.Dense(3, name="last")
    twice = layers.Dense(2, name="twice")
    tensors = {"zz": d(z - a), "aa": twice(a), "mm": twice(z)}
    numbers = [np.full((1, 4), k, "float32") for k in (1, 2)]
    for inputs in ([z, a], original):
        by_name = dict(zip(original, numbers, strict=True))
        for outputs, names in (
            (tensors, list(tensors)),
            (list(tensors.values()), ["last", "twice", "twice_1"]),
        ):
            model = keras.Model(inputs, outputs)
            file = interpreter.Interpreter(
                model_content=convert.to_tflite(model, "float32")
            )
            details = file.get_input_details(), file.get_output_details()
            expected = [tensor.name for tensor in model.inputs]
            assert [tensor["name"] for tensor in details[0]] == expected
            assert [tensor["name"] for tensor in details[1]] == names
            run = file.get_signature_runner()
            actual = run(**by_name)
            assert set(actual) == set(names)
            answer = model(
                [by_name[n] for n in expected] if inputs is not original else by_name
            )
            answer = answer.values() if isinstance(answer, dict) else answer
            for name, one in zip(names, answer, strict=True):
                np.testing.assert_allclose(actual[name], one, rtol=1e-5)


def test_logits_are_all_that_a_file_of_named_outputs_answers():
    images = keras.Input((4,))
    model = keras.Model(images, {"x": images, "logits": layers.Dense(3)(images)})
    file = interpreter.Interpreter(model_content=convert.to_tflite(model, "float32"))
    (only,) = file.get_output_details()
    assert only["shape"].tolist() == [1, 3]
