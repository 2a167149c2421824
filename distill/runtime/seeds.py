"""One seed for a run -> one for each thing in it that draws."""

import zlib


def seed_of(seed: int, *purpose: str | int) -> int:
    """A seed that depends on the run's and on what it is for, and nothing else.

    Args:
        seed: The run's.
        purpose: For example `"student", "order", 2`.

    Returns:
        A number in [0, 2 ** 32).
    """
    return zlib.crc32("/".join(map(str, (seed, *purpose))).encode())
