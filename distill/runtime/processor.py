"""How a processor computes: by which kernels, and an operation in how many threads.

TensorFlow and PyTorch read environment variables once, before they first compute, so
`choose` must set them before either is imported.
"""

import os
import pathlib
import sys
import typing

from distill.runtime import errors, onednn, versions

DEVICES = pathlib.Path("/dev")
# Files of accelerators: of NVIDIA, of AMD, and others.
_ACCELERATORS = ("nvidia[0-9]*", "kfd", "accel*")
# With one of these flags, a processor multiplies bfloat16 by itself.
_BFLOAT16 = {"amx_bf16", "avx512_bf16"}


class Hardware(typing.Protocol):
    """The options of `hardware` that are used here."""

    @property
    def onednn(self) -> str:
        """`auto`, `true` or `false`."""

    @property
    def threads(self) -> int | str:
        """A number, or `auto`."""


def choose(hardware: Hardware) -> None:
    """Sets the backend's environment variables; `auto` leaves them as they are.

    Args:
        hardware: The options of a run.

    Raises:
        ConfigError: If a variable has another value, if the backend is imported already
            and computes otherwise, or if there are more threads than cores.
    """
    onednn.choose(hardware.onednn)
    if hardware.threads == "auto":
        return
    if int(hardware.threads) > versions.cores():
        raise errors.ConfigError(
            f"`hardware.threads` must be at most {versions.cores()}, the cores that "
            f"this process may use. Received: {hardware.threads}"
        )
    wanted, names = str(hardware.threads), versions.thread_variables()
    for name in names:
        has, library = os.environ.get(name), versions.THREADS[name]
        when = f"before {library} is imported" if library in sys.modules else "or unset"
        if has != wanted and (has is not None or library in sys.modules):
            received = f"{name}={has}" if has is not None else f"{name} is not set"
            raise errors.ConfigError(
                f"`hardware.threads: {wanted}` needs {name}={wanted}, {when}. "
                f"Received: {received}"
            )
    os.environ |= dict.fromkeys(names, wanted)


def check(hardware: Hardware) -> None:
    """Refuses options that have no effect here.

    Args:
        hardware: As for `choose`.

    Raises:
        ConfigError: Names the option and the backend.
    """
    onednn.check(hardware.onednn)
    if hardware.threads == "auto":
        return
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        raise errors.ConfigError(
            "`hardware.threads` must be auto with KERAS_BACKEND=jax, which has no such "
            f"setting. Received: {hardware.threads}"
        )
    if backend == "torch":
        _check_torch(hardware.threads)


def may_have_bfloat16() -> bool:
    """Whether the processor computes in bfloat16, or there is an accelerator.

    No backend is imported: it would take an accelerator's memory for this process.
    """
    accelerators = (file for name in _ACCELERATORS for file in DEVICES.glob(name))
    return bool(_BFLOAT16 & onednn.cpu_flags()) or any(accelerators)


def _check_torch(wanted):
    """Refuses a number that PyTorch did not take: it was imported before.

    That Keras takes PyTorch is also known from its own file of settings, or too late.
    """
    import torch

    if torch.get_num_threads() != wanted:
        raise errors.ConfigError(
            f"`hardware.threads: {wanted}` needs KERAS_BACKEND=torch and "
            f"OMP_NUM_THREADS={wanted} in the environment. "
            f"Received: PyTorch with {torch.get_num_threads()} threads"
        )
