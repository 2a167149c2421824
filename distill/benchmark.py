"""Times the training steps of a config's methods, and compares them by ratios.

Timings on one machine vary, so rounds are interleaved in one process, and the median
of the rounds' ratios is reported. `--peers` compares with other implementations, see
`speed.peers`; `--kernels` compares TensorFlow's kernels, see `speed.onednn`;
`--find-batch-size` compares all batch sizes that fit into memory, see
`speed.batch_sizes`.
"""

import argparse
import json
import pathlib
from collections.abc import Sequence

from distill import cli, config
from distill.config import answering
from distill.runtime import errors, files, versions
from distill.runtime.onednn import check as check_kernels
from distill.runtime.process import command
from distill.runtime.trust import own_python

ROUNDS = 7  # Odd, so that the median is the ratio of one round.


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.benchmark --config FILE`. Returns the exit code."""
    flags = cli.parser("benchmark", "Times the training steps of a config's methods.")
    own_python.add_flag(flags)
    flags.add_argument("--rounds", type=int, help="number of rounds; default: 7")
    flags.add_argument(
        "--steps", type=int, default=10, help="steps in a round; default: 10"
    )
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
        help="with --peers: threads of each; default: the number of cores",
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
        "--find-batch-size",
        action="store_true",
        help="find the fastest and the largest that fit into memory; --steps of each",
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    _check(arguments)
    run = cli.load_run(arguments)
    answering.require_network(run, "benchmark")
    # Imports Keras, which is slow: mistakes in the config are reported before.
    from distill.studies.speed import batch_sizes, onednn, peers, steps

    if arguments.peers:
        peers.check(run)
    check_kernels(run.hardware.onednn)
    options = {"rounds": arguments.rounds or ROUNDS, "steps": arguments.steps}

    result = {
        "machine": versions.machine(),
        "versions": versions.versions(),
        "run": config.plain(run),
        **options,
    }
    batch = f"batch of {run.batch_size}, "
    if arguments.peers:
        threads = arguments.threads or versions.cores()
        precisions = arguments.precisions or [run.hardware.precision]
        result |= peers.in_precisions(run, precisions, **options, threads=threads)
        table = peers.table(result, run.batch_size)
    elif arguments.kernels:
        result |= onednn.side_by_side(run, **options)
        table = onednn.table(result)
    elif arguments.find_batch_size:
        result |= batch_sizes.search(run, steps=arguments.steps)
        table, batch = batch_sizes.table(result, run.batch_size), ""
    else:
        result["methods"] = steps.time_methods(run, **options)
        table = steps.table(result)
    print(f"{table}\n{batch}{result['machine']}")
    if arguments.json is not None:
        files.atomic_write(arguments.json, json.dumps(result, indent=1))
    return 0


def _check(arguments):
    """Refuses flags that are out of range or have no effect together."""
    for name in ("rounds", "steps"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise errors.ConfigError(f"--{name} must be at least 1. Received: {value}")
    if arguments.find_batch_size and arguments.rounds is not None:
        raise errors.ConfigError(
            "--rounds must be left out with --find-batch-size, which tries each size "
            f"once. Received: {arguments.rounds}"
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
