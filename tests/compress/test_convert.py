"""Conversion of networks whose ops the converter does not take as they are."""

import keras
import numpy as np
import pytest
import tf_keras
from ai_edge_litert import interpreter as litert
from keras import layers as L

from distill.compress import convert
from distill.measure import graph, interpreter
from distill.report.firmware import bundle
from distill.teach.answering import formats


@pytest.mark.parametrize("variant", ["int8", "int16x8"])
def test_recurrent_layers_are_calibrated(variant, tmp_path):
    """On a loop, TFLite's calibrator ends the process with a segmentation fault."""
    keras.utils.set_random_seed(0)
    given = keras.Input((4, 3))
    both = L.Bidirectional(L.SimpleRNN(4, return_sequences=True))
    inside = keras.Sequential([keras.Input((4, 8)), L.GRU(3)])
    model = keras.Model(given, {"logits": L.Dense(2)(inside(both(given)))})
    examples = np.random.default_rng(0).uniform(-1, 1, (40, 4, 3)).astype("float32")
    wanted = keras.ops.convert_to_numpy(model(examples)["logits"])
    path = tmp_path / "file.tflite"
    path.write_bytes(convert.to_tflite(model, variant, examples))
    answers = interpreter.predict(path, examples)
    np.testing.assert_allclose(answers, wanted, atol=0.1 * np.abs(wanted).max())
    assert not both.forward_layer.unroll  # The network itself stays as it was.
    whole = graph.Graph(convert.to_tflite(model, "float32"))
    assert "WHILE" in {whole.name(op) for op in whole.ops}


@pytest.fixture(scope="module")
def reader():
    """A network of tf_keras with an LSTM in each direction, examples, its answers."""
    tf_keras.utils.set_random_seed(0)
    given = tf_keras.Input((4, 3))
    both = tf_keras.layers.Bidirectional(tf_keras.layers.LSTM(4), name="both")
    model = tf_keras.Model(given, tf_keras.layers.Dense(2)(both(given)))
    examples = np.random.default_rng(0).normal(size=(9, 4, 3)).astype("float32")
    return model, examples, model(examples).numpy()


@pytest.fixture
def stateful(reader, tmp_path, monkeypatch):
    """Its file as TensorFlow itself makes it, with TFLite's LSTM op."""
    monkeypatch.setattr(convert, "_FOR_GPU", "_no_attribute_of_a_layer")
    path = tmp_path / "file.tflite"
    path.write_bytes(convert.to_tflite(reader[0], "float32"))
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in graph.Graph(path.read_bytes()).float_ops()
    return path


def answers_in_turn(path, examples):
    """The answers as a program gets them that knows nothing of states."""
    model = litert.Interpreter(str(path))
    model.allocate_tensors()
    (taken,), (given,) = model.get_input_details(), model.get_output_details()
    answers = []
    for example in examples:
        model.set_tensor(taken["index"], example[None])
        model.invoke()
        answers.append(model.get_tensor(given["index"])[0])
    return np.array(answers)


def test_the_answer_of_a_file_does_not_depend_on_the_example_before(reader, tmp_path):
    model, examples, wanted = reader
    path = tmp_path / "file.tflite"
    path.write_bytes(convert.to_tflite(model, "float32"))
    answers = answers_in_turn(path, examples)
    np.testing.assert_allclose(answers, wanted, atol=1e-6)


def test_an_lstm_of_tf_keras_is_calibrated(reader, tmp_path):
    model, examples, wanted = reader
    path = tmp_path / "file.tflite"
    path.write_bytes(convert.to_tflite(model, "int8", examples))
    answers = interpreter.predict(path, examples)
    np.testing.assert_allclose(answers, wanted, atol=0.1 * np.abs(wanted).max())


def test_a_file_of_elsewhere_is_measured_and_teaches_without_its_state(
    reader, stateful
):
    _, examples, wanted = reader
    assert np.abs(answers_in_turn(stateful, examples) - wanted).max() > 0.01
    run = interpreter.Runner(stateful, (1, *examples.shape[1:]), 1)
    measured = [run(example[None])[0] for example in examples]
    np.testing.assert_allclose(measured, wanted, atol=1e-6)
    teacher = formats.open_tflite(str(stateful))
    for start in (0, 3, 6):  # Batches of one shape, which share their tensors.
        (taught,) = teacher(examples[start : start + 3]).values()
        np.testing.assert_allclose(taught, wanted[start : start + 3], atol=1e-6)


def test_sources_for_a_microcontroller_reset_what_keeps_a_state(
    reader, stateful, tmp_path
):
    reset = "interpreter_.Reset()"
    assert reset in bundle.render(stateful)["file_micro.h"]
    path = tmp_path / "one.tflite"
    given = keras.Input((4,))
    dense = keras.Model(given, {"logits": L.Dense(2)(given)})
    path.write_bytes(convert.to_tflite(dense, "float32"))
    assert reset not in bundle.render(path)["one_micro.h"]
