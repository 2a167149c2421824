"""Unpacks a container of `distill.pack` to the same .tflite file, byte for byte."""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from distill import cli
from distill.measure import codec
from distill.runtime import files, hashes, packages
from distill.runtime.errors import ConfigError, Untrusted
from distill.runtime.process.command import run_command
from distill.runtime.trust import loader


def main(argv: Sequence[str] | None = None, limited: bool = False) -> int:
    """`python -m distill.unpack FILE.tflz [--out FILE.tflite]`.

    Args:
        argv: The arguments; None means those of the command line.
        limited: Whether this is already the sandboxed process for foreign files.
    """
    flags = cli.container_parser(
        "unpack",
        "Unpacks a container of distill.pack to the bytes that were packed.",
        (".tflz", ".tflite"),
    )

    def command(arguments):
        if not arguments.model.exists():
            raise ConfigError(f"no such file: {arguments.model}")
        if arguments.model.suffix != ".tflz" or arguments.model.is_dir():
            raise ConfigError(
                f"{arguments.model} is not a .tflz file, which python -m distill.pack "
                "makes of a .tflite file"
            )
        out = cli.output_file(arguments, ".tflite")
        packages.require("a .tflz file", "constriction")
        if not limited:  # In a sandbox: a malicious file could exploit the decoder.
            return loader.run_sandboxed(arguments.model, ["unpack", *argv])
        return _unpack(arguments, out)

    argv = sys.argv[1:] if argv is None else argv
    return run_command(command, flags, argv)


def _unpack(arguments: argparse.Namespace, out: pathlib.Path) -> int:
    path = arguments.model
    try:
        content = codec.unpack(codec.read(path))
    except Untrusted as error:
        raise Untrusted(f"{path}: {error}") from None
    except MemoryError:
        raise Untrusted(
            f"{path} needs more memory than a foreign file may use"
        ) from None
    if out.exists() and out.read_bytes() != content:
        raise ConfigError(
            f"{out} exists with another content: choose another --out, or remove it"
        )
    files.atomic_write(out, content)
    print(f"==> {out}: {len(content):,} bytes, SHA-256 {hashes.file_hash(out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
