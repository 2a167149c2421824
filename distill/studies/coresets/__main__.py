"""Compares what stays of a trained student: coresets, magnitude, and weights at random.

`python -m distill.studies.coresets --model FILE.keras --config FILE --keep 0.5 0.3`
trains nothing.
"""

import argparse
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import tabulate
from absl.flags import argparse_flags

from distill import data
from distill.run import parent
from distill.run.arguments import read_for_model
from distill.runtime import errors, files
from distill.runtime.process import command
from distill.runtime.trust import own_python, scan
from distill.studies import intervals

_HEADERS = ("weights that stay", "%", "draws", "error", "95 %", "promised", "broken %")
_HEADERS += ("paper", "output", "validation %", "test %")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.studies.coresets",
        description="Compares ways to keep few weights of a student without training.",
    )
    flags.add_argument(
        "--model", type=pathlib.Path, required=True, help="a student, a .keras file"
    )
    flags.add_argument(
        "--config", required=True, help="of distill.train or distill.finish: the data"
    )
    command.add_set_flag(flags)
    own_python.add_flag(flags)
    flags.add_argument(
        "--keep",
        nargs="+",
        type=float,
        default=[0.5, 0.3],
        help="shares of the weights of each neuron that stay; default: 0.5 0.3",
    )
    flags.add_argument(
        "--seeds", type=int, default=5, help="number of drawings; default: 5"
    )
    flags.add_argument(
        "--json", type=pathlib.Path, help="also write the numbers to this file"
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    _check(arguments)
    given = arguments.config, arguments.model, arguments.set
    dataset = read_for_model(*given, only_data=True).data
    parent.require_packages()
    splits = data.read(dataset)
    if not (splits.test.has_labels and splits.validation.has_labels):
        raise errors.ConfigError(
            "--config must name data with labels, by which accuracy is measured. "
            "Received: examples without labels"
        )
    # As in the finishing process: TF-MOT works with Keras 2 only.
    os.environ |= {"TF_USE_LEGACY_KERAS": "1", "KERAS_BACKEND": "tensorflow"}
    # Imports Keras, which is slow: mistakes in the config are reported before.
    from distill.studies.coresets import study
    from distill.teach import incoming

    network = incoming.open_given(arguments.model, None, dataset)
    result = study.measure(network, splits, arguments.keep, arguments.seeds)
    result["rank_correlation"] = {
        str(keep): study.rank_correlations(result["layers"], keep)
        for keep in arguments.keep
    }
    print(_tables(result))
    if arguments.json is not None:
        files.atomic_write(arguments.json, json.dumps(result, indent=1))
    return 0


def _check(arguments):
    """Refuses flags out of their range, and files that are not there."""
    command.check_written(arguments.json)
    if not arguments.model.exists():
        raise errors.ConfigError(f"--model: no such file: {arguments.model}")
    scan.check_kind(arguments.model, ".keras")
    if arguments.seeds < 1:
        raise errors.ConfigError(
            f"--seeds must be at least 1. Received: {arguments.seeds}"
        )
    for keep in arguments.keep:
        if not 0 < keep < 1:
            raise errors.ConfigError(
                f"--keep must be between 0 and 1. Received: {keep}"
            )
    if len(set(arguments.keep)) < len(arguments.keep):
        raise errors.ConfigError(
            f"--keep must be different shares. Received: {arguments.keep}"
        )


def _tables(result: dict[str, Any]) -> str:
    """The rows and the layers of the result of `study.measure` as text."""
    rows = [["all", *[None] * 8, *_mean([result["student"]])]]
    rows += map(_row, result["rows"])
    layers = [
        [layer["layer"], layer["inputs"], layer["listens_to"]]
        + [100 * share for share in layer["kfac_keeps"].values()]
        for layer in result["layers"]
    ]
    headers = ["layer", "inputs", "listens to"]
    headers += [f"kfac keeps % of {keep}" for keep in result["rank_correlation"]]
    lines = [
        f"rank correlation at {keep}: {found['number']:.2f} of the number of inputs, "
        f"{found['share']:.2f} of their share"
        for keep, found in result["rank_correlation"].items()
        if found
    ]
    return "\n".join(
        [
            tabulate.tabulate(rows, headers=_HEADERS, floatfmt=".4g", missingval=""),
            "",
            tabulate.tabulate(layers, headers=headers, floatfmt=".3g"),
            *lines,
        ]
    )


def _row(row):
    draws = row.get("draws")
    return [
        row["way"],
        100 * row["kept"],
        f"{min(draws):.0f} to {max(draws):.0f}" if draws else None,
        *(row[key] for key in ("error", "error_95", "promised")),
        100 * row["broken"],
        row.get("paper"),
        row["output_error"],
        *_mean(row["accuracies"]),
    ]


def _mean(accuracies):
    """Means over the seeds, and standard deviations if there are several."""
    found = [
        intervals.summary([one[split] for one in accuracies])
        for split in ("validation", "test")
    ]
    return [
        f"{one['mean']:.2f}" + ("" if one["sd"] is None else f" ± {one['sd']:.2f}")
        for one in found
    ]


if __name__ == "__main__":
    raise SystemExit(main())
