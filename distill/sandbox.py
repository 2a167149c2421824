"""A process with limits, for foreign files; what it dies of hurts nobody else."""

import importlib
import pathlib
import resource
import sys

REFUSED = 3
_MEMORY = 12 << 30  # Bytes of address space: TensorFlow alone reserves several GB.
_CPU_SECONDS = 280
_LARGEST = 4 << 30  # Bytes that weights may declare.
_DEPTH = 32


class Refused(ValueError):
    """What was found, in a few words."""


def limit() -> None:
    """Limits this process: address space, CPU seconds, no core dump."""
    for kind, wanted in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, most = resource.getrlimit(kind)
        wanted = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(kind, (wanted, most))


def check_weights(path: pathlib.Path, archive_bytes: int) -> None:
    """Searches an HDF5 file for what reaches out of it or grows without end.

    Args:
        path: The file.
        archive_bytes: Size of the archive that it came in.

    Raises:
        Refused: If a link leaves the file, data are stored elsewhere, or more
            is declared than the file can hold.
    """
    import h5py

    declared, most = 0, min(_LARGEST, 1000 * archive_bytes)
    with h5py.File(path, "r") as file:
        for name, dataset in _datasets(file, set()):
            declared += _declared(dataset, name)
            if declared > most:
                raise Refused(f"its weights declare {declared:,} bytes and more")


def _datasets(group, seen, depth=0):
    """Name and dataset of all below a group, each reached by a plain link once."""
    import h5py

    if depth > _DEPTH:
        raise Refused("groups nested without end in its weights")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise Refused(f"a link that leaves its place in its weights: {name!r}")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise Refused(f"two names for one thing in its weights: {name!r}")
        seen.add(address)
        if isinstance(item, h5py.Group):
            yield from _datasets(item, seen, depth + 1)
        else:
            yield name, item


def _declared(dataset, name):
    if dataset.external or dataset.is_virtual:
        raise Refused(f"data stored in another file: {name!r}")
    if dataset.dtype.kind not in "fiub":
        raise Refused(f"weights that are no numbers: {name!r}")
    return dataset.size * dataset.dtype.itemsize


def open_keras(given: pathlib.Path, made: pathlib.Path) -> None:
    """Opens a scanned `.keras` file, and writes it anew.

    Raises:
        Refused: If the weights reach out of the file, or Keras refuses it.
    """
    import tempfile
    import zipfile

    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(given) as archive:
            weights = pathlib.Path(folder) / "weights.h5"
            weights.write_bytes(archive.read("model.weights.h5"))
        try:
            check_weights(weights, given.stat().st_size)
        except Refused:
            raise
        except Exception as error:  # h5py raises whatever its C library does.
            raise Refused(f"its weights cannot be read: {error}") from None
    from distill import loader

    try:
        model = loader.own(given)
    except Exception as error:  # A damaged file raises whatever its reader does.
        raise Refused(f"Keras cannot open it: {error}") from None
    model.save(made)


def main(argv: list[str]) -> int:
    """`python -m distill.sandbox open GIVEN MADE`, or a command and its flags."""
    limit()
    task, *rest = argv
    if task in ("evaluate", "inspect"):
        command = importlib.import_module(f"distill.{task}")
        return command.main(rest, limited=True)
    try:
        open_keras(*map(pathlib.Path, rest))
    except Refused as found:
        print(" ".join(str(found).split()))
        return REFUSED
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
