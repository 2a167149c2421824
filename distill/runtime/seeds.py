"""Seeds for every random part of a run, derived from the run's one seed."""

import zlib


def seed_of(seed: int, *purpose: str | int) -> int:
    """A seed that depends only on the run's seed and on its purpose.

    Args:
        seed: The run's seed.
        purpose: What the seed is for, for example `"student", "order", 2`.

    Returns:
        A number in [0, 2 ** 32).
    """
    # Not `hash`, which differs from process to process for texts.
    return zlib.crc32("/".join(map(str, (seed, *purpose))).encode())
