"""Gives a network that has learned nothing something to teach, in no time."""

import keras
import numpy as np


def taught(network, split):
    """Sets a last dense layer by least squares, from what it is given to the labels.

    Args:
        network: A `keras.Model` that ends in a `Dense`, from images to logits.
        split: Examples of which it then knows most.
    """
    head = next(x for x in network.layers[::-1] if isinstance(x, keras.layers.Dense))
    below = keras.Model(network.inputs, head.input)
    seen = below.predict(split.floats(), verbose=0)
    seen = np.c_[seen, np.ones(len(seen))]
    wanted = 4 * np.eye(head.units)[split.labels] - 2
    ridge = 1e-3 * len(seen) * np.eye(seen.shape[1]) * seen.var()
    found = np.linalg.solve(seen.T @ seen + ridge, seen.T @ wanted)
    head.set_weights([found[:-1], found[-1]])
    return network
