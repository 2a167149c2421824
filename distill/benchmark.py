"""Times the training steps of a config's methods side by side, as ratios.

Machines are noisy: rounds are interleaved in one process, and what is compared is
the median of each round's ratio. Nothing here is a test. With `--peers` the steps are
timed beside those of others, see `speed.peers`; with `--kernels`, by either of
TensorFlow's, see `speed.onednn`; with `--find-batch-size`, in batches of every
size that there is memory for, see `speed.batch_sizes`.
"""

import argparse
import json
import pathlib
from collections.abc import Sequence

from distill import cli, config
from distill.runtime import errors, files, versions
from distill.runtime.onednn import check as check_kernels
from distill.runtime.process import command

ROUNDS = 7


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.benchmark --config FILE`. Returns the exit code."""
    flags = cli.parser("benchmark", "Times the training steps of a config's methods.")
    flags.add_argument("--rounds", type=int, help="default: 7")
    flags.add_argument("--steps", type=int, default=10, help="a round; default: 10")
    flags.add_argument("--json", type=pathlib.Path, help="also write the numbers there")
    modes = flags.add_mutually_exclusive_group()
    modes.add_argument(
        "--peers",
        action="store_true",
        help="beside plain PyTorch and keras.distillation, on the same networks",
    )
    flags.add_argument(
        "--threads",
        type=int,
        help="with --peers, of each; default: as many as there are cores",
    )
    modes.add_argument(
        "--kernels",
        action="store_true",
        help="TensorFlow's own beside oneDNN's; --steps of every stage",
    )
    modes.add_argument(
        "--find-batch-size",
        action="store_true",
        help="the fastest and the largest that fit into memory; --steps of each",
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    _check(arguments)
    run = cli.load_run(arguments)
    # Imports Keras; a mistake in the config was answered above.
    from distill.studies.speed import batch_sizes, onednn, peers, steps

    if arguments.peers:
        peers.check(run)
    check_kernels(run.hardware.onednn)
    how = {"rounds": arguments.rounds or ROUNDS, "steps": arguments.steps}

    result = {
        "machine": versions.machine(),
        "versions": versions.versions(),
        "run": config.plain(run),
        **how,
    }
    batch = f"batch of {run.batch_size}, "
    if arguments.peers:
        threads = arguments.threads or versions.cores()
        result |= peers.side_by_side(run, **how, threads=threads)
        table = peers.table(result, run.batch_size)
    elif arguments.kernels:
        result |= onednn.side_by_side(run, **how)
        table = onednn.table(result)
    elif arguments.find_batch_size:
        result |= batch_sizes.search(run, steps=arguments.steps)
        table, batch = batch_sizes.table(result, run.batch_size), ""
    else:
        result["methods"] = steps.methods(run, **how)
        table = steps.table(result)
    print(f"{table}\n{batch}{result['machine']}")
    if arguments.json is not None:
        files.atomic_write(arguments.json, json.dumps(result, indent=1))
    return 0


def _check(arguments):
    """Refuses flags that have no meaning, alone or together."""
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
    if arguments.threads is not None and not (
        arguments.peers and arguments.threads > 0
    ):
        raise errors.ConfigError(
            f"--threads must be at least 1, and goes with --peers. Received: "
            f"{arguments.threads}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
