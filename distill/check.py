"""Shows what a config means, without training: parts, shapes, cost, sizes."""

import argparse
from collections.abc import Sequence

from distill import cli, config


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.check --config FILE`."""
    flags = cli.parser("check", "Shows what a config means, without training.")
    return cli.guarded(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    run = config.load(arguments.config, cli.overrides(arguments))
    print(config.dump(run))
    # Imports Keras; a mistake in the config was answered above.
    from distill import cost, stages, teacher

    stages.check_finish(run)
    networks = {
        "teacher": teacher.given(run)
        if run.teacher.file
        else stages.build("teacher", run),
        "student": stages.build("student", run),
    }
    shapes = {name: teacher.representations(net) for name, net in networks.items()}
    costs = {name: cost.count(network) for name, network in networks.items()}
    print(_pairs(shapes))
    print(_costs(costs))
    print(_sizes(run, costs["student"]))
    return 0


def _pairs(shapes):
    """Each representation of the one beside its counterpart of the other."""
    names = dict.fromkeys(name for kind in shapes.values() for name in kind)
    rows = [(name, *(kind.get(name) for kind in shapes.values())) for name in names]
    return _table(rows, ["representation", *shapes])


def _costs(costs):
    rows = [(name, cost.parameters, cost.macs) for name, cost in costs.items()]
    return _table(rows, ["network", "parameters", "MACs an image"])


def _sizes(run, cost):
    rows = [
        (f"student.{config.name_of(part)}.tflite", part.predicted_bytes(cost))
        for part in run.finish
    ]
    return _table(rows, ["file", "bytes, predicted"])


def _table(rows, headers):
    import tabulate

    return tabulate.tabulate(rows, headers, intfmt=",") + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
