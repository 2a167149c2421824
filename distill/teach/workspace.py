"""What every step of training needs: the run, its data and its folder."""

import dataclasses
import pathlib

from distill import config, data
from distill.report import trackers


@dataclasses.dataclass(frozen=True, eq=False)
class Workspace:
    """The run, the data and the folder that its networks are trained with.

    Attributes:
        run: The config.
        splits: The data.
        folder: The run's folder; what several runs share is stored beside it.
        tracker: Gets the numbers of every epoch; None without one.
    """

    run: config.Run
    splits: data.Splits
    folder: pathlib.Path
    tracker: trackers.Session | None = None

    def of(self, run: config.Run) -> "Workspace":
        """This workspace with another run, such as a co-teacher's."""
        return dataclasses.replace(self, run=run)

    def at(self, folder: pathlib.Path) -> "Workspace":
        """This workspace with another folder."""
        return dataclasses.replace(self, folder=folder)
