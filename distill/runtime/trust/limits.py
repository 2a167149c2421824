"""What a process that opens foreign files may use, and weights may declare."""

import pathlib
import resource

REFUSED = 3
_MEMORY = 12 << 30  # Bytes of address space: TensorFlow alone reserves several GB.
SECONDS = 300  # For one file.
# For a file that is measured on all examples of a split, also in TFLite Micro.
MEASURING_SECONDS = 7200
_CPU_SHARE = 0.93  # So that a process ends by itself before it is ended.
LARGEST = 4 << 30  # Bytes that weights may declare.
_DEPTH = 32


class Refused(ValueError):
    """What was found, in a few words."""


def limit(seconds: int | None = SECONDS, threads: int = 1) -> None:
    """Limits this process: address space, CPU seconds, no core dump.

    Args:
        seconds: What it may take; None sets no limit: see `limit_computing`.
        threads: How many may compute at once.
    """
    _set(resource.RLIMIT_AS, _MEMORY)
    _set(resource.RLIMIT_CORE, 0)
    if seconds is not None:
        limit_computing(seconds, threads)


def limit_computing(seconds: float, threads: int = 1) -> None:
    """Limits what this process may compute from now on, but not how long it waits.

    A process of a busy machine gets its turn late, which is no fault of its own.

    Args:
        seconds: What it may take.
        threads: How many may compute at once.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    _set(resource.RLIMIT_CPU, int(spent + _CPU_SHARE * seconds * threads))


def _set(kind, wanted):
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

    declared, most = 0, min(LARGEST, 1000 * archive_bytes)
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
    # Keras writes bfloat16 as two bytes each: HDF5 has no such type.
    halves = dataset.dtype.str == "|V2" and dataset.dtype.names is None
    if dataset.dtype.kind not in "fiub" and not halves:
        raise Refused(f"weights that are no numbers: {name!r}")
    return dataset.size * dataset.dtype.itemsize
