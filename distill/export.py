"""Converts trained models to TFLite files, and TFLite files to C++ sources."""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill import cli, data
from distill.compress import convert
from distill.report.firmware import bundle, golden
from distill.runtime import files, packages, progress
from distill.runtime.errors import ConfigError
from distill.runtime.process import command
from distill.runtime.trust import loader, own_python


def main(argv: Sequence[str] | None = None, limited: bool = False) -> int:
    """`python -m distill.export --model FILE --out FOLDER`.

    Args:
        argv: The arguments; None means those of the command line.
        limited: Whether this is already the sandboxed process for foreign files.
    """
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.export",
        description="Exports a trained .keras model to TFLite files, or with --bundle "
        "a .tflite file to the sources of firmware (docs/firmware.md). Pruned and "
        "integer files need training: see distill.train.",
    )
    flags.add_argument(
        "--model", required=True, type=pathlib.Path, help="a .keras or .tflite file"
    )
    flags.add_argument(
        "--out",
        type=pathlib.Path,
        help="a folder; default: that of the model, and there firmware/ for a bundle",
    )
    flags.add_argument(
        "--formats",
        nargs="+",
        choices=convert.FORMATS,
        help=f"of a .keras file; default: {' '.join(convert.FORMATS)}",
    )
    flags.add_argument(
        "--bundle",
        choices=("c",),
        help="of a .tflite file: sources in C++ for TFLite Micro, with a test",
    )
    flags.add_argument(
        "--config",
        help="of a bundle: the config of its data, or the run.yaml of its run, for "
        "real examples in the test; default: random ones",
    )
    own_python.add_flag(flags)

    def run(arguments):
        _check(arguments)
        # In a sandbox: a malicious `.tflite` file could exploit the interpreter.
        if arguments.bundle and not limited:
            packages.require("a bundle", *packages.READING, "flatbuffers")
            return loader.run_sandboxed(arguments.model, ["export", *argv])
        return _bundle(arguments) if arguments.bundle else _convert(arguments)

    argv = sys.argv[1:] if argv is None else argv
    return command.run_command(run, flags, argv)


def _check(arguments):
    """Refuses flags that do not fit each other or the model."""
    path = arguments.model
    if not path.exists():
        raise ConfigError(f"--model: no such file: {path}")
    if arguments.bundle and path.suffix != ".tflite":
        raise ConfigError(
            f"--bundle takes a .tflite file, which the same command makes of a .keras "
            f"file without --bundle. Received: {path}"
        )
    if path.suffix == ".tflite" and not arguments.bundle:
        raise ConfigError(f"a .tflite file is exported only with --bundle c: {path}")
    for flag, needed in {"formats": "without", "config": "with"}.items():
        if getattr(arguments, flag) and bool(arguments.bundle) != (needed == "with"):
            raise ConfigError(f"--{flag} has an effect only {needed} --bundle")


def _convert(arguments: argparse.Namespace) -> int:
    path = arguments.model
    packages.require("export", "tensorflow")
    folder = arguments.out or path.parent
    model = loader.open_foreign(path)
    files.make_folder(folder)
    for variant in arguments.formats or convert.FORMATS:
        target = folder / f"{path.stem}.{variant}.tflite"
        with progress.step(str(target), "conversion"):
            files.atomic_write(target, convert.to_tflite(model, variant))
    return 0


def _bundle(arguments: argparse.Namespace) -> int:
    from distill.runtime.trust import provenance

    path = arguments.model
    if path.stat().st_size > bundle.LARGEST:
        raise ConfigError(f"{path} has more than {bundle.LARGEST:,} bytes")
    folder = arguments.out or path.parent / "firmware"
    known = {}
    if arguments.config:
        dataset = cli.dataset(arguments.config, path)
        known = {
            "classes": dataset.class_names,
            "kind": dataset.kind,
            "examples": data.read(dataset).test.sample(golden.COUNT, seed=0).floats(),
        }
    try:
        known = {**bundle.origin(provenance.read(path)), **known}
        made = bundle.render(path, **known)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    files.make_folder(folder)
    for name, text in made.items():
        files.atomic_write(folder / name, text)
    print(f"==> {folder}: {', '.join(made)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
