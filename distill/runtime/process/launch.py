"""How this process was launched: alone, or as one of several."""

from collections.abc import Mapping

from distill.runtime.errors import ConfigError

NAMES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def launch(environment: Mapping[str, str]) -> dict | None:
    """How this process was launched.

    Args:
        environment: Its variables: `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES`
            and `JAX_PROCESS_ID`, or those of Slurm's `srun` or of Open MPI.

    Returns:
        Arguments of `jax.distributed.initialize`; none of them where it finds them
        out by itself. None if this is the only process.

    Raises:
        ConfigError: If the variables make no sense.
    """
    given = {name: environment[name] for name in NAMES if environment.get(name)}
    if not given:
        sizes = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
        return {} if any(int(environment.get(n, 1)) > 1 for n in sizes) else None
    if len(given) < len(NAMES):
        lacking = ", ".join(name for name in NAMES if name not in given)
        raise ConfigError(
            f"{', '.join(given)} without {lacking}: give all three, or none"
        )
    address, *numbers = (given[name] for name in NAMES)
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
    found = dict(zip(names, (address, processes, process), strict=True))
    return found if processes > 1 else None
