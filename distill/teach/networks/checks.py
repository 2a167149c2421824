"""What refuses a run's networks before anything trains."""

import itertools

from distill import config
from distill.config import lessons
from distill.measure import cost
from distill.runtime import errors
from distill.teach.networks import build, files
from distill.teach.networks.cuts import places, shapes


def check_pairs(run: config.Run) -> list[tuple] | None:
    """Makes sure that networks whose shapes no config tells fit each other.

    Returns:
        The pairs: each representation's name, then layer and shape in the teacher, and
        layer and shape in the student; a layer is None where the name is all there is.
        None if the config has told all of this before.

    Raises:
        ConfigError: Says what does not fit.
        Untrusted: If something speaks against opening a file.
    """
    cuts = places(run)
    if not cuts:
        return None
    pair = shapes(run)
    try:
        lessons.check_pupil(run, *pair)
    except ValueError as mistake:
        raise errors.ConfigError(f"{mistake}. Pairs: {_format_pairs(pair)}") from None
    rows = []
    for name in dict.fromkeys(itertools.chain(*pair)):
        row = [name]
        for role, kind in zip(files.ROLES, pair, strict=True):
            place = cuts.get(role, {}).get(name)
            row += [None if place is None else place.layer, kind.get(name)]
        rows.append(tuple(row))
    return rows


def pairs_table(rows: list[tuple]) -> str:
    """The pairs that `check` returns, for people."""
    import tabulate

    headers = [
        "representation",
        *(f"{role}{more}" for role in files.ROLES for more in ("", " shape")),
    ]
    return tabulate.tabulate(rows, headers) + "\n"


def _format_pairs(shapes):
    both = [name for name in shapes[0] if name in shapes[1]]
    listed = (f"{name} {shapes[0][name]} {shapes[1][name]}" for name in both)
    return "; ".join(listed) or "none"


def check_finish(run: config.Run) -> None:
    """Refuses options of finishers that do not fit the student's layers.

    Raises:
        ConfigError: In one line.
    """
    # Building moves Keras' counters of names: only where layers are asked for.
    if not any(getattr(part, "rules", ()) for part in run.finish):
        return
    layers = cost.kernel_layers(build.build("student", run))
    for part in run.finish:
        try:
            part.check_layers(layers)
        except ValueError as mistake:
            raise errors.ConfigError(
                f"finish.{config.name_of(part)}: {mistake}"
            ) from None
