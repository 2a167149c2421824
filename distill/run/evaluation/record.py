"""Measures one model file for its entry in the report."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from distill import data
from distill.data import kept
from distill.measure import accuracy, codec, cost, interpreter, lut
from distill.measure.end import End
from distill.measure.facts import Facts, gzip_bytes, read_facts
from distill.runtime import hashes, versions
from distill.runtime.trust import loader

# What is known of a teacher that only answers, in place of `_network_facts`.
_NO_NETWORK = {
    **{name: [] for name in ("takes", "gives", "uncounted")},
    **dict.fromkeys(("parameters", "macs", "sparsity")),
    **dict.fromkeys(("bytes", "gzip_bytes", "packed_bytes")),
}


def model_record(
    path: pathlib.Path,
    split: data.Split,
    taught: np.ndarray | None,
    network=None,
    *,
    facts: Facts | None = None,
    counted: cost.Cost | None = None,
    validation: tuple[data.Split, np.ndarray | None] | None = None,
) -> tuple[dict, np.ndarray]:
    """Measures a file for its entry in the report's `models`.

    Args:
        path: A `.keras` or `.tflite` file.
        split: The examples on which it is measured.
        taught: The teacher's logits on `split`; None without a teacher.
        network: The network of the `.keras` file, if it is open already. A foreign
            file must be: only `loader.open_foreign` may open it.
        facts: The content of the `.tflite` file, if it is read already: reading packs
            the file, which takes seconds.
        counted: The cost of the network, if it is counted already.
        validation: The validation split, on which the accuracy is measured too, and
            the teacher's logits there, if it has no labels; None leaves that out.

    Returns:
        The entry, and the file's logits on `split`.
    """
    if path.suffix == ".keras" and network is None:
        network = loader.open_own(path)
    source = path if network is None else network
    answers = accuracy.logits(source, split)
    record = {
        "name": path.stem,
        "file": path.name,
        "sha256": hashes.file_hash(path),
        **(
            _file_facts(facts or read_facts(path))
            if network is None
            else _network_facts(path, network, counted or cost.count(network))
        ),
        **_measured(answers, split, taught),
    }
    if validation is not None:
        record |= _validated(accuracy.logits(source, validation[0]), *validation)
    return record, answers


def teacher_record(
    path: pathlib.Path,
    splits: data.Splits,
    network: keras.Model | None,
    tested: np.ndarray | None = None,
) -> tuple[dict, dict[str, np.ndarray]]:
    """The entry of a teacher, whose logits are those that others are compared with.

    Args:
        path: `teacher.keras`; or the logits of a teacher that only answers, see `kept`,
            of which neither size nor cost is known.
        splits: The data.
        network: The network of the `.keras` file; else None.
        tested: The network's logits on the test split, if they are known already.

    Returns:
        As `model_record`, with the logits on the splits `test` and `validation`.
    """
    if network is None:
        properties = _NO_NETWORK
        logits = {name: variants[0] for name, variants in kept.read(path).items()}
    else:
        properties = _network_facts(path, network, cost.count(network))
        if tested is None:
            tested = accuracy.logits(network, splits.test)
        validated = accuracy.logits(network, splits.validation)
        logits = {"test": tested, "validation": validated}
    record = {
        "name": path.stem,
        "file": path.name,
        "sha256": hashes.file_hash(path),
        **properties,
        **_measured(logits["test"], splits.test, logits["test"]),
        **_validated(logits["validation"], splits.validation, logits["validation"]),
    }
    return record, logits


def _validated(answers, split, taught):
    """What an entry says of the logits on the validation split."""
    if split.has_labels:
        return {"validation_accuracy": accuracy.accuracy(answers, split)}
    return {"validation_agreement": accuracy.agreement(answers, taught)}


def _measured(answers, split, taught):
    """What an entry says of the logits on the test split."""
    predicted = accuracy.classes(answers)
    right, missing = predicted == split.labels, int((predicted < 0).sum())
    return {
        "test_examples": len(split.labels),
        "accuracy": accuracy.accuracy(answers, split) if split.has_labels else None,
        "validation_accuracy": None,
        "agreement_with_teacher": None
        if taught is None
        else accuracy.agreement(answers, taught),
        "per_class_accuracy": [
            100 * float(right[split.labels == label].mean())
            if (split.labels == label).any()
            else None
            for label in range(answers.shape[-1])
        ],
        "latency_ms": None,
        "latency_all_threads_ms": None,
        "failed": [f"NaN for {missing} of {len(predicted)} examples"]
        if missing
        else [],
    }


def put_latencies(
    models: Sequence[dict],
    paths: Mapping[str, pathlib.Path],
    split: data.Split,
    latencies: Callable[..., dict[pathlib.Path, dict]] = interpreter.latencies,
) -> None:
    """Writes the latencies of `.tflite` files, measured in turn, into their entries.

    Args:
        models: Entries, as `model_record` makes them; a file with kernels as tables,
            which LiteRT does not run, gets none.
        paths: Name of each model to its file.
        split: Its first example is what they are given.
        latencies: Measures them.
    """
    # Kernels as tables would be timed without what unpacks them.
    timed = {
        name: path
        for name, path in paths.items()
        if path.suffix == ".tflite" and not lut.is_in(path)
    }
    if not timed:
        return
    example = split.floats()[:1]
    threads_of = {"latency_ms": 1, "latency_all_threads_ms": versions.cores()}
    for key, threads in threads_of.items():
        # On one core, the second number would be the first.
        if key == "latency_ms" or threads > 1:
            taken = latencies([*timed.values()], example, threads=threads)
            for model in models:
                if model["name"] in timed:
                    model[key] = taken[timed[model["name"]]]


def _file_facts(facts):
    """The properties of a `.tflite` file that are known without running it."""
    names = ("parameters", "macs", "nonzero_macs", "uncounted", "modelled_energy")
    names += ("sparsity", "bytes", "gzip_bytes", "packed_bytes")
    ends = {"takes": facts.takes, "gives": facts.gives}
    return {
        **{name: getattr(facts, name) for name in names},
        **{key: [dataclasses.asdict(end) for end in ends[key]] for key in ends},
    }


def _network_facts(path, network, counted):
    """The properties of a `.keras` file that are known without running it."""
    return {
        "takes": _ends(network.inputs),
        "gives": _ends([network.output["logits"]]),
        "parameters": counted.parameters,
        "macs": counted.macs,
        "uncounted": counted.uncounted,
        "sparsity": cost.sparsity(network),
        "bytes": path.stat().st_size,
        "gzip_bytes": gzip_bytes(path),
        "packed_bytes": codec.packed_bytes(path),
    }


def _ends(tensors):
    return [
        dataclasses.asdict(End(str(tensor.dtype), (1, *tensor.shape[1:])))
        for tensor in tensors
    ]
