"""Makes files of a network that is not trained yet, for the sake of their ops."""

import keras
import numpy as np

from distill.compress import convert
from distill.compress.quantize import exact

EXAMPLES = 8  # Random ones, by which ranges are set.
_ZEROS = 0.9  # Share of a kernel, enough for the converter to write it sparse.


def convert_untrained(network: keras.Model, variant: str, io: str = "float32") -> bytes:
    """Converts a network on random inputs; ops and memory are those of a trained one.

    Args:
        network: A built network of one input.
        variant: See `convert.to_tflite`; for `pruned`, zeros are put into a copy. Also
            `all_int8`: with every kernel in eight bits, however small.
        io: See `convert.to_tflite`.
    """
    if variant == "all_int8":
        return exact.store(convert.to_tflite(network, "float32", None, io), ())
    if variant == "pruned":
        network = _make_sparse(network)
    return convert.to_tflite(
        network,
        variant,
        _random_inputs(network) if variant in ("int8", "int16x8") else None,
        io,
    )


def _random_inputs(network):
    (given,) = network.inputs
    size = (EXAMPLES, *(length or 8 for length in given.shape[1:]))
    # Of ids, which are whole numbers, all become 0.
    return np.random.default_rng(0).uniform(size=size).astype(given.dtype)


def _make_sparse(network):
    copy = keras.models.clone_model(network)
    copy.set_weights([_thin(weight) for weight in network.get_weights()])
    return copy


def _thin(weight):
    """A kernel without its smallest entries; any other weight as it is."""
    if weight.ndim < 2:
        return weight
    size = np.abs(weight)
    return np.where(size > np.quantile(size, _ZEROS), weight, 0)
