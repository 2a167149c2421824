"""Which kernels TensorFlow computes with on a processor: its own, or oneDNN's.

TensorFlow reads its environment variable once, when it is imported, so `choose` must
set it before. How fast each kind is: `distill.studies.speed.onednn`.
"""

import os
import pathlib
import sys

from distill.runtime import errors, progress, versions

FACTS = pathlib.Path("/proc/cpuinfo")
OWN, ONEDNN = "0", "1"  # Values of the environment variable.
NAMES = {OWN: "TensorFlow's", ONEDNN: "oneDNN's"}
_WANTED = {"false": OWN, "true": ONEDNN}
# With any of these flags of a processor, TensorFlow takes oneDNN's by default.
_ONEDNN_FLAGS = {
    "avx512_vnni",
    "avx512_bf16",
    "avx_vnni",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
}


def choose(option: str) -> None:
    """Sets TensorFlow's environment variable; `auto` leaves it as it is.

    Args:
        option: `hardware.onednn` of a run.

    Raises:
        ConfigError: If the variable has the other value, or TensorFlow is imported
            already and uses the other kernels.
    """
    wanted, name = _WANTED.get(option), versions.KERNELS
    if wanted is None:
        return
    if "tensorflow" in sys.modules:
        has, when = _current_kernels(), "before TensorFlow is imported"
        received = f"TensorFlow, already imported, with {NAMES[has]} kernels"
    else:
        has, when = _requested_kernels() if name in os.environ else wanted, "or unset"
        received = f"{name}={os.environ.get(name)}"
    if has != wanted:
        raise errors.ConfigError(
            f"`hardware.onednn: {option}` needs {name}={wanted}, {when}. "
            f"Received: {received}"
        )
    os.environ[name] = wanted


def check(option: str) -> None:
    """Refuses `hardware.onednn` where it has no effect.

    Args:
        option: As for `choose`.

    Raises:
        ConfigError: Names the device.
    """
    if option == "auto":
        return
    has = _device()
    if not has.startswith("tensorflow, cpu"):
        raise errors.ConfigError(
            "oneDNN's kernels are for KERAS_BACKEND=tensorflow on a processor: "
            "elsewhere `hardware.onednn` must be auto, and --kernels absent. "
            f"Received: {has}"
        )


def is_computing() -> bool:
    """Whether TensorFlow, which is imported, computes by oneDNN's kernels."""
    import tensorflow as tf

    return _current_kernels() == ONEDNN and not tf.config.list_physical_devices("GPU")


def default_kernels() -> str:
    """TensorFlow's default on this processor: `OWN` or `ONEDNN`."""
    return ONEDNN if _ONEDNN_FLAGS & cpu_flags() else OWN


def cpu_flags() -> set[str]:
    """The processor's features; empty where the system does not list them."""
    try:
        lines = FACTS.read_text().splitlines()
    except OSError:
        return set()
    listed = [line.partition(":")[2] for line in lines if line.startswith("flags")]
    return set(listed[0].split()) if listed else set()


def hint(option: str) -> None:
    """Names the command that compares both kinds, if the default may be the slower."""
    decided = option != "auto" or versions.KERNELS in os.environ
    if decided or _takes_onednn() or "avx2" not in cpu_flags():
        return
    if _device().startswith("tensorflow, cpu"):
        progress.say(
            "    TensorFlow takes its own kernels here; whether oneDNN's are faster: "
            "python -m distill.benchmark --kernels --config FILE"
        )


def _requested_kernels():
    """The environment variable's value as `OWN` or `ONEDNN`; anything else is None."""
    words = {"0": OWN, "false": OWN, "1": ONEDNN, "true": ONEDNN}
    return words.get(os.environ.get(versions.KERNELS, "").lower())


def _current_kernels():
    """The kernels of TensorFlow, which must be imported."""
    from tensorflow.python.util import _pywrap_util_port

    return ONEDNN if _pywrap_util_port.IsMklEnabled() else OWN


def _takes_onednn():
    """Whether TensorFlow takes oneDNN's kernels, by request or by default."""
    return (_requested_kernels() or default_kernels()) == ONEDNN


def _device():
    """The backend; TensorFlow's first device, too."""
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":  # Keras knows no devices of PyTorch.
        return backend
    return f"{backend}, {keras.distribution.list_devices()[0]}"
