"""What every step of training needs: the run, its data and its folder."""

import dataclasses
import pathlib

from distill import config, data


@dataclasses.dataclass(frozen=True, eq=False)
class Workspace:
    """The run, the data and the folder that its networks are trained with.

    Attributes:
        run: The config.
        splits: The data.
        folder: The run's folder; what several runs share is stored beside it.
    """

    run: config.Run
    splits: data.Splits
    folder: pathlib.Path

    def of(self, run: config.Run) -> "Workspace":
        """This workspace with another run, such as a co-teacher's."""
        return dataclasses.replace(self, run=run)

    def at(self, folder: pathlib.Path) -> "Workspace":
        """This workspace with another folder."""
        return dataclasses.replace(self, folder=folder)
