"""Predicts which files can be made of a student, and which layers prevent others."""

import argparse
import json
import pathlib
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill.compress import finishers
from distill.measure.micro import trial
from distill.report import compress_tables
from distill.run import parent
from distill.run.arguments import read_for_model
from distill.runtime import errors
from distill.runtime.process import command
from distill.runtime.trust import loader, own_python


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.doctor --model FILE.keras`, or `--config FILE`."""
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.doctor",
        description="Says before any training which layers of a student can be "
        "pruned, clustered and quantized, and by what, which files can be made, and "
        "how large.",
    )
    flags.add_argument("--model", type=pathlib.Path, help="a student, a .keras file")
    flags.add_argument(
        "--config",
        help="of distill.train or distill.finish: its finishers and, without --model, "
        "its student, untrained if it has yet to be trained",
    )
    command.add_set_flag(flags)
    own_python.add_flag(flags)
    flags.add_argument(
        "--micro",
        action="store_true",
        help="also say what TFLite Micro will run, as for a config with target: micro",
    )
    flags.add_argument("--json", action="store_true", help="print JSON, no tables")
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    if arguments.model is None and arguments.config is None:
        raise errors.ConfigError("give --model, a .keras file, or --config, or both")
    run, path = _read(arguments)
    parts = run.finish if run else ()
    parts = parts or [kind() for kind in finishers.FINISHERS.values()]
    parent.require_packages()
    on_target = arguments.micro or (run is not None and run.target == "micro")
    if on_target:
        trial.require("--micro" if arguments.micro else "`target: micro`")
    # Imports Keras, which is slow: mistakes in the config are reported before.
    from distill.run import diagnosis, micro
    from distill.teach.networks import build

    network = build.build("student", run) if path is None else _open(path)
    result = diagnosis.examine(network, parts)
    if on_target:
        trials = micro.predict(network, parts)
        result["micro"] = {name: each.facts() for name, each in trials.items()}
    print(
        json.dumps(result, indent=1)
        if arguments.json
        else compress_tables.tables(result)
    )
    wrong = any(file["blocked"] for file in result["files"])
    runs = not on_target or any(not each.reason for each in trials.values())
    return 0 if runs and not wrong else errors.EXIT_FAILED


def _read(arguments):
    """The config or None, and the path of the model or None."""
    if arguments.config is None:
        return None, arguments.model
    run = read_for_model(arguments.config, arguments.model, arguments.set)
    model = getattr(run, "model", None)
    return run, arguments.model or (pathlib.Path(model).expanduser() if model else None)


def _open(path):
    """Opens a network from a file, which may be foreign."""
    if not path.exists():
        raise errors.ConfigError(f"--model: no such file: {path}")
    return loader.open_foreign(path)


if __name__ == "__main__":
    raise SystemExit(main())
