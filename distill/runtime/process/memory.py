"""Memory that this process uses, and memory that it may still use.

On a CPU, running out of memory raises no error: the system kills the process. So a
training step that cannot fit is refused before it is tried.
"""

import math
import os
import pathlib
import resource
import sys

# For both versions of Linux' control groups: the file with the limit, the file with the
# usage, and the name of the line there that counts the memory of processes. The total
# usage would also count cached files, which the system drops when memory is needed.
CONTAINERS = [
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.stat", "anon"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_rss",
    ),
]


def peaks() -> dict[str, int]:
    """Peak memory in bytes of this process and of its largest child process.

    Returns:
        `training` and `finishing`; the latter is 0 if no child process has ended.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    usages = {"training": resource.RUSAGE_SELF, "finishing": resource.RUSAGE_CHILDREN}
    values = {
        name: unit * resource.getrusage(who).ru_maxrss for name, who in usages.items()
    }
    # On Linux, `ru_maxrss` also counts the memory of the process that started this one.
    return {**values, "training": _read_status("self", "VmHWM") or values["training"]}


def available() -> float:
    """Bytes that this process may still use, as far as the system tells."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = math.inf if most == resource.RLIM_INFINITY else most
    limit = min([limit, *(_read_container(*names) for names in CONTAINERS)])
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("MemAvailable:")]
        return min(limit, 1024 * int(line.split()[1]))
    except (OSError, ValueError):  # Not Linux: all physical memory.
        return min(limit, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _read_container(limit, taken, name):
    """Bytes that a container may still use; infinite without a limit."""
    try:
        most = int(pathlib.Path(limit).read_text())
        lines = pathlib.Path(taken).read_text().splitlines()
        held = dict(line.split() for line in lines)[name]
    except (OSError, ValueError, KeyError):  # No such file, or `max`: no limit.
        return math.inf
    return max(most - int(held), 0)


def resident_bytes(pid: int) -> int:
    """Bytes that a process uses now; 0 where the system does not tell."""
    return _read_status(pid, "VmRSS")


def _read_status(process, name):
    try:
        lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    values = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return 1024 * int(values[0]) if values else 0
