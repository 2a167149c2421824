"""Measures a file that the user gives, for `python -m distill.evaluate`."""

import pathlib
from collections.abc import Sequence

from distill import data
from distill.run.evaluation.record import model_record, put_latencies
from distill.runtime import errors
from distill.teach import incoming


def foreign_record(
    path: pathlib.Path,
    split: data.Split,
    dataset: data.Dataset,
    limits: Sequence[float] = (0.0, 1.0),
) -> dict:
    """Measures a file that may not come from a run; see `model_record`.

    Args:
        path: The file.
        split: The examples.
        dataset: What they are of.
        limits: The numbers that the file wants for black and white.

    Raises:
        ConfigError: If the file does not fit the data, or cannot be run.
        Untrusted: If it may be unsafe.
    """
    is_keras = path.suffix == ".keras"
    network = incoming.open_given(path, None, dataset) if is_keras else None
    split = split.scaled(limits)
    try:
        record, _ = model_record(path, split, None, network)
        put_latencies([record], {record["name"]: path}, split)
        return record
    except Exception as error:  # A damaged file raises whatever its reader does.
        raise errors.ConfigError(f"{path}: cannot be run: {error}") from None
