"""Trains a few steps of every stage of a run in a separate process, `pace`."""

import json
import math
import pathlib
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence

from distill import config
from distill.runtime import errors, progress
from distill.runtime.process import death, memory, python

SECONDS = 0.1  # Interval between two checks of a process's memory.


def run(
    run: config.Run,
    steps: int,
    *,
    limit: float = math.inf,
    environment: Mapping[str, str] | None = None,
) -> dict:
    """Measures a run's stages in a new process.

    Args:
        run: The run; see `pace.trained_stages`.
        steps: Number of timed steps of each stage, after the warm-up.
        limit: Bytes of memory; a process that uses more is stopped.
        environment: Environment variables for the process, beside this one's.

    Returns:
        `images_per_second` of the whole training, where stages are weighted by their
        epochs; `peak_memory_bytes` of the process; `examples`, the number of training
        examples; and `stages`, for each its `network`, `name` and `images_per_second`.
        If the process measured nothing, only `ended`, the reason, and its exit `code`,
        if it has one.

    Raises:
        Killed: If the process died by a signal, except because of `limit`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run.yaml"
        path.write_text(config.dump(run))
        messages = path.with_suffix(".log")
        with (
            messages.open("w") as log,
            subprocess.Popen(
                python.command("distill.studies.speed.pace", path, steps),
                stdout=subprocess.PIPE,
                # A file and not a pipe: a full pipe would block the process.
                stderr=log,
                env=python.environment(**(environment or {})),
                text=True,
            ) as process,
        ):
            try:
                answer = _watched(process, limit)
            finally:
                process.kill()
        if answer is None:
            return {"ended": f"took more than {limit / 1e9:.1f} GB"}
        death.check(process.returncode, f"training in batches of {run.batch_size}")
        if process.returncode:
            lines = messages.read_text().strip().splitlines()[-1:]
            why = " ".join(lines).removeprefix("error: ")
            code = process.returncode
            return {"ended": why or f"ended by {code}", "code": code}
    # The last line: libraries print to standard output, too.
    return json.loads(answer.splitlines()[-1])


def in_turn(
    variants: Mapping[str, tuple[config.Run, Mapping[str, str]]],
    *,
    rounds: int,
    steps: int,
) -> Iterator[list[dict]]:
    """Measures variants of a run in turn, each time in a new process.

    In turn, because a machine that slows down meanwhile slows down all of a round.

    Args:
        variants: Name, as it is printed, to the run and the environment variables.
        rounds: Number of trials of each variant.
        steps: As for `run`.

    Yields:
        For each round, the results of `run` in the order of the variants.

    Raises:
        ConfigError, DataError, Untrusted, Diverged, ...: If a process cannot train, by
            its exit code; see `errors.by_code`.
    """
    for index in range(rounds):
        results = []
        for name, (variant, environment) in variants.items():
            progress.say(f"    {name}, {index + 1} of {rounds}")
            result = run(variant, steps, environment=environment)
            if "ended" in result:
                kind = errors.by_code(result["code"])
                raise kind(f"cannot be trained: {result['ended']}")
            results.append(result)
        yield results


def ratio(results: Sequence[dict]) -> float:
    """Images per second of the second variant of a round, relative to the first."""
    first, second = (result["images_per_second"] for result in results)
    return second / first


def table(title: str, results: Mapping[str, Sequence[dict]]) -> str:
    """Formats results of `run` for the console: medians over the rounds.

    Args:
        title: Header of the first column.
        results: Each row's name to one result for each round.
    """
    import tabulate

    rows = []
    for name, rounds in results.items():
        rates = [[each["images_per_second"], *stage_rates(each)] for each in rounds]
        medians = map(statistics.median, zip(*rates, strict=True))
        rows.append([name, *(f"{rate:.0f}" for rate in medians)])
    headers = [title, "images/s", *stage_names(rounds[0])]
    return tabulate.tabulate(rows, headers, stralign="right", disable_numparse=True)


def stage_names(result: dict) -> list[str]:
    """Headers of a table's columns for the stages of a result of `run`."""
    return [f"{stage['network']}: {stage['name']}" for stage in result["stages"]]


def stage_rates(result: dict) -> list[float]:
    """The values below `stage_names`: images per second."""
    return [stage["images_per_second"] for stage in result["stages"]]


def _watched(process, limit):
    """The output of a process; None if it was stopped because of its memory."""
    while True:
        try:
            return process.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            if memory.resident_bytes(process.pid) > limit:
                process.kill()
                process.communicate()
                return None
