"""Times the training steps of a config's methods, and compares them by ratios.

Timings on one machine vary, so rounds are interleaved in one process, and the median
of the rounds' ratios is reported. `--peers` compares with other implementations, see
`speed.peers`; `--kernels` compares TensorFlow's kernels, see `speed.onednn`;
`--mixed-precision` compares float32 with bfloat16, see `speed.mixed_precision`;
`--find-batch-size` compares all batch sizes that fit into memory, see
`speed.batch_sizes`. `--operations` says to which operations the time of a step goes,
see `speed.operations`; `--run` says where the time of a finished run went, see
`speed.whole_run`.
"""

import argparse
import json
import pathlib
from collections.abc import Sequence

from distill import cli, config
from distill.config import answering
from distill.runtime import errors, files, processor, versions
from distill.runtime.process import command
from distill.runtime.trust import own_python
from distill.studies.speed import mixed_precision, whole_run

STEPS = 10
ROUNDS = 7  # Odd, so that the median is the ratio of one round.


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.benchmark --config FILE`. Returns the exit code."""
    flags = cli.parser(
        "benchmark",
        "Times the training steps of a config's methods.",
        needs_config=False,
    )
    own_python.add_flag(flags)
    flags.add_argument("--rounds", type=int, help="number of rounds; default: 7")
    flags.add_argument("--steps", type=int, help=f"steps in a round; default: {STEPS}")
    flags.add_argument(
        "--json", type=pathlib.Path, help="also write the numbers to this file"
    )
    modes = flags.add_mutually_exclusive_group()
    modes.add_argument(
        "--peers",
        action="store_true",
        help="compare with plain PyTorch and keras.distillation on the same networks",
    )
    flags.add_argument(
        "--threads",
        type=int,
        help="with --peers: threads of each; default: the config's `hardware.threads`, "
        "or the number of cores",
    )
    flags.add_argument(
        "--precisions",
        nargs="+",
        choices=["float32", "mixed_bfloat16"],
        help="with --peers: one or both; default: the config's",
    )
    modes.add_argument(
        "--kernels",
        action="store_true",
        help="compare TensorFlow's own kernels with oneDNN's; --steps of every stage",
    )
    modes.add_argument(
        "--mixed-precision",
        action="store_true",
        help="compare float32 with mixed_bfloat16; --steps of every stage",
    )
    modes.add_argument(
        "--operations",
        action="store_true",
        help="to which operations of TensorFlow the time of a step goes, on a CPU",
    )
    modes.add_argument(
        "--find-batch-size",
        action="store_true",
        help="find the fastest and the largest that fit into memory; --steps of each",
    )
    modes.add_argument(
        "--run",
        type=pathlib.Path,
        metavar="FOLDER",
        help="instead of --config: where the time of a run went that has ended",
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    _check_source(arguments)
    _check(arguments)
    if arguments.run is not None:
        result = whole_run.read(arguments.run)
        return _show(result, whole_run.table(result), arguments)
    run = cli.load_run(arguments)
    answering.require_network(run, "benchmark")
    _check_precision(run.hardware.precision, arguments)
    # Imports Keras, which is slow: mistakes in the config are reported before.
    from distill.studies.speed import batch_sizes, onednn, operations, peers, steps

    if arguments.peers:
        peers.check(run)
        threads = peers.threads_of(run, arguments.threads)
    processor.check(run.hardware)
    options = _options(arguments)

    result = {
        "machine": versions.machine(),
        "versions": versions.versions(),
        "run": config.plain(run),
        **options,
    }
    batch = f"batch of {run.batch_size}, "
    if arguments.peers:
        precisions = arguments.precisions or [run.hardware.precision]
        result |= peers.in_precisions(run, precisions, **options, threads=threads)
        table = peers.table(result, run.batch_size)
    elif arguments.kernels:
        result |= onednn.side_by_side(run, **options)
        table = onednn.table(result)
    elif arguments.mixed_precision:
        result |= mixed_precision.side_by_side(run, **options)
        table = mixed_precision.table(result)
    elif arguments.operations:
        operations.check(run)
        result["stages"] = operations.profile(run, options["steps"])
        table = operations.table(result)
    elif arguments.find_batch_size:
        result |= batch_sizes.search(run, steps=options["steps"])
        table, batch = batch_sizes.table(result, run.batch_size), ""
    else:
        result["methods"] = steps.time_methods(run, **options)
        table = steps.table(result)
    return _show(result, f"{table}\n{batch}{result['machine']}", arguments)


def _options(arguments):
    """The numbers of rounds and steps, as far as they are used."""
    options = {"steps": arguments.steps or STEPS}
    if not _measures_once(arguments):
        options["rounds"] = arguments.rounds or ROUNDS
    return options


def _show(result, text, arguments):
    """Prints a result, and writes it where `--json` says."""
    print(text)
    if arguments.json is not None:
        files.atomic_write(arguments.json, json.dumps(result, indent=1))
    return 0


def _check_source(arguments):
    """Refuses anything but a config, or the folder of a run alone."""
    if (arguments.run is None) == (arguments.config is None):
        raise errors.ConfigError(
            "expected --config FILE, or --run FOLDER for a run that has ended. "
            f"Received: {'neither' if arguments.run is None else 'both'}"
        )
    if arguments.run is not None:
        for name in ("rounds", "steps", "seed", "set"):
            if getattr(arguments, name):
                raise errors.ConfigError(
                    f"--{name} must be left out with --run, which times nothing. "
                    f"Received: {getattr(arguments, name)}"
                )


def _measures_once(arguments):
    return arguments.find_batch_size or arguments.operations


def _check_precision(option, arguments):
    """Refuses `auto` where one precision is timed."""
    if option == "auto" and not (arguments.mixed_precision or arguments.precisions):
        raise errors.ConfigError(
            "`hardware.precision` must be float32 or mixed_bfloat16 here; "
            "--mixed-precision compares the two. Received: auto"
        )


def _check(arguments):
    """Refuses flags that are out of range or have no effect together."""
    for name in ("rounds", "steps"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise errors.ConfigError(f"--{name} must be at least 1. Received: {value}")
    if _measures_once(arguments) and arguments.rounds is not None:
        raise errors.ConfigError(
            "--rounds must be left out with --find-batch-size and --operations, which "
            f"measure once. Received: {arguments.rounds}"
        )
    command.check_written(arguments.json)
    if arguments.precisions and not arguments.peers:
        raise errors.ConfigError(
            f"--precisions needs --peers. Received: {' '.join(arguments.precisions)}"
        )
    if arguments.threads is not None and not (
        arguments.peers and arguments.threads > 0
    ):
        raise errors.ConfigError(
            f"--threads must be at least 1, and needs --peers. Received: "
            f"{arguments.threads}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
