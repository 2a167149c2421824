"""Measures one model file: accuracy, size, cost and latency on a run's data."""

import argparse
import pathlib
from collections.abc import Sequence

from distill import cli, config, progress
from distill.config import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.evaluate --model FILE --config FILE`."""
    flags = cli.parser("evaluate", "Measures a .keras or .tflite file.")
    flags.add_argument(
        "--model", required=True, type=pathlib.Path, help="a .keras or .tflite file"
    )
    flags.add_argument(
        "--split",
        choices=("test", "validation", "train"),
        default="test",
        help="what it is measured on; default: test",
    )
    return cli.guarded(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    path = arguments.model
    if path.suffix not in (".keras", ".tflite"):
        raise ConfigError(
            f"--model: expected a .keras or .tflite file. Received: {path}"
        )
    if not path.is_file():
        raise ConfigError(f"--model: no such file: {path}")
    run = config.load(arguments.config, cli.overrides(arguments))
    with progress.step("data", f"reading {config.name_of(run.data)}"):
        splits = run.data.load()
    from distill import results

    with progress.step(f"measure {path}", f"on the {arguments.split} split"):
        try:
            record, _ = results.model_record(
                path, getattr(splits, arguments.split), None
            )
        except ValueError as mistake:
            raise ConfigError(f"--model {path}: {mistake}") from None
    print(_lines(record))
    return 0


def _lines(record):
    import tabulate

    latency = record["latency_ms"] or {"median": None, "p90": None, "machine": None}
    rows = [
        ("file", record["file"]),
        ("examples", record["test_examples"]),
        ("accuracy, %", record["accuracy"]),
        ("parameters", record["parameters"]),
        ("MACs an image", record["macs"]),
        ("zeros, %", 100 * record["sparsity"]),
        ("bytes", record["bytes"]),
        ("bytes, gzip", record["gzip_bytes"]),
        ("latency, ms: median", latency["median"]),
        ("latency, ms: 90th percentile", latency["p90"]),
        ("machine", latency["machine"]),
    ]
    known = [row for row in rows if row[1] is not None]
    return tabulate.tabulate(known, tablefmt="plain", floatfmt=".4g")


if __name__ == "__main__":
    raise SystemExit(main())
