"""Conversion of networks whose ops the converter does not take as they are."""

import keras
import numpy as np
import pytest
from keras import layers as L

from distill.compress import convert
from distill.measure import interpreter


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
