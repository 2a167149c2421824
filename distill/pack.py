"""Packs a .tflite file into a smaller container, without loss."""

import argparse
import gzip
import pathlib
import shlex
import sys
from collections.abc import Sequence

from distill import cli
from distill.measure import codec
from distill.runtime import files, formats, packages
from distill.runtime.errors import ConfigError
from distill.runtime.process.command import run_command
from distill.runtime.trust import loader, scan


def main(argv: Sequence[str] | None = None, limited: bool = False) -> int:
    """`python -m distill.pack FILE.tflite [--out FILE.tflz]`.

    Args:
        argv: The arguments; None means those of the command line.
        limited: Whether this is already the sandboxed process for foreign files.
    """
    flags = cli.container_parser(
        "pack",
        "Packs a .tflite file of any tool without loss, for transfer and storage. To "
        "run, it must be unpacked again. The format: docs/pack.md.",
        (".tflite", ".tflz"),
    )

    def command(arguments):
        if not arguments.model.exists():
            raise ConfigError(f"no such file: {arguments.model}")
        scan.check_kind(arguments.model, ".tflite")
        out = cli.output_file(arguments, ".tflz")
        packages.require("a .tflite file", *packages.READING, "flatbuffers")
        if not limited:  # In a sandbox: a malicious file could exploit its parser.
            return loader.run_sandboxed(arguments.model, ["pack", *argv])
        return _pack(arguments, out)

    argv = sys.argv[1:] if argv is None else argv
    return run_command(command, flags, argv)


def _pack(arguments: argparse.Namespace, out: pathlib.Path) -> int:
    path = arguments.model
    if path.stat().st_size > codec.LARGEST:
        raise ConfigError(f"{path} has more than {codec.LARGEST:,} bytes")
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise ConfigError(f"{path} is not a TFLite file")
    packed = codec.pack(content)
    if codec.unpack(packed) != content:
        raise RuntimeError(f"{path}: the container unpacks to other bytes")
    files.atomic_write(out, packed)
    rows = [
        ("bytes", len(content)),
        ("bytes, gzip", len(gzip.compress(content, mtime=0))),
        ("bytes, packed", len(packed)),
    ]
    print(formats.table(rows, []) + f"==> {out}, for transfer and storage; to run it:")
    print(f"python -m distill.unpack {shlex.quote(str(out))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
