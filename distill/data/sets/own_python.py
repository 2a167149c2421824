"""Examples that a function of the user's returns."""

import dataclasses

from distill.data.sets.array_folder import ArrayFolder
from distill.runtime.errors import DataError
from students.keras_models.own_python import Called


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnPython(Called, ArrayFolder):
    """Images that a Python function returns, such as `my_data.py:load`.

    The command calls it once, in a process of its own, and only with `--allow-python`.
    It returns what `distill.train` takes as `data` (docs/python.md): arrays, or
    pipelines, of train, validation and test. All further options are its keywords:
    `{source: my_data.py:load, size: 32}` calls `load(size=32)`.

    Attributes:
        path: The folder of the rows that it has returned; written by the command.
    """

    @property
    def own_splits(self):
        """The splits that the function has returned; unknown before it is called."""
        return super().own_splits if self.path else {"train"}

    @property
    def input_shape(self):
        """`(height, width, channels)`.

        Raises:
            DataError: If the function has not been called.
        """
        if not self.path:
            raise DataError(f"{self.source} has not been called")
        return super().input_shape
