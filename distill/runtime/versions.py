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


def versions() -> dict[str, str]:
    """Name to version of everything that decides a run's numbers."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return {**found, KERNELS: os.environ.get(KERNELS, "as TensorFlow chooses")}
