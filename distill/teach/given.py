"""Saves a network that a Python program has built, for the run that is to use it."""

import json
import pathlib
import traceback
from typing import Any

import keras
import numpy as np

from distill.runtime import files, hashes
from distill.runtime.errors import ConfigError

_DEPTH = 8  # Layers of one's own inside layers of one's own.
_LIBRARIES = ("keras", "tensorflow", "jax", "torch", "numpy")


def check(network: Any, role: str) -> None:
    """Refuses what is no Keras 3 model.

    Raises:
        ConfigError: Says what it is.
    """
    if not isinstance(network, keras.Model):
        kind = type(network)
        raise ConfigError(
            f"`{role}` must be a keras.Model of Keras 3, or as in a config. "
            f"Received: {kind.__module__}.{kind.__name__}"
        )


def save(
    network: keras.Model, role: str, folder: pathlib.Path, input_shape: tuple[int, ...]
) -> pathlib.Path:
    """Saves a network under a hash of its layers and weights, unless it is there.

    Names of layers do not count, since Keras counts them up in a process: the network
    that the same lines build again finds the file of the first.

    Args:
        network: Of any kind; it stays as it is.
        role: `teacher`, `student` or `model`, for the file's name and messages.
        folder: The folder of the file.
        input_shape: Shape of one example.

    Returns:
        The `.keras` file, of a functional or sequential model of Keras' own layers.

    Raises:
        ConfigError: If the network cannot become such a model.
        WriteError: If the file cannot be written.
    """
    functional = trace(network, role, input_shape)
    name = hashes.fingerprint(_structure(functional), hashes.weights_hash(functional))
    path = folder / f"{role}-{name}.keras"
    if not path.exists():
        with files.whole_file(path) as temporary:
            functional.save(temporary)
    return path


def trace(network: keras.Model, role: str, input_shape: tuple[int, ...]) -> keras.Model:
    """The functional model of what a network computes in inference and training.

    Layers and models with a `call` of their own are replaced by the layers that they
    call, `Lambda` by its operations.

    Args:
        network: The network.
        role: Its name in messages.
        input_shape: Shape of one example.

    Returns:
        A model that shares the layers of `network`; `network` itself if it is one.

    Raises:
        ConfigError: Names the line of a `call` that is not traced, or the layer whose
            own weights would no longer be trained.
    """
    if isinstance(network, keras.Sequential) and not network.built:
        network.build((None, *input_shape))
    functional = network
    graph = getattr(network, "_functional", network)
    if _is_own(network) or not hasattr(graph, "_run_through_graph"):
        inputs = keras.Input(input_shape, name="images")
        functional = keras.Model(inputs, _called(network, role, inputs))
    for _ in range(_DEPTH):
        if not _holds_own(functional):
            break
        functional = _opened(functional, role)
    if functional is not network:
        _check_equal(network, functional, role, input_shape)
    return functional


def _is_own(layer):
    """Whether a layer's code is not Keras' own, or any function."""
    return not _is_of_keras(type(layer)) or isinstance(layer, keras.layers.Lambda)


def _holds_own(model):
    """Whether a layer of one's own is in a model, at any depth."""
    is_model = isinstance(model, keras.Model)
    return is_model and any(map(_is_own, model._flatten_layers(include_self=False)))


def _is_of_keras(code):
    return code.__module__.split(".")[0] == "keras"


def _opened(functional, role):
    """The model with each layer of one's own replaced by what it calls."""

    def call(layer, *arguments, **options):
        if not _is_own(layer) and not _holds_own(layer):
            return layer(*arguments, **options)
        return _called(layer, role, *arguments, **options)

    if isinstance(functional, keras.Sequential):
        functional = keras.Model(functional.inputs[0], functional.outputs[0])
    return keras.models.clone_model(
        functional,
        clone_function=lambda layer: layer,
        call_function=call,
    )


def _called(layer, role, *arguments, **options):
    """What a layer's own `call` makes of symbolic tensors.

    Raises:
        ConfigError: Says which line prevents it.
    """
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    if own:
        names = ", ".join(variable.name for variable in own)
        raise ConfigError(
            f"`{role}`: the layer {layer.name} ({type(layer).__name__}) has weights of "
            f"its own, {names}, which only its code can train. Replace it by layers of "
            "Keras; see docs/given.md"
        )
    graph = getattr(layer, "_functional", layer)
    if hasattr(graph, "_run_through_graph") and _is_of_keras(type(layer).call):
        return graph._run_through_graph(*arguments, operation_fn=lambda part: part)
    try:
        return layer.call(*arguments, **options)
    except ConfigError:
        raise
    except Exception as error:  # A user's code raises anything.
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"`{role}`: {type(layer).__name__} cannot become a functional model, since "
            f"{_line(error)} takes no symbolic tensors: {reason}"
        ) from None


def _line(error):
    """The last line of a user's code that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    foreign = [f"/{name}/" for name in _LIBRARIES]
    own = [
        frame
        for frame in frames
        if not any(name in frame.filename for name in foreign)
        and frame.filename != __file__
    ]
    frame = (own or frames)[-1]
    return f"{pathlib.Path(frame.filename).name}:{frame.lineno}, `{frame.line}`,"


def _check_equal(network, functional, role, input_shape):
    """Refuses a trace that computes something else, as a branch on values does."""
    # Two kinds of examples: a branch may be taken for one of them.
    rng = np.random.default_rng(0)
    for high in (1.0, 0.01):
        batch = rng.uniform(0, high, (2, *input_shape)).astype("float32")
        wanted, made = (
            [keras.ops.convert_to_numpy(part) for part in keras.tree.flatten(answer)]
            for answer in (network(batch, training=False), functional(batch))
        )
        if len(wanted) != len(made) or not all(
            np.allclose(a, b, rtol=1e-3, atol=1e-4)
            for a, b in zip(wanted, made, strict=True)
        ):
            raise ConfigError(
                f"`{role}`: what {type(network).__name__} computes changes with the "
                "values of its inputs in a way that no functional model has"
            )


def _structure(network):
    """The config of a model as text, with every name replaced by its place."""
    config = keras.saving.serialize_keras_object(network)["config"]
    places: dict[str, str] = {}
    _collect_names(config, places)
    return json.dumps(_renamed(config, places), sort_keys=True, default=str)


def _collect_names(node, places):
    """Adds each name in a config, in order, and its place."""
    if isinstance(node, dict):
        if isinstance(node.get("name"), str):
            places.setdefault(node["name"], f"#{len(places)}")
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            _collect_names(item, places)


def _renamed(node, places):
    """The config with names replaced."""
    if isinstance(node, dict):
        return {key: _renamed(value, places) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_renamed(item, places) for item in node]
    return places.get(node, node) if isinstance(node, str) else node
