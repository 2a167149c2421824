"""Inputs and outputs of a TFLite file: restores the model's order and names."""

from collections.abc import Iterable, Sequence
from typing import Any

from distill.runtime import tflite
from distill.runtime.trust import provenance

# Prefixes of names during conversion, before the number of the input or output.
_INPUT, _OUTPUT = "given_", "made_"


def input_names(model: Any) -> list[str]:
    """The name of each input during conversion.

    Args:
        model: A built Keras 3 or tf_keras model.
    """
    if len(model.inputs) > 1:
        return [f"{_INPUT}{index}" for index in range(len(model.inputs))]
    return ["images" if "float" in str(model.inputs[0].dtype) else "ids"]


def select_outputs(model: Any, outputs: Any) -> Any:
    """The outputs of a model that its file will have.

    Args:
        model: The model.
        outputs: What it returned.

    Returns:
        The logits, if an output has this name; a single output as it is; else every
        output, under a name that contains its number.
    """
    if isinstance(outputs, dict) and "logits" in outputs:
        return outputs["logits"]
    ordered = [outputs[name] for name in _keys(model)] or _flat(outputs)
    if len(ordered) == 1:
        return outputs
    return {f"{_OUTPUT}{index}": output for index, output in enumerate(ordered)}


def restore_names(file: bytes, model: Any) -> bytes:
    """Gives a file's inputs and outputs the model's order and names.

    The converter may order several of them differently, and drops the model's names.

    Args:
        file: A file that was converted with `input_names` and `select_outputs`.
        model: The model of that file.

    Returns:
        The file; the same bytes if it has one input and one output.
    """
    packed = tflite.unpack(file)
    (graph,), signatures = packed.subgraphs[:1], packed.signatureDefs or []
    # The signature alone still has the names by which to sort.
    if len(graph.inputs) == len(graph.outputs) == 1 or not signatures:
        return file
    (signature,) = signatures
    names = _unique(tensor.name.split(":")[0] for tensor in model.inputs)
    output_names = _unique(_keys(model) or model.output_names)
    if len(graph.inputs) > 1:
        signature.inputs = _reorder(signature.inputs, _INPUT, names, graph)
        graph.inputs = [entry.tensorIndex for entry in signature.inputs]
    if len(graph.outputs) > 1:
        signature.outputs = _reorder(signature.outputs, _OUTPUT, output_names, graph)
        graph.outputs = [entry.tensorIndex for entry in signature.outputs]
    return provenance.packed(packed, len(file))


def _keys(model):
    """The keys of a model's outputs in its order; none if it returns no flat dict."""
    outputs = model.output
    flat = isinstance(outputs, dict) and all(
        hasattr(output, "shape") for output in outputs.values()
    )
    return list(outputs) if flat else []


def _flat(outputs):
    import tensorflow as tf

    return tf.nest.flatten(outputs)


def _reorder(entries, prefix, names: Sequence[str], graph):
    """Sorts entries of a signature by number, and names them and their tensors."""
    for entry in entries:
        entry.place = int(entry.name.decode().removeprefix(prefix))
        entry.name = names[entry.place].encode()
        graph.tensors[entry.tensorIndex].name = entry.name
    return sorted(entries, key=lambda entry: entry.place)


def _unique(names: Iterable[str]) -> list[str]:
    """The names; a number is appended to a name that repeats."""
    unique: list[str] = []
    for name in names:
        numbered = (f"{name}_{number}" for number in range(1, len(unique) + 1))
        unique.append(
            name if name not in unique else next(n for n in numbered if n not in unique)
        )
    return unique
