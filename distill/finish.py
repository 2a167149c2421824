"""Makes and measures the files of a network that was trained elsewhere."""

import argparse
import pathlib
from collections.abc import Sequence

import distill
from distill import cli
from distill.config import finishing
from distill.config.yaml_tree import flow
from distill.run import micro, parent
from distill.run.arguments import read_config
from distill.run.folder import claim_finish
from distill.runtime import files
from distill.runtime.process import command
from distill.runtime.trust import own_python


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.finish --model FILE.keras --config FILE`.

    Returns the exit code.
    """
    flags = cli.parser(
        "finish", "Makes and measures the files of a network trained elsewhere."
    )
    own_python.add_flag(flags)
    for name, what in (("model", "the network to ship"), ("teacher", "its teacher")):
        flags.add_argument(
            f"--{name}", help=f"{what}, a .keras file; default: the config's"
        )
    for name, what in (
        ("max_kb", "search for a file of at most so many kB"),
        ("max_packed_kb", "or of at most so many kB packed"),
        ("max_arena_kb", "or with an arena of at most so many kB, with target: micro"),
        ("max_macs", "or of at most so many multiply-accumulates"),
        ("max_drop", "and at most so many points below the model"),
    ):
        flags.add_argument(
            f"--{name.replace('_', '-')}",
            action="append",
            type=f"budget.{name}={{}}".format,
            dest="set",
            default=argparse.SUPPRESS,
            metavar="N",
            help=f"{what}: short for --set budget.{name}=N",
        )
    flags.add_argument(
        "--out", type=pathlib.Path, help="folder of the run; default: runs/<config>"
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    paths = {"model": arguments.model, "teacher": arguments.teacher}
    networks = [f"{name}={flow(path)}" for name, path in paths.items() if path]
    overrides = [*networks, *cli.overrides(arguments)]
    folder = arguments.out or cli.default_folder(arguments)
    run = read_config(finishing.Finishing, arguments.config, overrides, folder)
    parent.require_for(run)
    micro.require(run)
    with files.lock(folder):
        claim_finish(folder, run)
        # Imports Keras, which is slow: a mistake in the config, or a folder that is in
        # use, is reported before.
        from distill.run.finishing import finish

        report = finish(run, folder)
    return cli.print_result(report, folder)


distill.make_callable(__name__)

if __name__ == "__main__":
    raise SystemExit(main())
