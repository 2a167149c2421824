"""Whether a training step can fit into memory at all, before it is tried.

On a CPU, running out of memory raises nothing: the system kills the process.
"""

import math
import os
import pathlib
import resource
import sys

# Of the two versions of Linux' control groups: the limit; and where it stands how much
# of it processes hold, under which name: files that were read count as taken elsewhere.
CONTAINERS = [
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.stat", "anon"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_rss",
    ),
]


def peaks() -> dict[str, int]:
    """The most bytes that this process has held, and the largest of its own.

    Returns:
        `training` and `finishing`; the latter is 0 where nothing was finished.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    asked = {"training": resource.RUSAGE_SELF, "finishing": resource.RUSAGE_CHILDREN}
    found = {
        name: unit * resource.getrusage(who).ru_maxrss for name, who in asked.items()
    }
    # Linux counts there what the process held that started this one.
    return {**found, "training": _told("self", "VmHWM") or found["training"]}


def available() -> float:
    """Bytes that this process may still take, as far as the system says."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = math.inf if most == resource.RLIM_INFINITY else most
    limit = min([limit, *(_left(*names) for names in CONTAINERS)])
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("MemAvailable:")]
        return min(limit, 1024 * int(line.split()[1]))
    except (OSError, ValueError):  # Not Linux: what is built in.
        return min(limit, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _left(limit, taken, name):
    """Bytes that a container may still take; infinite where none says."""
    try:
        most = int(pathlib.Path(limit).read_text())
        lines = pathlib.Path(taken).read_text().splitlines()
        held = dict(line.split() for line in lines)[name]
    except (OSError, ValueError, KeyError):  # No such file, or `max`: no limit.
        return math.inf
    return max(most - int(held), 0)


def held(pid: int) -> int:
    """Bytes that a process holds now; 0 where the system does not say."""
    return _told(pid, "VmRSS")


def _told(process, name):
    try:
        lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return 1024 * int(found[0]) if found else 0
