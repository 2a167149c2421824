"""What refuses a run once its config has been read: devices, networks, data, disk.

Asked by `train`, `check`, `compare` and `score`. What a config alone tells is refused
as it is read, by its dataclasses and `config.lessons`.
"""

import pathlib

from distill import config, data
from distill.data import batches
from distill.runtime import onednn
from distill.teach import incoming
from distill.teach.cache import size
from distill.teach.hardware import strategy
from distill.teach.networks import checks


def check(run: config.Run) -> list[tuple] | None:
    """Refuses what devices, networks and finishers cannot do; needs no data.

    Args:
        run: The run.

    Returns:
        The pairs of representations; see `checks.check_pairs`.

    Raises:
        ConfigError: In one line, which option does not fit, and why.
        Untrusted: If a network's file is nothing to open.
    """
    strategy.resolve(run)
    pairs = checks.check_pairs(run)
    checks.check_finish(run)
    onednn.check(run.hardware.onednn)
    return pairs


def check_data(
    run: config.Run, splits: data.Splits, folder: pathlib.Path | None = None
) -> list[tuple[str, str, int]]:
    """Refuses what does not fit the data, or the disk; asks networks out of files.

    Args:
        run: The run.
        splits: Its data.
        folder: The run's; absent, nobody looks at the disk.

    Returns:
        What kept answers take; see `size.check`.

    Raises:
        ConfigError: In one line, which option does not fit, and why.
        Untrusted: If a network's file is nothing to open.
    """
    incoming.check(run, splits)
    examples = len(splits.train.labels)
    steps = batches.steps_per_epoch(examples, run.batch_size)
    strategy.check_steps(run.hardware, steps)
    return size.check(run, splits, folder)
