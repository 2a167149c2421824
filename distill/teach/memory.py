"""Checks whether a training step fits into memory."""

from distill.measure import cost
from distill.runtime.process import memory

FLOAT_BYTES = 4
ROOM = 2  # Times what this process holds, for another one as large, and to spare.


def check(network, batch_size: int) -> None:
    """Refuses a batch that cannot fit into memory.

    Counts the outputs of all layers with kernels, the least that a backward pass must
    hold. A step needs a few times as much.

    Args:
        network: A built functional `keras.Model` that will be trained.
        batch_size: Number of images in a step.

    Raises:
        MemoryError: States the memory that is needed and available, and the largest
            batch that might fit.
    """
    if _is_accelerated():
        # Its memory is not measured here. Unlike a system that runs out of memory
        # and kills the process, an accelerator reports an error.
        return
    image = FLOAT_BYTES * cost.count(network).activations
    available = memory.available()
    if image * batch_size > available:
        raise MemoryError(
            f"a step of {batch_size} images needs more than "
            f"{image * batch_size / 1e9:.1f} GB, there are {available / 1e9:.1f} GB; "
            f"{int(available // image)} images might just fit"
        )


def has_room_for_another() -> bool:
    """Whether another process may work beside this one, which still trains.

    Not on an accelerator, of which TensorFlow would take all that is free.
    """
    held = memory.peaks()["training"]
    return not _is_accelerated() and memory.available() > ROOM * held


def _is_accelerated():
    """Whether training may run on an accelerator."""
    import keras

    if keras.backend.backend() == "torch":
        return True  # On PyTorch, Keras cannot list devices.
    return not keras.distribution.list_devices()[0].startswith("cpu")
