"""Converts trained models to TFLite files without further training."""

import argparse
import pathlib
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill.compress import convert
from distill.runtime import files, packages, progress
from distill.runtime.errors import ConfigError
from distill.runtime.process import command
from distill.runtime.trust import loader


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.export --model FILE.keras --out FOLDER`."""
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.export",
        description="Exports a trained .keras model to TFLite files. Pruned and "
        "integer files need training: see distill.train.",
    )
    flags.add_argument(
        "--model", required=True, type=pathlib.Path, help="a .keras file"
    )
    flags.add_argument(
        "--out", type=pathlib.Path, help="a folder; default: that of the model"
    )
    flags.add_argument(
        "--formats",
        nargs="+",
        choices=convert.FORMATS,
        default=convert.FORMATS,
        help=f"default: {' '.join(convert.FORMATS)}",
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    path = arguments.model
    if not path.exists():
        raise ConfigError(f"--model: no such file: {path}")
    packages.require("export", "tensorflow")
    folder = arguments.out or path.parent
    model = loader.open_foreign(path)
    folder.mkdir(parents=True, exist_ok=True)
    for variant in arguments.formats:
        target = folder / f"{path.stem}.{variant}.tflite"
        with progress.step(str(target), "conversion"):
            files.atomic_write(target, convert.to_tflite(model, variant))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
