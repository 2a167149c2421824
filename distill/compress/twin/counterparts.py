"""Converts a Keras 3 layer to layers of tf_keras that compute the same."""

import functools
import inspect
from collections.abc import Callable

import keras
import numpy as np
import tf_keras

layers = tf_keras.layers


class Unmatched(ValueError):
    """A layer has no counterpart; the message is the reason in a few words."""


def reason(mistake: Exception) -> str:
    """The message of an error in one line of at most 200 characters."""
    return " ".join(str(mistake).split())[:200]


def of_layer(layer, name: str) -> tuple[list[tf_keras.layers.Layer], Callable]:
    """The tf_keras layer of the same class and options.

    A separable convolution becomes a depthwise one and one of a pixel, which TF-MOT
    and our own tools support.

    Args:
        layer: A built layer of Keras 3.
        name: Name of the counterpart.

    Returns:
        The layers that take the weights of `layer`, in their order; and a function
        that calls them, followed by the layers of an activation that tf_keras lacks.

    Raises:
        Unmatched: If there is no counterpart.
    """
    kind = getattr(layers, type(layer).__name__, None)
    # By module too: a class of a user may have the name of a standard one.
    if not type(layer).__module__.startswith("keras."):
        raise Unmatched("it is not a standard layer")
    if kind is None:
        raise Unmatched("tf_keras has no such layer")
    options = _options(layer, kind)
    if type(layer) is keras.layers.Normalization:
        # As constants: both Keras store mean and variance in different variables.
        options["mean"], options["variance"] = _moments(layer)
    if "layer" in options:
        raise Unmatched("it wraps another layer")
    behind = None
    if isinstance(options.get("activation"), str):
        options["activation"], behind = activation(options["activation"])
    parts = _parts(kind, options, name)
    behind = [behind(name)] if behind else []
    return parts, lambda *args, **kwargs: functools.reduce(
        lambda x, part: part(x), [*parts[1:], *behind], parts[0](*args, **kwargs)
    )


def _parts(kind, options, name):
    """The layers that replace one layer; the last has its name."""
    if kind not in _SEPARABLE:
        return [kind(**options, name=name)]
    first, second = _SEPARABLE[kind]
    known = set(inspect.signature(first.__init__).parameters)
    of_first = {key: value for key, value in options.items() if key in known}
    of_first |= {"activation": None, "use_bias": False}
    of_second = {key: options[key] for key in ("filters", "activation", "use_bias")}
    return [
        first(**of_first, name=f"{name}_depthwise"),
        second(**of_second, kernel_size=1, name=name),
    ]


_SEPARABLE = {
    layers.SeparableConv1D: (layers.DepthwiseConv1D, layers.Conv1D),
    layers.SeparableConv2D: (layers.DepthwiseConv2D, layers.Conv2D),
}


def _options(layer, kind):
    """The options that both classes have.

    Raises:
        Unmatched: If an option of the layer's class alone is not at its default.
    """
    known = set(inspect.signature(kind.__init__).parameters)
    own = inspect.signature(type(layer).__init__).parameters
    # Initializers make weights that are overwritten. Regularizers and constraints
    # belong to the student's training, which is over.
    ignored = ("initializer", "regularizer", "constraint", "dtype", "name")
    options = {}
    for key, value in layer.get_config().items():
        if key.endswith(ignored):
            continue
        key = key if key in known else _RENAMED.get(key, key)
        if key in known:
            options[key] = value
        elif key in own and value not in (own[key].default, _ONLY_WAY.get(key)):
            raise Unmatched(f"tf_keras has no option `{key}`, here {value!r}")
    return options


_RENAMED = {"negative_slope": "alpha"}
_ONLY_WAY = {"data_format": "channels_last"}  # What a class without the option does.


def _moments(layer):
    """Mean and variance of a `Normalization`, adapted or not."""
    adapted = getattr(layer, "mean", None) is not None
    names = ("mean", "variance") if adapted else ("adapt_mean", "adapt_variance")
    return [
        np.squeeze(keras.ops.convert_to_numpy(getattr(layer, n))).tolist()
        for n in names
    ]


def activation(name: str) -> tuple[str, Callable | None]:
    """The counterpart of an activation of Keras 3.

    Args:
        name: The activation's name in a layer's config.

    Returns:
        Name of tf_keras' activation, and None; or `linear`, and a function from a
        name to a function that computes the activation with layers.

    Raises:
        Unmatched: If the name means different functions in the two.
    """
    if name in _COMPOSED:
        return "linear", _COMPOSED[name]
    name = {"silu": "swish"}.get(name, name)
    if not _agree(name):
        raise Unmatched(f"tf_keras computes no activation `{name}` as Keras 3 does")
    return name, None


@functools.cache
def _agree(name):
    """Whether an activation of this name is the same function in both.

    Evaluated and not looked up: the same name can mean different functions.
    """
    points = np.linspace(-7, 7, 57, dtype="float32")[None]
    try:
        theirs = tf_keras.activations.get(name)(tf_keras.backend.constant(points))
    except ValueError:
        return False
    ours = keras.ops.convert_to_numpy(keras.activations.get(name)(points))
    return np.allclose(theirs, ours, rtol=1e-5, atol=1e-6)


def _hard_sigmoid(name):
    """Composed of layers: tf_keras' own has another slope."""
    shift = layers.Rescaling(1.0, 3.0, name=f"{name}_shift")
    clip = layers.ReLU(6.0, name=f"{name}_clip")
    scale = layers.Rescaling(1 / 6, name=f"{name}_scale")
    return lambda x: scale(clip(shift(x)))


def _hard_silu(name):
    gate, sigmoid = layers.Multiply(name=f"{name}_gate"), _hard_sigmoid(name)
    return lambda x: gate([x, sigmoid(x)])


# Activation -> a function from a name to the composed function. Its layers are made
# once, outside the composed function, since that may be called several times.
_COMPOSED: dict[str, Callable] = {
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_silu,
    "hard_swish": _hard_silu,
    "relu6": lambda name: layers.ReLU(6.0, name=f"{name}_relu6"),
    "leaky_relu": lambda name: layers.LeakyReLU(0.2, name=f"{name}_leaky"),
}
