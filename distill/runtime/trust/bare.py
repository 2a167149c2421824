"""A foreign model's config, with nothing left in it but layers for inference.

What belongs to the training or the machine that the file comes from is left outside:
optimizers and losses, also of models inside the model; dtype policies; augmentation.
"""

from typing import Any

from distill.runtime.trust.allowed import AUGMENTING

# Policies and types of which only the numbers of the weights come in.
_FLOATS = ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")
_POLICY = "DTypePolicy"


def bare(node: Any) -> Any:
    """What inference in float32 needs of a config.

    Args:
        node: Any part of a `config.json`, parsed.

    Returns:
        The same part. Nothing is compiled in it. Where a float type or dtype policy
        other than float32 stood, or the bytes of an image's input, float32 stands; a
        layer that augments examples in training is an `Identity` of the same name.
        Quantized policies stay, and are refused by `scan`.
    """
    if isinstance(node, list):
        return [bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    if _augments(node):
        node = _identity(node)
    kept = {key: bare(val) for key, val in node.items() if key != "compile_config"}
    if kept.get("dtype") in _FLOATS or _is_bytes(kept):
        kept["dtype"] = "float32"
    if kept.get("class_name") == _POLICY and _name(kept) in _FLOATS:
        kept["config"] = {**kept["config"], "name": "float32"}
    return kept


def _augments(node):
    """Whether a layer, or all in a pipeline of layers, only changes training examples.

    `module` and `registered_name` must be those of Keras' own: all else is refused.
    """
    name = node.get("class_name")
    if node.get("module") != "keras.layers":
        return False
    if node.get("registered_name") not in (None, name):
        return False
    if name != "Pipeline":
        return name in AUGMENTING
    config = node.get("config")
    parts = config.get("layers") if isinstance(config, dict) else None
    return isinstance(parts, list) and all(
        isinstance(part, dict) and _augments(part) for part in parts
    )


def _identity(node):
    """A layer of the same name that is called with the first argument alone."""
    name = _name(node)
    made = {**node, "class_name": "Identity", "config": {"name": name} if name else {}}
    made.pop("build_config", None)
    calls = node.get("inbound_nodes")
    if isinstance(calls, list):
        made["inbound_nodes"] = [_first(call) for call in calls]
    return made


def _first(call):
    if not isinstance(call, dict) or not isinstance(call.get("args"), list):
        return call
    return {"args": call["args"][:1], "kwargs": {}}


def _name(node):
    config = node.get("config")
    return config.get("name") if isinstance(config, dict) else None


def _is_bytes(config):
    """Whether an input takes images in bytes: it would cut floats in [0, 1] to 0."""
    shape = config.get("batch_shape")
    return config.get("dtype") == "uint8" and isinstance(shape, list) and len(shape) > 2
