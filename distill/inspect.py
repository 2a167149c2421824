"""Prints the content and the provenance of a .tflite file.

The file runs only if that is asked for, in TFLite Micro.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill.measure.end import End
from distill.report.card.program import program
from distill.runtime import formats, hashes, packages
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
    flags.add_argument(
        "--micro", action="store_true", help="run it in TFLite Micro, on random inputs"
    )

    def command(arguments):
        if not arguments.model.exists():
            raise ConfigError(f"no such file: {arguments.model}")
        scan.check_kind(arguments.model, ".tflite")
        packages.require("a .tflite file", *packages.READING, "flatbuffers")
        if arguments.micro:
            packages.require("--micro", packages.MICRO)
        if not limited:  # In a sandbox: a malicious file could exploit its parser.
            return loader.run_sandboxed(arguments.model, ["inspect", *argv])
        return _command(arguments)

    argv = sys.argv[1:] if argv is None else argv
    return run_command(command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    from distill.measure.facts import read_facts
    from distill.measure.micro import parity
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
        "kernels": list(map(_describe_kernel, facts.kernels)),
        "modelled_energy": facts.modelled_energy,
        "origin": origin,
    }
    if arguments.micro:
        found["micro"] = parity.random_record(path, facts.takes)
    print(json.dumps(found, indent=1) if arguments.json else _lines(found))
    return 0


def _describe_kernel(kernel):
    """The properties of a kernel; its bytes are the file's."""
    properties = {**dataclasses.asdict(kernel), "packed_bits": kernel.packed_bits}
    del properties["stored"]
    return properties


def _lines(found):
    """A table of all properties, followed by the config as YAML."""
    import yaml

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
        ("energy, modelled", formats.energy_in_words(found)),
        ("zeros, %", f"{100 * found['sparsity']:.1f}"),
        ("ops", ops),
        ("in float", ", ".join(found["float_ops"]) or "none"),
        *((way, End(**end)) for way in ("takes", "gives") for end in found[way]),
        *_describe_micro(found.get("micro")),
    ]
    if not origin:
        return formats.table(rows, []) + "It does not say what it was made of."
    validation = origin["validation"]
    rows += [
        ("model", origin["model"]),
        (
            "validation",
            _describe_validation(validation),
        ),
        ("data", origin["data"]),
        *_describe_inputs(origin),
        *((f"weights of {name}", sha) for name, sha in origin["weights"].items()),
        ("versions", ", ".join(f"{n} {v}" for n, v in origin["versions"].items())),
    ]
    text = formats.table(rows, []) + yaml.safe_dump(origin["config"], sort_keys=False)
    if "kind" not in origin or "classes" not in origin or "CUSTOM" in found["ops"]:
        return text  # Of an older version, or a file that LiteRT does not run.
    call = program(found["file"], found["takes"][0], origin["kind"], origin["classes"])
    return f"{text}\nTo call it:\n\n{call}"


def _describe_validation(found):
    """How good the file was when it was made."""
    examples = f"{found['examples']} examples"
    if "accuracy" in found:
        return f"{found['accuracy']:.2f} % of {examples}"
    agreement = found["agreement_with_teacher"]
    return f"agrees with the teacher on {agreement:.2f} % of {examples}"


def _describe_micro(found):
    """Rows for what TFLite Micro makes of the file, if that was asked for."""
    if found is None:
        return []
    if found["reason"]:
        return [("TFLite Micro", f"does not run it: {found['reason']}")]
    sizes = [found[f"{part}_bytes"] for part in ("arena", "head", "tail")]
    return [
        ("TFLite Micro", found["build"]),
        ("arena, bytes", "{:,}: head {:,}, tail {:,}".format(*sizes)),
        ("against LiteRT", _describe_difference(found)),
    ]


def _describe_difference(found):
    if not found["examples"]:
        return "not compared: LiteRT does not run it, or it has several inputs"
    steps = found["largest_steps"]
    unit = f"{found['largest_difference']:.3g}"
    most = unit if steps is None else f"{steps} steps of an output ({unit})"
    return (
        f"on {found['examples']} random inputs {found['agreement_with_litert']:.1f} % "
        f"equal classes, outputs differ by up to {most}"
    )


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
