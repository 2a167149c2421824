"""A YAML file, its base and what the command line changes -> a checked config."""

import difflib
import pathlib
import sysconfig
from collections.abc import Sequence
from typing import TypeVar

from distill.config import schema, yaml_tree
from distill.config.run import Run
from distill.runtime.errors import ConfigError

Tree = TypeVar("Tree")

CONFIGS = (
    pathlib.Path(__file__).resolve().parents[2] / "configs",
    pathlib.Path(sysconfig.get_path("data")) / "share" / "distill" / "configs",
)


def load(path: str | pathlib.Path, overrides: Sequence[str] = ()) -> Run:
    """Reads a run; see `read`."""
    return read(Run, path, overrides)


def read(
    kind: type[Tree], path: str | pathlib.Path, overrides: Sequence[str] = ()
) -> Tree:
    """Reads a config. A bare file name is looked up among the shipped ones too.

    Args:
        kind: The frozen dataclass that the whole file fills, such as `Run`.
        path: For example `lit_resnet.yaml` or `path/to/mine.yaml`.
        overrides: Assignments such as `stages.0.epochs=3`, applied in order,
            those of a part's `name` first.

    Returns:
        An instance of `kind`, with every default filled in.

    Raises:
        ConfigError: One line: file, line, key, what was received and expected.
    """
    naming = [text for text in overrides if text.split("=")[0].endswith(".name")]
    others = [text for text in overrides if text not in naming]
    try:
        node = yaml_tree.read(find(path), lambda base, user: find(base, user.parent))
        for text in [*naming, *others]:
            node = yaml_tree.override(node, text)
        return schema.fill(kind, node)
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply to be a config") from None


def find(
    path: str | pathlib.Path, beside: pathlib.Path = pathlib.Path()
) -> pathlib.Path:
    """The file that a config's name means.

    Args:
        path: A path, or the bare name of a shipped config.
        beside: The folder that a relative path starts from.

    Raises:
        ConfigError: If there is no such file; lists the shipped ones.
    """
    for candidate in (beside / path, *(folder / path for folder in CONFIGS)):
        if candidate.is_file():
            return candidate
    shipped = sorted(
        {file.name for folder in CONFIGS for file in folder.glob("*.yaml")}
    )
    close = difflib.get_close_matches(str(path), shipped, n=1)
    hint = f" Did you mean `{close[0]}`?" if close else ""
    raise ConfigError(
        f"{path}: no such file, nor a shipped config.{hint} "
        f"Shipped: {', '.join(shipped)}"
    )
