"""`python -m distill.finish`: files of a network that was trained elsewhere."""

import argparse
import dataclasses
import json
import pathlib
import shutil
from collections.abc import Sequence

from distill import cli, config, run_folder, train
from distill.compress.search import budget
from distill.config import finishing
from distill.run import parent
from distill.runtime import errors, files, progress
from distill.runtime.process import command


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.finish --model FILE.keras --config FILE`."""
    flags = cli.parser(
        "finish", "Makes and measures the files of a network trained elsewhere."
    )
    for name, what in (("model", "what ships"), ("teacher", "whom it learns from")):
        flags.add_argument(
            f"--{name}", help=f"{what}, a .keras file; else the config's"
        )
    for name, what in (
        ("max_kb", "search a file of at most so many kB"),
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
    named = {"model": arguments.model, "teacher": arguments.teacher}
    files = [f"{name}={json.dumps(path)}" for name, path in named.items() if path]
    overrides = [*files, *cli.overrides(arguments)]
    run = config.read(finishing.Finishing, arguments.config, overrides)
    folder = arguments.out or cli.default_folder(arguments)
    return train.told(_finish(run, folder), folder)


def _finish(run, folder):
    """The steps in order; a step that is finished is not run again."""
    with files.lock(folder):
        _claim(folder, run)
        progress.say(f"    run folder: {folder}")
        with progress.step("data", f"reading {config.name_of(run.data)}"):
            splits = run.data.load()
        run_folder.stay_with(folder, finishing.ground(run, splits))
        with progress.step("networks", "opening what was given"):
            finishing.ready(run, splits, folder)
        if run.searches:
            run = _found(run, folder)
        records = parent.finish(folder)
        from distill import results

        return results.gather(run, splits, folder, records)


def _claim(folder, run):
    """Claims the folder; for a search, a folder in it, until there is a winner.

    Raises:
        ConfigError: If the folder belongs to another run.
    """
    search = folder / "search"
    if not run.searches:
        run_folder.claim(folder, run)
        return
    if (folder / "run.yaml").exists() and not (search / "run.yaml").exists():
        raise errors.ConfigError(
            f"{folder} holds a run without a search: name another folder with --out"
        )
    search.mkdir(exist_ok=True)
    # What a search saves lies beside its folder.
    run_folder.claim(search, run, yields=not run_folder.is_begun(folder))


def _found(run, folder):
    """The run of the winner, at full length and bound to the budget."""
    from distill.compress.search import choices

    tried = parent.search(folder)
    for place in (folder / "search").glob("*/"):
        shutil.rmtree(place)  # What was tried is written in `search.json`.
    won = next(row for row in tried["trials"] if row["label"] == tried["winner"])
    winner = dataclasses.replace(
        run,
        finish=choices.build(run, won["finisher"], won["options"]).steps,
        budget=dataclasses.replace(run.budget, trials=0),
        max_accuracy_drop=run.budget.max_drop,
    )
    print(budget.table(tried))
    run_folder.claim(folder, winner)
    return winner


if __name__ == "__main__":
    raise SystemExit(main())
