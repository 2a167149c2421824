"""A network that a function of the user's builds."""

import dataclasses

from students.keras_models.file import KerasFile


@dataclasses.dataclass(frozen=True, kw_only=True)
class Called:
    """Options of a part that a function returns; beside the class that reads its file.

    Attributes:
        source: File and function; the path is relative to the working folder.
        source_sha256: SHA-256 hash of the file; another file is refused.
        keywords: Keywords of the function, as JSON; written by the command.
        path: What the function has returned; written by the command.
    """

    source: str
    source_sha256: str | None = None
    keywords: str = "{}"
    path: str = ""

    def __post_init__(self):
        """Checks what the function has returned, once it is there."""
        if self.path:
            super().__post_init__()  # type: ignore[misc]  # Of the class beside it.


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnPython(Called, KerasFile):
    """A `keras.Model` that a Python function returns, such as `my_nets.py:build`.

    The command calls it once, in a process of its own, and only with `--allow-python`.
    Its random draws are those of the run's `seed`. The network is used as that of a
    `keras_file` is. All further options are keywords of the function:
    `{source: my_nets.py:build, width: 8}` calls `build(width=8)`; if it has parameters
    named `input_shape` and `num_classes`, they are those of the data.

    Attributes:
        path: The network's file; written by the command.
        sha256: SHA-256 hash of `path`; written by the command.
    """

    @property
    def file(self):
        """The file; None before the function is called."""
        return super().file if self.path else None

    def whole(self, input_shape, num_classes, opened, vocabulary=None):
        """The model of the file.

        Raises:
            ValueError: If the function has not been called.
        """
        if not self.path:
            raise ValueError(f"{self.source} has not been called")
        return super().whole(input_shape, num_classes, opened, vocabulary)
