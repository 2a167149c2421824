"""Reads from environment variables whether this process is one of several."""

from collections.abc import Mapping

from distill.runtime.errors import ConfigError

NAMES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def launch(environment: Mapping[str, str]) -> dict | None:
    """Finds out whether this process is one of several, and which.

    Args:
        environment: The environment variables. Read are `JAX_COORDINATOR_ADDRESS`,
            `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`, or those of `srun` or Open MPI.

    Returns:
        Arguments of `jax.distributed.initialize`; an empty dict where JAX detects
        them itself. None if this is the only process.

    Raises:
        ConfigError: If the variables are incomplete or out of range.
    """
    values = {name: environment[name] for name in NAMES if environment.get(name)}
    if not values:
        # JAX reads the other variables of Slurm and Open MPI itself.
        sizes = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
        return {} if any(int(environment.get(n, 1)) > 1 for n in sizes) else None
    if len(values) < len(NAMES):
        missing = ", ".join(name for name in NAMES if name not in values)
        raise ConfigError(
            f"{', '.join(values)} without {missing}: give all three, or none"
        )
    address, *numbers = (values[name] for name in NAMES)
    if not address.rpartition(":")[2].isdigit():
        raise ConfigError(f"{NAMES[0]} must be HOST:PORT. Received: {address!r}")
    if not all(text.isdigit() for text in numbers):
        raise ConfigError(
            f"{NAMES[1]} and {NAMES[2]} must be whole numbers. Received: {numbers}"
        )
    processes, process = map(int, numbers)
    if process >= processes:
        raise ConfigError(
            f"{NAMES[2]} must be from 0 to {processes - 1}, of {processes} processes. "
            f"Received: {process}"
        )
    names = "coordinator_address", "num_processes", "process_id"
    arguments = dict(zip(names, (address, processes, process), strict=True))
    return arguments if processes > 1 else None
