"""Whose kernels TensorFlow multiplies with on a processor: its own, or oneDNN's.

It asks once, as it is imported, so `hardware.onednn` is told before. How fast either
is: `distill.studies.speed.onednn`.
"""

import os
import pathlib
import sys

from distill.runtime import errors, progress, versions

FACTS = pathlib.Path("/proc/cpuinfo")
OWN, ONEDNN = "0", "1"  # As TensorFlow is told.
NAMES = {OWN: "TensorFlow's", ONEDNN: "oneDNN's"}
_WANTED = {"false": OWN, "true": ONEDNN}
# With any of these TensorFlow takes oneDNN's untold.
_TELLING = {
    "avx512_vnni",
    "avx512_bf16",
    "avx_vnni",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
}


def choose(option: str) -> None:
    """Tells TensorFlow which kernels to take; `auto` leaves what it was told before.

    Args:
        option: `hardware.onednn` of a run.

    Raises:
        ConfigError: If it was told otherwise, or was imported with the other's.
    """
    wanted, name = _WANTED.get(option), versions.KERNELS
    if wanted is None:
        return
    if "tensorflow" in sys.modules:
        has, when = _taken(), "before TensorFlow is imported"
        received = f"TensorFlow, already imported, with {NAMES[has]} kernels"
    else:
        has, when = _is_told() if name in os.environ else wanted, "or unset"
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


def computes() -> bool:
    """Whether TensorFlow, which is imported, computes by oneDNN's kernels."""
    import tensorflow as tf

    return _taken() == ONEDNN and not tf.config.list_physical_devices("GPU")


def is_undecided() -> str:
    """What TensorFlow takes by itself on this processor: `OWN` or `ONEDNN`."""
    return ONEDNN if _TELLING & _cpu_flags() else OWN


def hint(option: str) -> None:
    """Says that nobody has chosen, where what TensorFlow takes may be the slow one."""
    told = option != "auto" or versions.KERNELS in os.environ
    if told or _takes_onednn() or "avx2" not in _cpu_flags():
        return
    if _device().startswith("tensorflow, cpu"):
        progress.say(
            "    TensorFlow takes its own kernels here; whether oneDNN's are faster: "
            "python -m distill.benchmark --kernels --config FILE"
        )


def _is_told():
    """What TensorFlow's variable says, as `OWN` or `ONEDNN`; anything else is None."""
    words = {"0": OWN, "false": OWN, "1": ONEDNN, "true": ONEDNN}
    return words.get(os.environ.get(versions.KERNELS, "").lower())


def _taken():
    """What TensorFlow, which is imported, has taken."""
    from tensorflow.python.util import _pywrap_util_port

    return ONEDNN if _pywrap_util_port.IsMklEnabled() else OWN


def _takes_onednn():
    """Whether TensorFlow takes oneDNN's kernels, told or untold."""
    return (_is_told() or is_undecided()) == ONEDNN


def _cpu_flags():
    """What this processor can do; nothing where the system does not say."""
    try:
        lines = FACTS.read_text().splitlines()
    except OSError:
        return set()
    listed = [line.partition(":")[2] for line in lines if line.startswith("flags")]
    return set(listed[0].split()) if listed else set()


def _device():
    """The backend; TensorFlow's first device, too."""
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":  # Keras knows no devices of PyTorch.
        return backend
    return f"{backend}, {keras.distribution.list_devices()[0]}"
