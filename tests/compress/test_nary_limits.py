"""What `nary` rounds, and which networks and options it refuses."""

import numpy as np
import pytest

from distill.compress import finishers
from distill.compress.finishers.nary import Nary
from distill.compress.quantize import exact


def test_scales_are_rounded_to_the_nearest_sixteen_bits():
    values = np.array([1, -1, 1 + 2**-8, 1 + 2**-7, 3e-8, 0], np.float32)
    rounded = exact.round_floats(values)
    assert (rounded.view(np.uint32) & 0xFFFF == 0).all()
    assert (abs(rounded - values) <= 2**-8 * abs(values)).all()
    assert rounded[[0, 1, 3, 5]].tolist() == values[[0, 1, 3, 5]].tolist()


def layers(*kinds):
    return [
        {"name": f"layer{index}", "kind": kind, "kernels": kind != "ReLU"}
        for index, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("kinds", "options", "why"),
    [
        (["Conv2D", "ReLU", "Conv1D", "Dense"], {}, {}),
        (
            ["Dense", "ReLU", "Dense"],
            {},
            {"model": "1 with `ends: levels`; here are 2"},
        ),
        (["Dense"], {"ends": "levels"}, {}),
        (["DepthwiseConv2D", "ReLU"], {"ends": "levels"}, {"model": "here are 0"}),
        (["Conv2D", "LSTM"] + 2 * ["Dense"], {}, {"layer1": "LSTM layers cannot"}),
    ],
)
def test_a_network_without_kernels_for_levels_is_refused(kinds, options, why):
    found = Nary(**options).blocked({"twin": {}, "layers": layers(*kinds)})
    assert list(found) == list(why)
    assert all(words in found[name] for name, words in why.items())
    assert Nary().blocked({"twin": {"x": "odd"}, "layers": []}) == {"x": "odd"}


def test_other_numbers_of_levels_are_refused():
    for wrong in (0, 2, 4, 9):
        with pytest.raises(ValueError, match="`levels` must be 3, 5 or 7"):
            Nary(levels=wrong)
    assert finishers.FINISHERS["nary"].certified


def test_channels_of_zeros_stay_zero_whatever_codes_they_have():
    codes = np.arange(1, 13, dtype=np.int8).reshape(3, 4)
    values = np.float32([[0.5], [0.0], [-0.25]]) * codes
    found, scales = exact._find_codes(values, [codes])
    np.testing.assert_allclose(found * scales[:, None], values, rtol=1e-6)
    found, scales = exact._find_codes(0 * values, [codes])
    assert not found.any()
    assert (scales > 0).all()
