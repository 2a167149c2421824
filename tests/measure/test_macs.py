"""A network costs what its file costs, whatever the network is made of."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops

import students
from distill.compress import convert
from distill.compress.finishers import FINISHERS
from distill.measure import cost
from distill.measure.facts import read_facts
from distill.runtime import formats

IMAGE, MAPS, SERIES, IDS = (8, 8, 4), (4, 6, 6, 2), (6, 5), (6,)


def network(shape, *branches, dtype=None):
    """Branches side by side from one input to logits."""
    given = keras.Input(shape, dtype=dtype)
    made = [L.Flatten()(branch(given)) for branch in branches]
    logits = L.Dense(3)(L.concatenate(made) if len(made) > 1 else made[0])
    return keras.Model(given, {"logits": logits})


def convolutions():
    return network(
        IMAGE,
        L.Conv2D(4, 3, strides=2, padding="same"),
        L.Conv2D(4, 3, dilation_rate=2),
        L.Conv2D(8, 3, groups=2),
        L.DepthwiseConv2D(3, 2, depth_multiplier=2),
        L.SeparableConv2D(6, 3, strides=2, depth_multiplier=2),
        L.Conv2DTranspose(3, 3, strides=2, padding="same"),
        L.Conv2DTranspose(3, 4, strides=3),
    )


def convolutions_of_series():
    return network(
        SERIES,
        L.Conv1D(4, 3, dilation_rate=2, padding="causal"),
        L.DepthwiseConv1D(3, 2),
        L.SeparableConv1D(4, 3, strides=2),
        L.Conv1DTranspose(4, 3, strides=2),
    )


def convolutions_of_volumes():
    return network(
        MAPS,
        L.Conv3D(4, 3, strides=2, padding="same"),
        L.Conv3DTranspose(3, 2, strides=2),
        L.TimeDistributed(L.Conv2D(4, 3)),
        L.TimeDistributed(keras.Sequential([keras.Input((6, 6, 2)), L.Conv2D(4, 3)])),
    )


def attention():
    heads = L.MultiHeadAttention(2, 3, value_dim=4)
    return network(
        SERIES,
        lambda x: heads(x, L.Cropping1D(2)(x)),
        lambda x: L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
        lambda x: L.MultiHeadAttention(2, 3)(x, x[:, 1:], x[:, :-1]),
        lambda x: L.GroupQueryAttention(4, 4, 2)(x, x),
        lambda x: L.Attention()([x, L.Dense(5)(x)]),
        lambda x: L.AdditiveAttention()([x, L.Dense(5)(x)]),
        lambda x: L.Dot(2)([x, L.Dense(5)(x)]),
    )


def attention_of_maps():
    return network(
        (4, 3, 5), lambda x: L.MultiHeadAttention(2, 3, attention_axes=(2,))(x, x)
    )


def recurrent():
    return network(
        SERIES,
        lambda x: L.LSTM(3)(L.LSTM(4, return_sequences=True)(x)),
        L.GRU(4, return_sequences=True),
        L.GRU(4, reset_after=False),
        L.SimpleRNN(4),
        L.RNN([L.LSTMCell(3), L.GRUCell(4)]),
        L.Bidirectional(L.LSTM(2), merge_mode="sum"),
        L.LSTM(4, unroll=True),
        L.Bidirectional(L.GRU(2, unroll=True)),
    )


def recurrent_maps():
    return network(MAPS, L.ConvLSTM2D(4, 3, strides=2, padding="same"))


def products():
    weights = np.random.default_rng(0).uniform(size=(5, 7)).astype("float32")
    return network(
        SERIES,
        L.EinsumDense("abc,cde->abde", (6, 2, 3)),
        L.EinsumDense("...x,xy->...y", 4),
        lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))),
        lambda x: ops.einsum("bij,bkj->bik", x, L.Dense(5)(x)),
        lambda x: ops.dot(x, weights),
        lambda x: ops.matmul(weights[:, :6], x),
        lambda x: ops.dot_product_attention(*[L.Reshape((6, 1, 5))(x)] * 3),
    )


def shared():
    """One tower that is called on two halves; and another, on two sizes."""
    tower, kernel = network((8, 4, 4), L.Conv2D(4, 3)), L.Conv2D(4, 3)
    halves = [L.Cropping2D(((0, 0), side)) for side in ((0, 4), (4, 0))]
    return network(
        IMAGE,
        *(lambda x, half=half: tower(half(x))["logits"] for half in halves),
        kernel,
        lambda x: kernel(L.Cropping2D(1)(x)),
        L.SpectralNormalization(L.Conv2D(2, 3)),
    )


def texts():
    table = L.ReversibleEmbedding(11, 4)
    return network(
        IDS,
        L.Embedding(9, 3),
        lambda x: table(L.Dense(4)(table(x)), reverse=True),
        dtype="int32",
    )


def application(name, **options):
    made = getattr(keras.applications, name)
    asked = {"weights": None, "classes": 3, "classifier_activation": None, **options}
    return lambda: made(**asked)


def student(name, shape=(16, 16, 3), **options):
    part = students.BUILDERS[name]
    return lambda: part(**options).build(shape, 3)


ZOO = {
    **{
        made.__name__: made
        for made in (
            *(convolutions, convolutions_of_series, convolutions_of_volumes),
            *(attention, attention_of_maps, recurrent, recurrent_maps),
            *(products, shared, texts),
        )
    },
    "resnet": student("resnet", depth=8),
    "wide_resnet": student("wide_resnet", depth=10),
    "resnext": student("resnext", depth=11),
    "nin": student("nin"),
    "lenet": student("lenet"),
    "mobilenet": student("mobilenet", width_multiplier=0.25),
    "MobileNet": application("MobileNet", input_shape=(32, 32, 3), alpha=0.25),
    "MobileNetV3Small": application("MobileNetV3Small", input_shape=(32, 32, 3)),
}


class Own(L.Layer):
    """A layer of a user's own, of which nobody knows what it multiplies."""

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], 3), name="matrix")

    def call(self, x):
        return ops.matmul(x, self.matrix)


@pytest.mark.parametrize("name", ZOO)
def test_a_network_costs_what_its_file_costs(name, tmp_path):
    made = ZOO[name]()
    counted = cost.count(made)
    path = tmp_path / "made.tflite"
    path.write_bytes(convert.to_tflite(made, "float32"))
    facts = read_facts(path)
    assert counted.macs == facts.macs > 0
    assert counted.uncounted == facts.uncounted == ()
    # What a file says of itself comes later.
    predicted = FINISHERS["float32"]().predicted_bytes(counted)
    assert predicted == pytest.approx(facts.bytes + 2_500, rel=0.25, abs=3_000)


@pytest.mark.parametrize("unknown", [Own(name="own"), L.Lambda(abs, name="own")])
def test_what_is_not_known_is_named(unknown):
    counted = cost.count(network(IMAGE, unknown, L.Conv2D(2, 3)))
    assert counted.uncounted == ("own",)
    assert counted.macs >= 2 * 9 * 4 * 36
    assert formats.macs(vars(counted)).startswith("\N{GREATER-THAN OR EQUAL TO} ")
    assert "`own`" in formats.not_counted([vars(counted)])


def test_an_open_size_makes_a_lower_bound():
    given = keras.Input((None, None, 3))
    made = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, name="conv")(given))
    counted = cost.count(keras.Model(given, L.Dense(2)(made)))
    assert counted.uncounted == ("conv",)
    assert counted.macs == 3 * 3 * 3 * 4 + 4 * 2


def thinned(made):
    """Three of four entries of every kernel made zero, but of depthwise ones."""
    rng = np.random.default_rng(0)
    for weight in made.weights:
        values = rng.uniform(0.1, 1, weight.shape)
        if weight.name.endswith("kernel") and weight.name != "depthwise_kernel":
            values.flat[: 3 * values.size // 4] = 0
        weight.assign(values)
    return made


@pytest.mark.parametrize("variant", ["float32", "float16", "dynamic_int8"])
def test_zeros_of_kernels_of_every_name_are_counted(variant, tmp_path):
    made = thinned(
        network(
            SERIES,
            L.LSTM(4),
            L.SeparableConv1D(4, 3),
            L.Conv1DTranspose(16, 16),
            lambda x: L.MultiHeadAttention(2, 3)(x, x),
        )
    )
    assert cost.sparsity(made) == pytest.approx(0.75, abs=0.01)
    path = tmp_path / "made.tflite"
    path.write_bytes(convert.to_tflite(made, variant))
    facts = read_facts(path)
    assert facts.sparsity == pytest.approx(0.75, abs=0.01)
    held = sum(kernel.size for kernel in facts.kernels)
    depthwise = 3 * SERIES[-1]
    assert held + depthwise == cost.count(made).kernels


def test_what_is_inside_a_loop_computes_in_float_too(tmp_path):
    path = tmp_path / "made.tflite"
    path.write_bytes(convert.to_tflite(network(SERIES, L.SimpleRNN(4)), "float32"))
    facts = read_facts(path)
    assert "TANH" in facts.float_ops
    assert facts.ops["FULLY_CONNECTED"] == 3
