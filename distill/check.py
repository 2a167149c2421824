"""Shows what a config means, without training: parts, shapes, cost, sizes."""

import argparse
from collections.abc import Sequence

from distill import cli, config
from distill.config import answering, explain, finishing, lessons
from distill.runtime import formats
from distill.runtime.errors import ConfigError
from distill.runtime.process import command
from distill.runtime.trust import own_python
from distill.studies.generate import study as generation
from distill.studies.tabular import study as tabular

# The dataclass of a whole config, for each command with configs of its own.
ROOTS = {
    "train": config.Run,
    "finish": finishing.Finishing,
    "generate": generation.Study,
    "tabular": tabular.Study,
}


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.check --config FILE`."""
    flags = cli.parser("check", "Shows what a config means, without training.")
    own_python.add_flag(flags)
    flags.add_argument(
        "--explain",
        nargs="?",
        const="",
        action=_Explain,
        metavar="PATH",
        help="explain an option, such as stages.trainer, and exit; without a path, "
        "all of them (docs/options.md)",
    )
    return command.run_command(_command, flags, argv)


class _Explain(argparse.Action):
    """An action like `--help`: prints and exits without requiring other flags."""

    def __call__(self, parser, namespace, values, option_string=None):
        try:
            text = (
                explain.explain(ROOTS, values) if values else explain.format_page(ROOTS)
            )
        except ConfigError as error:
            parser.error(str(error))
        print(text, end="")
        parser.exit()


def _command(arguments: argparse.Namespace) -> int:
    run = cli.load_run(arguments)
    print(config.dump(run))
    if run.hardware.precision == "auto":
        print("hardware.precision: auto is decided when the run starts\n")
    # Imports Keras, which is slow: mistakes in the config are reported before.
    from distill.measure import cost
    from distill.run import preflight
    from distill.teach import teacher
    from distill.teach.networks import build, checks, files
    from trainers.methods import representations

    pairs = preflight.check(run)
    teachers = {"teacher": run, **lessons.co_teachers(run)}
    learners = {**lessons.assistants(run), "student": run}
    built = {
        name: build.build(name, part)
        if part.teacher.network
        else teacher.open_given(part)
        for name, part in teachers.items()
    }
    built |= {name: build.build(name, part) for name, part in learners.items()}
    reads = dict.fromkeys(teachers, representations.features)
    shapes = {
        name: reads.get(name, representations.shapes)(network)
        for name, network in built.items()
    }
    costs = {
        name: cost.count(network)
        for name, network in built.items()
        if name not in teachers or answering.form_of(teachers[name].teacher) is None
    }
    print(_pairs(shapes) if pairs is None else checks.pairs_table(pairs))
    print(_costs(costs))
    print(_sizes(run, costs["student"]))
    # Networks from files are checked on real examples, so only these need the data.
    if run.teacher.cache or files.hashes(run):
        rows = preflight.check_data(run, run.data.load())
        if rows:
            print(formats.table(rows, ["stage", "cached outputs", "bytes, predicted"]))
    return 0


def _pairs(shapes):
    """A table of the representations, with the shape in each network."""
    names = dict.fromkeys(name for kind in shapes.values() for name in kind)
    rows = [(name, *(kind.get(name) for kind in shapes.values())) for name in names]
    return formats.table(rows, ["representation", *shapes])


def _costs(costs):
    rows = [
        (name, cost.parameters, formats.macs(vars(cost), formats.whole))
        for name, cost in costs.items()
    ]
    return formats.table(rows, ["network", "parameters", "MACs an image"])


def _sizes(run, cost):
    parts = {config.name_of(part): part for part in run.finish}
    rows = []
    for name, part in parts.items():
        bounds = part.upper_bounds(parts)
        whole = part.predicted_bytes(cost, parts)
        packed = part.predicted_packed_bytes(cost, parts)
        rows.append(
            (
                f"student.{name}.tflite",
                formats.predicted(whole, "bytes" in bounds),
                formats.predicted(packed, "packed_bytes" in bounds),
            )
        )
    headers = ["file", "bytes, predicted", "packed, predicted"]
    return formats.table(rows, headers) + f"packed: {formats.PACKED}"


if __name__ == "__main__":
    raise SystemExit(main())
