"""Checks of a run's networks before anything trains."""

import itertools
from collections.abc import Sequence

import keras

from distill import config
from distill.compress import finishers
from distill.config import lessons
from distill.measure.counting import uses
from distill.runtime import errors
from distill.teach.networks import build, files
from distill.teach.networks.cuts import places, shapes


def check_pairs(run: config.Run) -> list[tuple] | None:
    """Checks that teacher and student fit, if their shapes do not follow from a config.

    Returns:
        The pairs: for each representation its name, layer and shape in the teacher, and
        layer and shape in the student. A layer is None for a network under the
        contract. None if both networks are, since then the config was checked.

    Raises:
        ConfigError: If their representations or the stages do not fit.
        Untrusted: If a file may be unsafe.
    """
    cuts = places(run)
    if not cuts:
        return None
    pair = shapes(run)
    try:
        lessons.check_pupil(run, *pair)
    except ValueError as error:
        raise errors.ConfigError(f"{error}. Pairs: {_format_pairs(pair)}") from error
    rows = []
    for name in dict.fromkeys(itertools.chain(*pair)):
        row = [name]
        for role, kind in zip(files.ROLES, pair, strict=True):
            place = cuts.get(role, {}).get(name)
            row += [None if place is None else place.layer, kind.get(name)]
        rows.append(tuple(row))
    return rows


def pairs_table(rows: list[tuple]) -> str:
    """The pairs that `check_pairs` returns, as a table."""
    import tabulate

    headers = [
        "representation",
        *(f"{role}{suffix}" for role in files.ROLES for suffix in ("", " shape")),
    ]
    return tabulate.tabulate(rows, headers) + "\n"


def _format_pairs(shapes):
    both = [name for name in shapes[0] if name in shapes[1]]
    pairs = (f"{name} {shapes[0][name]} {shapes[1][name]}" for name in both)
    return "; ".join(pairs) or "none"


def check_finish(run: config.Run) -> None:
    """Refuses options of finishers that do not fit the student's layers.

    Raises:
        ConfigError: If an option of a finisher does not fit.
    """
    # Building advances the counters in Keras' names, so only if options need layers.
    if any(part.depends_on_layers for part in run.finish):
        check_layers(run.finish, build.build("student", run))


def check_layers(parts: Sequence[finishers.Finisher], student: keras.Model) -> None:
    """Refuses options of finishers that do not fit a student's layers.

    Args:
        parts: The finishers.
        student: The student, built.

    Raises:
        ConfigError: If an option of a finisher does not fit.
    """
    layers = uses.of_network(student)
    for part in parts:
        try:
            part.check_layers(layers)
        except ValueError as error:
            raise errors.ConfigError(
                f"finish.{config.name_of(part)}: {error}"
            ) from error
