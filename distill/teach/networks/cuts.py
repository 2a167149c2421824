"""Both networks of a run; those not under the contract are cut where they pair."""

import functools
from typing import NamedTuple

import students
from distill import config
from distill.config import lessons
from distill.runtime import errors
from distill.runtime.hashes import file_hash
from distill.teach.networks import files
from students.keras_models import graph, pairing
from trainers.methods import representations


class Place(NamedTuple):
    """Where a model is cut.

    Attributes:
        index: Of an operation in its `students.keras_models.graph.Graph`.
        layer: Its name.
        shape: Of one example of what it returns.
    """

    index: int
    layer: str
    shape: tuple[int, ...]


@functools.cache
def places(run: config.Run) -> dict[str, dict[str, Place]]:
    """Where the networks that are not under the contract are cut.

    Returns:
        Role, if it has such a network, to name of each representation to its place.

    Raises:
        ConfigError: If a network cannot be used, or cut there.
        Untrusted: If something speaks against opening its file.
    """
    parts = {role: files.part_of(role, run) for role in files.ROLES}
    graphs = {
        role: graph_of(role, run)
        for role, part in parts.items()
        if isinstance(part, students.KerasModel)
    }
    alone = [role for role in graphs if parts[role].sections == "auto"]
    found = {
        role: naming_network(role, run, graphs[role].places, parts[role].sections)
        for role in graphs
        if role not in alone
    }
    if len(alone) == len(files.ROLES):
        found = dict(zip(files.ROLES, pairing.together(*graphs.values()), strict=True))
    elif alone:
        (role,) = alone
        (other,) = set(files.ROLES) - {role}
        shapes = _shapes(other, run, _placed(graphs, found).get(other))
        found[role] = pairing.beside(graphs[role], shapes)
    return _placed(graphs, found)


def shapes(run: config.Run) -> list[lessons.Shapes]:
    """Name of each representation to its shape, of teacher and student.

    Raises:
        ConfigError, Untrusted: As `places`.
    """
    cuts = places(run)
    return [_shapes(role, run, cuts.get(role)) for role in files.ROLES]


def identity(role: str, run: config.Run) -> list[str]:
    """What decides a network beside its config and the code: its files and its cuts."""
    hashes = [file_hash(path) for owner, path, _ in files.files(run) if owner == role]
    return [*hashes, *map(str, places(run).get(role, {}).items())]


def graph_of(role, run):
    """The network's graph, of new layers or of the opened file's own."""
    shape = run.data.input_shape, run.data.num_classes
    return graph.Graph(
        naming_network(
            role,
            run,
            files.part_of(role, run).whole,
            *shape,
            files.open_file,
            run.data.vocabulary,
        )
    )


def naming_network(role, run, action, *arguments):
    """What `action` returns; its mistakes name the network."""
    name = "teacher.network" if role == "teacher" else "student"
    if role == "teacher" and run.teacher.file is not None:
        name = "teacher.file"
    try:
        return action(*arguments)
    except ValueError as mistake:
        raise errors.ConfigError(f"`{name}`: {mistake}") from None


def _placed(graphs, found):
    """Indices of operations as places."""
    return {
        role: {
            name: Place(index, graphs[role].names[index], graphs[role].shape(index))
            for name, index in cuts.items()
        }
        for role, cuts in found.items()
    }


def _shapes(role, run, cuts):
    """Name of each representation to its shape."""
    if cuts is not None:
        return {name: place.shape for name, place in cuts.items()}
    part = files.part_of(role, run)
    if part is not None:
        return part.shapes(run.data.input_shape)
    return representations.shapes(files.open_file(run.teacher.file, run.teacher.sha256))
