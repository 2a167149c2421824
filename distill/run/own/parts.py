"""Calls the functions of parts named `python`, and keeps what they return.

Each is called once, in a process of its own: what it does to Keras, to seeds or to
memory stays there. From then on, a run, its finishing process and every command read
the files, and run none of the user's code.
"""

import json
import pathlib
from collections.abc import Iterator

import yaml

import students
from distill import config
from distill.config import finishing, own_options, reader, yaml_tree
from distill.data import given
from distill.data.sets.own_python import OwnPython
from distill.runtime import files, hashes, progress, seeds
from distill.runtime.process import worker
from distill.runtime.trust import own_python, scan


def uncalled(root: yaml.MappingNode, only_data: bool) -> list[str]:
    """The functions of such parts where a config does not name what they have returned.

    Args:
        root: The tree of the config.
        only_data: Whether networks do not count.

    Raises:
        ConfigError: If a part names no function.
    """
    found = []
    for key, options in own_options.parts(root):
        entries = yaml_tree.pairs(options)
        if "path" not in entries and (key == "data" or not only_data):
            found.append(own_options.source(options))
    return found


def require_permission(
    kind: type, root: yaml.MappingNode, own: list[str], folder: pathlib.Path | None
) -> None:
    """Refuses a new folder to a config whose Python is not allowed: it leaves none.

    In a folder with files nothing may be left to be called.

    Args:
        kind: The dataclass of the config.
        root: Its tree.
        own: The functions of its parts; see `uncalled`.
        folder: The run's folder; None if nothing is trained.

    Raises:
        ConfigError: Names the first function.
    """
    sources = list(own)
    if folder is not None:
        if folder.is_dir() and any(folder.iterdir()):
            return
        sources += _asked(kind, root)
    for source in sources:
        own_python.require_permission(source, own_python.is_allowed())


def _asked(kind, root):
    """The function that answers in the place of a teacher, in a list."""
    if kind not in (config.Run, finishing.Finishing):
        return []
    teacher = reader.read_part(kind, root, "teacher")
    function = getattr(teacher, own_options.NAME, None)
    return [] if function is None else [function]


def call(
    kind: type, root: yaml.MappingNode, folder: pathlib.Path, only_data: bool = False
) -> list[str]:
    """Calls the functions of a config, or finds what they have returned before.

    Args:
        kind: The dataclass of the config.
        root: Its tree.
        folder: Where the files are; no other process may use it.
        only_data: Whether networks are left as they are.

    Returns:
        Assignments as of `--set`, which name the files in the config.

    Raises:
        ConfigError: If a function is not allowed, not there, or fails.
        DataError: If the examples would be read wrongly.
        Untrusted: If a file is not the one that was pinned.
    """
    assignments = []
    data = reader.read_part(kind, root, "data")
    if isinstance(data, OwnPython) and not data.path:
        assignments = _call("data", data, "data", {}, folder)
        for text in assignments:
            root = yaml_tree.override(root, text)
        data = reader.read_part(kind, root, "data")
    if only_data or kind is not config.Run:
        return assignments
    seed = reader.read_part(kind, root, "seed") or config.Run.seed
    for path, network, role in _networks(root):
        if isinstance(network, students.OwnPython) and not network.path:
            known = {
                "input_shape": data.input_shape,
                "num_classes": data.num_classes,
                "seed": seeds.seed_of(seed, role, "weights"),
            }
            assignments += _call(path, network, role, known, folder)
    return assignments


def _networks(root) -> Iterator[tuple[str, students.Network | None, str]]:
    """Yields path, network and role of each learner of a run, and of its teachers."""
    several = {
        name: reader.read_part(config.Run, root, name)
        for name in ("teacher", "co_teachers", "assistants", "student")
    }
    yield "teacher.network", getattr(several["teacher"], "network", None), "teacher"
    for index, part in enumerate(several["co_teachers"] or ()):
        yield f"co_teachers.{index}.network", part.network, f"teacher{index + 2}"
    for index, part in enumerate(several["assistants"] or ()):
        yield f"assistants.{index}.network", part.network, f"assistant{index + 1}"
    yield "student", several["student"], "student"


def _call(path, part, role, known, folder):
    """Calls a function, unless it was called before in the same way."""
    sha256 = own_python.file_hash(part.source)
    scan.check_hash(own_python.split(part.source)[0], part.source_sha256)
    task = {"role": role, "keywords": json.loads(part.keywords), **known}
    key = hashes.fingerprint(part.source, sha256, json.dumps(task))
    record = folder.resolve() / f"python-{key}.json"
    made = files.read_json(record) if record.exists() else ""
    if not made or not pathlib.Path(made).exists():
        own_python.require_permission(part.source, own_python.is_allowed())
        with progress.step(role, f"calling {part.source}, once"):
            task |= {"source": part.source, "record": str(record)}
            what = f"the process that calls {part.source}"
            flags = [json.dumps(task), "--allow-python"]
            worker.run("distill.run.own.child", flags, what)
        made = files.read_json(record)
    options = {"source_sha256": sha256, "path": made}
    if role == "data":
        options |= given.options(pathlib.Path(made))
    else:
        options["sha256"] = hashes.file_hash(pathlib.Path(made))
    return [
        f"{path}.options.{name}={yaml_tree.flow(value)}"
        for name, value in options.items()
    ]
