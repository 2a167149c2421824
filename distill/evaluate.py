"""Measures one model file: accuracy, size, cost and latency on a run's data."""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from distill import cli, data
from distill.config import reference
from distill.data import checks, split_file
from distill.runtime import formats, packages, progress
from distill.runtime.errors import EXIT_FAILED, ConfigError
from distill.runtime.process.command import run_command
from distill.runtime.trust import loader, own_python, scan


def main(argv: Sequence[str] | None = None, limited: bool = False) -> int:
    """`python -m distill.evaluate --model FILE --config FILE`.

    Args:
        argv: The arguments; None means those of the command line.
        limited: Whether this is already the sandboxed process for foreign files.
    """
    flags = cli.parser(
        "evaluate",
        "Measures a .keras or .tflite file on the data of a config: of distill.train, "
        "of distill.finish, or a run.yaml.",
    )
    own_python.add_flag(flags)
    flags.add_argument(
        "--model", required=True, type=pathlib.Path, help="a .keras or .tflite file"
    )
    flags.add_argument(
        "--split",
        choices=("test", "validation", "train"),
        default="test",
        help="what it is measured on; default: test",
    )

    flags.add_argument(
        "--input-range",
        nargs=2,
        type=float,
        default=[0.0, 1.0],
        metavar=("LOW", "HIGH"),
        help="what the file wants for black and white, such as 0 255; default: 0 1",
    )

    def command(arguments):
        # In a sandbox: a malicious `.tflite` file could exploit the interpreter.
        if arguments.model.suffix == ".tflite" and not limited:
            packages.require("a .tflite file", *packages.READING)
            return loader.run_sandboxed(arguments.model, ["evaluate", *argv])
        return _command(arguments)

    argv = sys.argv[1:] if argv is None else argv
    return run_command(command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    path = arguments.model
    if not path.exists():
        raise ConfigError(f"--model: no such file: {path}")
    scan.check_kind(path, ".keras", ".tflite")
    dataset = cli.dataset(arguments.config, path, cli.overrides(arguments))
    _check_range(arguments.input_range, dataset)
    splits = data.read(dataset)
    known = split_file.is_of(path.parent, splits) or arguments.split == "train"
    if splits.drawn and not known:
        progress.say(f"    warning: {checks.leakage_warning([path.name])}")
    from distill.run.evaluation.given import foreign_record

    with progress.step(f"measure {path}", f"on the {arguments.split} split"):
        split = getattr(splits, arguments.split)
        record = foreign_record(path, split, dataset, arguments.input_range)
    print(_lines(record))
    return EXIT_FAILED if record["failed"] else 0


def _check_range(limits, dataset):
    try:
        reference.check_range("--input-range", limits)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if dataset.kind != "images" and limits != [0.0, 1.0]:
        raise ConfigError(
            "--input-range must be left out where the inputs are no images: it has no "
            f"effect there. Received: {limits}"
        )


def _lines(record):
    import tabulate

    timed = record["latency_ms"]
    latency = timed or {"median": None, "p90": None, "machine": None}
    rows = [
        ("file", record["file"]),
        ("examples", record["test_examples"]),
        ("accuracy, %", _accuracy(record)),
        ("failed", "; ".join(record["failed"]) or None),
        ("parameters", record["parameters"]),
        ("MACs an image", formats.macs(record, str)),
        ("energy, modelled", formats.energy_in_words(record)),
        ("zeros, %", 100 * record["sparsity"]),
        ("bytes", record["bytes"]),
        ("bytes, gzip", record["gzip_bytes"]),
        ("bytes, packed", f"{record['packed_bytes']}: {formats.PACKED}"),
        ("latency, ms: median", latency["median"]),
        ("latency, ms: its interval", timed and formats.interval(timed)),
        ("latency, ms: 90th percentile", latency["p90"]),
        (
            "latency, ms: all threads",
            (record["latency_all_threads_ms"] or latency)["median"],
        ),
        ("machine", latency["machine"]),
    ]
    known = [
        (name, f"{value:.4g}" if isinstance(value, float) else str(value))
        for name, value in rows
        if value is not None
    ]
    return tabulate.tabulate(known, tablefmt="plain", disable_numparse=True)


def _accuracy(record):
    if record["accuracy"] is None:
        return f"unknown: the {record['test_examples']} examples have no labels"
    return record["accuracy"]


if __name__ == "__main__":
    raise SystemExit(main())
