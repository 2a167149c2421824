"""The ends of a TFLite file: inputs and outputs, in the model's order, by its names."""

from collections.abc import Iterable, Sequence
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from distill.runtime.trust import provenance

_GIVEN, _MADE = "given_", "made_"


def inputs(model: Any) -> list[str]:
    """A name for each input, before conversion.

    Args:
        model: A built Keras 3 or tf_keras model.
    """
    if len(model.inputs) > 1:
        return [f"{_GIVEN}{index}" for index in range(len(model.inputs))]
    return ["images" if "float" in str(model.inputs[0].dtype) else "ids"]


def outputs(model: Any, answers: Any) -> Any:
    """What a file answers of all that a model does.

    Args:
        model: The model.
        answers: What it returned.

    Returns:
        The logits, where they are named or all there is; else every output, under a
        name that says its place.
    """
    if isinstance(answers, dict) and "logits" in answers:
        return answers["logits"]
    made = [answers[name] for name in _keys(model)] or _flat(answers)
    if len(made) == 1:
        return answers
    return {f"{_MADE}{index}": answer for index, answer in enumerate(made)}


def named(file: bytes, model: Any) -> bytes:
    """A file of several inputs or outputs in the model's order, with the model's names.

    The converter orders them as it likes, and forgets what they were called.

    Args:
        file: Converted by the names of `inputs` and `outputs`.
        model: What it was made of.

    Returns:
        The file; the same bytes where there is one input and one output.
    """
    packed = schema.ModelT.InitFromPackedBuf(file, 0)
    (graph,), signatures = packed.subgraphs[:1], packed.signatureDefs or []
    if len(graph.inputs) == len(graph.outputs) == 1 or not signatures:
        return file
    (signature,) = signatures
    given = _unique(tensor.name.split(":")[0] for tensor in model.inputs)
    made = _unique(_keys(model) or model.output_names)
    if len(graph.inputs) > 1:
        signature.inputs = _sorted(signature.inputs, _GIVEN, given, graph)
        graph.inputs = [entry.tensorIndex for entry in signature.inputs]
    if len(graph.outputs) > 1:
        signature.outputs = _sorted(signature.outputs, _MADE, made, graph)
        graph.outputs = [entry.tensorIndex for entry in signature.outputs]
    return provenance.packed(packed, len(file))


def _keys(model):
    """The names of outputs that a model returns by name, in its order."""
    made = model.output
    flat = isinstance(made, dict) and all(hasattr(x, "shape") for x in made.values())
    return list(made) if flat else []


def _flat(answers):
    import tensorflow as tf

    return tf.nest.flatten(answers)


def _sorted(entries, prefix, names: Sequence[str], graph):
    """Entries of a signature by place, under their names, and their tensors too."""
    for entry in entries:
        entry.place = int(entry.name.decode().removeprefix(prefix))
        entry.name = names[entry.place].encode()
        graph.tensors[entry.tensorIndex].name = entry.name
    return sorted(entries, key=lambda entry: entry.place)


def _unique(names: Iterable[str]) -> list[str]:
    """The names; one that comes again gets a number."""
    found: list[str] = []
    for name in names:
        again = (f"{name}_{number}" for number in range(1, len(found) + 1))
        found.append(
            name if name not in found else next(n for n in again if n not in found)
        )
    return found
