"""What travels through a training together: the run, its data and its folder."""

import dataclasses
import pathlib

from distill import config, data


@dataclasses.dataclass(frozen=True, eq=False)
class Workspace:
    """Where and on what the networks of a run are trained.

    Attributes:
        run: What to do.
        splits: The data.
        folder: The run's; what is kept for all runs lies beside it.
    """

    run: config.Run
    splits: data.Splits
    folder: pathlib.Path

    def of(self, run: config.Run) -> "Workspace":
        """The same for a run beside this one, such as a co-teacher's."""
        return dataclasses.replace(self, run=run)

    def at(self, folder: pathlib.Path) -> "Workspace":
        """The same in another folder."""
        return dataclasses.replace(self, folder=folder)
