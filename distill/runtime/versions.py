"""The computing environment: versions of packages, processor, cores."""

import contextlib
import importlib.metadata
import os
import pathlib
import platform


def machine() -> str:
    """Processor, number of cores that this process may use, operating system."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return f"{processor}, {cores()} cores, {platform.system()}"


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


PACKAGES = (
    "distill",
    "keras",
    "tensorflow",
    "jax",
    "jaxlib",
    "torch",
    "tf_keras",
    "tensorflow-model-optimization",
    "ai-edge-litert",
    "numpy",
    "scikit-learn",
)

# TensorFlow reads this variable on import. oneDNN's kernels differ in the last bits.
KERNELS = "TF_ENABLE_ONEDNN_OPTS"
# In how many threads one operation computes: another number has other last bits. Each
# variable to the library that reads it.
THREADS = {"TF_NUM_INTRAOP_THREADS": "tensorflow", "OMP_NUM_THREADS": "torch"}


def versions() -> dict[str, str]:
    """Name to version of everything that decides a run's numbers."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    kernels = os.environ.get(KERNELS, "as TensorFlow chooses")
    return {**found, KERNELS: kernels, **threads()}


def thread_variables() -> list[str]:
    """The names in `THREADS` that decide here; finishing is TensorFlow's everywhere."""
    backends = {"tensorflow", os.environ.get("KERAS_BACKEND")}
    return [name for name, backend in THREADS.items() if backend in backends]


def threads() -> dict[str, str]:
    """The variables of the number of threads that are set, to their values."""
    # Without those that are not: what was made before stays what it is.
    return {n: os.environ[n] for n in thread_variables() if n in os.environ}
