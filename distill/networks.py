"""Both networks of a run; those not under the contract are cut where they pair."""

import functools
import itertools
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import keras

import students
from distill import config, pairing
from distill.config import lessons, roles
from distill.measure import cost
from distill.runtime import errors, seeds
from distill.runtime.hashes import file_hash
from distill.runtime.trust import loader, scan
from students import keras_graph
from trainers import representations

ROLES = ("teacher", "student")


class Place(NamedTuple):
    """Where a model is cut.

    Attributes:
        index: Of an operation in its `students.keras_graph.Graph`.
        layer: Its name.
        shape: Of one example of what it returns.
    """

    index: int
    layer: str
    shape: tuple[int, ...]


def build(name: str, run: config.Run) -> keras.Model:
    """A network as it is before training; all controls start as the student.

    Args:
        name: Of the model; one of several teachers or assistants starts otherwise
            than another.
        run: Whose teacher or student it is; see `chain`. A teacher that is asked for
            is no file under the contract.

    Raises:
        ConfigError: If a network that is not under the contract cannot be used.
        Untrusted: If something speaks against opening its file.
    """
    alone = name if roles.is_reserved(name) else "student"
    role = "teacher" if alone.startswith("teacher") else "student"
    part = _part(role, run)
    cuts = places(run).get(role)
    keras.utils.set_random_seed(seeds.seed_of(run.seed, alone, "weights"))
    if cuts is None:
        sizes = run.data.input_shape, run.data.num_classes, run.data.vocabulary
        return part.build(*sizes)
    graph = _graph(role, run)
    found = {name: place.index for name, place in cuts.items()}
    network = _explained(role, run, graph.cut, found)
    if part.file is None:
        return network
    # What a file holds is opened once, and stays as it was: this copy will be trained.
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


@functools.cache
def places(run: config.Run) -> dict[str, dict[str, Place]]:
    """Where the networks that are not under the contract are cut.

    Returns:
        Role, if it has such a network, to name of each representation to its place.

    Raises:
        ConfigError: If a network cannot be used, or cut there.
        Untrusted: If something speaks against opening its file.
    """
    parts = {role: _part(role, run) for role in ROLES}
    graphs = {
        role: _graph(role, run)
        for role, part in parts.items()
        if isinstance(part, students.KerasModel)
    }
    alone = [role for role in graphs if parts[role].sections == "auto"]
    found = {
        role: _explained(role, run, graphs[role].places, parts[role].sections)
        for role in graphs
        if role not in alone
    }
    if len(alone) == len(ROLES):
        found = dict(zip(ROLES, pairing.together(*graphs.values()), strict=True))
    elif alone:
        (role,) = alone
        (other,) = set(ROLES) - {role}
        shapes = _shapes(other, run, _placed(graphs, found).get(other))
        found[role] = pairing.beside(graphs[role], shapes)
    return _placed(graphs, found)


def check(run: config.Run) -> list[tuple] | None:
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
        raise errors.ConfigError(f"{mistake}. Pairs: {_said(pair)}") from None
    rows = []
    for name in dict.fromkeys(itertools.chain(*pair)):
        row = [name]
        for role, kind in zip(ROLES, pair, strict=True):
            place = cuts.get(role, {}).get(name)
            row += [None if place is None else place.layer, kind.get(name)]
        rows.append(tuple(row))
    return rows


def shapes(run: config.Run) -> list[lessons.Shapes]:
    """Name of each representation to its shape, of teacher and student.

    Raises:
        ConfigError, Untrusted: As `places`.
    """
    cuts = places(run)
    return [_shapes(role, run, cuts.get(role)) for role in ROLES]


def table(rows: list[tuple]) -> str:
    """The pairs that `check` returns, for people."""
    import tabulate

    headers = [
        "representation",
        *(f"{role}{more}" for role in ROLES for more in ("", " shape")),
    ]
    return tabulate.tabulate(rows, headers) + "\n"


def files(run: config.Run) -> Iterator[tuple[str, pathlib.Path, str | None]]:
    """Role, path and pinned SHA-256 of each file that a network is made of."""
    for role in ROLES:
        part = _part(role, run)
        given = None
        if part is None:
            given = run.teacher.file, run.teacher.sha256
        elif isinstance(part, students.KerasModel):
            given = part.file
        if given is not None:
            yield role, pathlib.Path(given[0]).expanduser(), given[1]


def hashes(run: config.Run) -> dict[str, str]:
    """What each file that a network of the run is made of hashes to.

    Raises:
        Untrusted: If one is nothing to open.
    """
    found = {}
    for name, part in {"teacher": run, **lessons.co_teachers(run)}.items():
        for role, path, sha256 in files(part):
            scan.members(path, sha256)
            owner = name if role == "teacher" else role
            found[f"{owner} file"] = file_hash(path)
    return found


def decided(role: str, run: config.Run) -> list[str]:
    """What decides a network beside its config and the code: its files and its cuts."""
    hashes = [file_hash(path) for owner, path, _ in files(run) if owner == role]
    return [*hashes, *map(str, places(run).get(role, {}).items())]


@functools.cache
def opened(path: str, sha256: str | None) -> keras.Model:
    """A foreign file's model, opened once in this process; not to be trained.

    Raises:
        Untrusted: If something speaks against opening it.
    """
    return loader.open_foreign(pathlib.Path(path).expanduser(), sha256)


def _part(role, run):
    """What builds a network; None for a given file under the contract."""
    if role == "student":
        return run.student
    given = run.teacher
    if given.file is None:
        return given.network
    if given.sections is None:
        return None
    return students.KerasFile(
        path=given.file, sha256=given.sha256, sections=given.sections, weight_decay=0.0
    )


def _graph(role, run):
    """The network's graph, of new layers or of the opened file's own."""
    shape = run.data.input_shape, run.data.num_classes
    return keras_graph.Graph(
        _explained(role, run, _part(role, run).whole, *shape, opened)
    )


def _explained(role, run, action, *arguments):
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
    part = _part(role, run)
    if part is not None:
        return part.shapes(run.data.input_shape)
    return representations.shapes(opened(run.teacher.file, run.teacher.sha256))


def _said(shapes):
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
    layers = cost.kernel_layers(build("student", run))
    for part in run.finish:
        try:
            part.check_layers(layers)
        except ValueError as mistake:
            raise errors.ConfigError(
                f"finish.{config.name_of(part)}: {mistake}"
            ) from None
