"""Whether a training step fits into memory."""

from distill.measure import cost
from distill.runtime.process import memory

FLOAT_BYTES = 4


def check(network, batch_size: int) -> None:
    """Refuses a batch that cannot fit.

    Counts what a backward pass must hold at the very least: what every kernel
    of the trained network puts out. A step needs a few times as much.

    Args:
        network: A built functional `keras.Model` that will be trained.
        batch_size: Images in a step.

    Raises:
        MemoryError: Says how much is needed, how much there is, and the largest
            batch for which there is hope.
    """
    if _is_accelerated():
        return  # That memory is not counted here, and its end is an error.
    image = FLOAT_BYTES * cost.count(network).activations
    there = memory.available()
    if image * batch_size > there:
        raise MemoryError(
            f"a step of {batch_size} images needs more than "
            f"{image * batch_size / 1e9:.1f} GB, there are {there / 1e9:.1f} GB; "
            f"{int(there // image)} images might just fit"
        )


def _is_accelerated():
    """Whether training may run elsewhere; on PyTorch, Keras cannot list devices."""
    import keras

    if keras.backend.backend() == "torch":
        return True
    return not keras.distribution.list_devices()[0].startswith("cpu")
