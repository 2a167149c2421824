"""Where networks that are not under the contract are cut into sections."""

import functools
from typing import NamedTuple

import students
from distill import config
from distill.config import answering, lessons
from distill.runtime import errors
from distill.runtime.hashes import file_hash
from distill.teach.answering import stand_in
from distill.teach.networks import files
from students.keras_models import graph, pairing
from trainers.methods import representations


class Place(NamedTuple):
    """The operation after which a model is cut.

    Attributes:
        index: Index of the operation in its `students.keras_models.graph.Graph`.
        layer: Name of the operation.
        shape: Shape of its output, without the batch axis.
    """

    index: int
    layer: str
    shape: tuple[int, ...]


@functools.cache
def places(run: config.Run) -> dict[str, dict[str, Place]]:
    """The places at which the networks that are not under the contract are cut.

    Returns:
        Role of each such network to a dict from name of representation to its place.

    Raises:
        ConfigError: If a network cannot be used, or cannot be cut there.
        Untrusted: If a file may be unsafe.
    """
    parts = {role: files.part_of(role, run) for role in files.ROLES}
    graphs = {
        role: graph_of(role, run)
        for role, part in parts.items()
        if isinstance(part, students.KerasModel)
    }
    automatic = [role for role in graphs if parts[role].sections == "auto"]
    indices = {
        role: call_naming_network(role, run, graphs[role].places, parts[role].sections)
        for role in graphs
        if role not in automatic
    }
    # Automatic cuts depend on the other network: both are chosen together, or one
    # after the other is known.
    if len(automatic) == len(files.ROLES):
        pair = pairing.together(*graphs.values())
        indices = dict(zip(files.ROLES, pair, strict=True))
    elif automatic:
        (role,) = automatic
        (other,) = set(files.ROLES) - {role}
        shapes = _shapes(other, run, _to_places(graphs, indices).get(other))
        indices[role] = pairing.beside(graphs[role], shapes)
    return _to_places(graphs, indices)


def shapes(run: config.Run) -> list[lessons.Shapes]:
    """Shapes of the representations of the teacher and of the student, by name.

    Raises:
        ConfigError, Untrusted: As `places`.
    """
    cuts = places(run)
    read = representations.features
    return [_shapes(role, run, cuts.get(role), read) for role in files.ROLES]


def identity(role: str, run: config.Run) -> list[str]:
    """The hashes of a network's files and its cuts, for its fingerprint."""
    hashes = [file_hash(path) for owner, path, _ in files.files(run) if owner == role]
    return [*hashes, *map(str, places(run).get(role, {}).items())]


def graph_of(role, run):
    """The graph of a network, built anew or opened from its file."""
    shape = run.data.input_shape, run.data.num_classes
    return graph.Graph(
        call_naming_network(
            role,
            run,
            files.part_of(role, run).whole,
            *shape,
            files.open_file,
            run.data.vocabulary,
        )
    )


def call_naming_network(role, run, function, *arguments):
    """Calls a function; a `ValueError` becomes a `ConfigError` naming the network."""
    name = "teacher.network" if role == "teacher" else "student"
    if role == "teacher" and run.teacher.file is not None:
        name = "teacher.file"
    try:
        return function(*arguments)
    except ValueError as error:
        raise errors.ConfigError(f"`{name}`: {error}") from error


def _to_places(graphs, indices):
    """Converts indices of operations to places."""
    return {
        role: {
            name: Place(index, graphs[role].names[index], graphs[role].shape(index))
            for name, index in cuts.items()
        }
        for role, cuts in indices.items()
    }


def _shapes(role, run, cuts, read=representations.shapes):
    """Name of each representation to its shape; `read` takes it from a built one."""
    if cuts is not None:
        return {name: place.shape for name, place in cuts.items()}
    part = files.part_of(role, run)
    if part is not None:
        return part.shapes(run.data.input_shape)
    if answering.form_of(run.teacher) is not None:
        return read(stand_in.build(run))
    return read(files.open_file(run.teacher.file, run.teacher.sha256))
