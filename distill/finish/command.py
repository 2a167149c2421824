"""`python -m distill.finish`: files of a network that was trained elsewhere."""

import argparse
import json
import pathlib
from collections.abc import Sequence

from distill import cli, config, finish, finishing, progress, run_folder, train


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.finish --model FILE.keras --config FILE`."""
    flags = cli.parser(
        "finish", "Makes and measures the files of a network trained elsewhere."
    )
    for name, what in (("model", "what ships"), ("teacher", "whom it learns from")):
        flags.add_argument(
            f"--{name}", help=f"{what}, a .keras file; else the config's"
        )
    flags.add_argument(
        "--out", type=pathlib.Path, help="folder of the run; default: runs/<config>"
    )
    return cli.guarded(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    named = {"model": arguments.model, "teacher": arguments.teacher}
    files = [f"{name}={json.dumps(path)}" for name, path in named.items() if path]
    overrides = [*files, *cli.overrides(arguments)]
    run = config.read(finishing.Finishing, arguments.config, overrides)
    folder = arguments.out or cli.default_folder(arguments)
    return train.told(_finish(run, folder), folder)


def _finish(run, folder):
    """The steps in order; a step that is finished is not run again."""
    with run_folder.occupied(folder):
        run_folder.claim(folder, run)
        progress.say(f"    run folder: {folder}")
        with progress.step("data", f"reading {config.name_of(run.data)}"):
            splits = run.data.load()
        run_folder.stay_with(folder, finishing.ground(run, splits))
        with progress.step("networks", "opening what was given"):
            finishing.ready(run, splits, folder)
        records = finish.ready(folder)
        from distill import results

        return results.gather(run, splits, folder, records)
