"""Prints the content and the provenance of a .tflite file, without running it."""

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill.runtime import hashes, packages
from distill.runtime.errors import ConfigError
from distill.runtime.process.command import run_command
from distill.runtime.trust import loader, scan

NAMED = 20  # Up to so many class names are printed; `--json` has all.


def main(argv: Sequence[str] | None = None, limited: bool = False) -> int:
    """`python -m distill.inspect FILE.tflite`.

    Args:
        argv: The arguments; None means those of the command line.
        limited: Whether this is already the sandboxed process for foreign files.
    """
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.inspect",
        description="Says what a .tflite file holds, and what it was made of.",
    )
    flags.add_argument("model", type=pathlib.Path, help="a .tflite file")
    flags.add_argument("--json", action="store_true", help="print JSON, no table")

    def command(arguments):
        if not arguments.model.exists():
            raise ConfigError(f"no such file: {arguments.model}")
        scan.check_kind(arguments.model, ".tflite")
        packages.require("a .tflite file", *packages.READING, "flatbuffers")
        if not limited:  # In a sandbox: a malicious file could exploit its parser.
            return loader.run_sandboxed(arguments.model, ["inspect", *argv])
        return _command(arguments)

    argv = sys.argv[1:] if argv is None else argv
    return run_command(command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    from distill.measure.facts import read_facts
    from distill.runtime.trust import provenance

    path = arguments.model
    try:
        facts, origin = read_facts(path), provenance.read(path)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    found = {
        "file": path.name,
        "sha256": hashes.file_hash(path),
        **dataclasses.asdict(facts),
        "origin": origin,
    }
    print(json.dumps(found, indent=1) if arguments.json else _lines(found))
    return 0


def _lines(found):
    """A table of all properties, followed by the config as YAML."""
    import yaml

    from distill.measure.end import End
    from distill.runtime import formats

    origin = found["origin"] or {}
    ops = ", ".join(f"{count} {name}" for name, count in found["ops"].items())
    rows = [
        ("file", found["file"]),
        ("SHA-256", found["sha256"]),
        ("bytes", found["bytes"]),
        ("bytes, gzip", found["gzip_bytes"]),
        ("bytes, packed", f"{found['packed_bytes']:,}: {formats.PACKED}"),
        ("parameters", found["parameters"]),
        ("MACs an image", formats.macs(found, formats.whole)),
        ("zeros, %", f"{100 * found['sparsity']:.1f}"),
        ("ops", ops),
        ("in float", ", ".join(found["float_ops"]) or "none"),
        *((way, End(**end)) for way in ("takes", "gives") for end in found[way]),
    ]
    if not origin:
        return formats.table(rows, []) + "It does not say what it was made of."
    validation = origin["validation"]
    rows += [
        ("model", origin["model"]),
        (
            "validation",
            f"{validation['accuracy']:.2f} % of {validation['examples']} examples",
        ),
        ("data", origin["data"]),
        *_describe_inputs(origin),
        *((f"weights of {name}", sha) for name, sha in origin["weights"].items()),
        ("versions", ", ".join(f"{n} {v}" for n, v in origin["versions"].items())),
    ]
    return formats.table(rows, []) + yaml.safe_dump(origin["config"], sort_keys=False)


def _describe_inputs(origin):
    """Rows for the inputs and the classes, as far as the file's metadata has them."""
    rows = []
    if (kind := origin.get("kind")) is not None:
        fed = (
            "images, numbers in [0, 1]" if kind == "images" else "ids of tokenizer.json"
        )
        rows.append(("fed with", fed))
    if names := origin.get("classes"):
        more = ", ..." if len(names) > NAMED else ""
        rows.append((f"{len(names)} classes", ", ".join(names[:NAMED]) + more))
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
