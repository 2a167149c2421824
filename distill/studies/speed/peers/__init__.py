"""Times the same training steps in other libraries, for `distill.benchmark --peers`.

Each peer, and this project, runs in its own process, which waits while another is
timed: in one process, the threads of PyTorch and TensorFlow would compete. Before
anything is timed, all must compute the same losses.
"""

import contextlib
import importlib.util
import os
import pathlib
import shutil
import statistics
import tempfile
from collections.abc import Sequence

from distill import config
from distill.runtime import errors, versions
from distill.studies.speed.peers import child, roofline, worker
from students.resnet import ResNet

_CURE = "not installed: pip install -e '.[bench]'"
_NO_COMPILER = "no C++ compiler, which torch.compile needs: install g++, or set CXX"

# The methods that peers implement, and the options that they support.
_OPTIONS = {
    "kd": ("kd_weight", "temperature"),
    "lit": ("kd_weight", "temperature", "section_weight"),
}


def check(run: config.Run) -> None:
    """Refuses a run with networks or methods that the peers do not implement.

    Raises:
        ConfigError: If an option must have another value; the message names it.
    """
    networks = {"teacher.network": run.teacher.network, "student": run.student}
    for name, network in networks.items():
        known = isinstance(network, ResNet) and (
            network.shortcut == "projection" and network.activation_order == "post"
        )
        if not known:
            raise errors.ConfigError(
                f"`{name}` must be a resnet with `shortcut: projection` and "
                f"`activation_order: post` for --peers. Received: {network}"
            )
    cache = run.teacher.cache
    if cache and (cache.precision, cache.top_k) != ("float32", None):
        raise errors.ConfigError(
            "`teacher.cache` must be true for --peers, or absent: answers that lose "
            f"digits or classes are others. Received: {cache}"
        )
    for index, stage in enumerate(run.stages):
        names = _OPTIONS.get(stage.name, ())
        same = {name: getattr(stage.trainer, name) for name in names}
        if not names or stage.trainer != type(stage.trainer)(**same):
            raise errors.ConfigError(
                f"`stages[{index}].trainer` must be one of {', '.join(_OPTIONS)}, its "
                "weights and temperature its only options, for --peers. Received: "
                f"{stage.trainer}"
            )


def threads_of(run: config.Run, given: int | None) -> int:
    """The threads of each process: as given, else of the config, else all cores.

    Args:
        run: The run.
        given: `--threads`, or None.

    Raises:
        ConfigError: If the config has another number.
    """
    own = run.hardware.threads
    if own == "auto":
        return given or versions.cores()
    if given not in (None, own):
        raise errors.ConfigError(
            f"--threads must be left out with `hardware.threads: {own}`, or be the "
            f"same. Received: {given}"
        )
    return own


def in_precisions(run: config.Run, precisions: Sequence[str], **how: int) -> dict:
    """Times all peers in each of several precisions; see `side_by_side`.

    Args:
        run: The run; see `check`. Its precision is replaced.
        precisions: Values of `hardware.precision`.
        **how: `rounds`, `steps` and `threads`.

    Returns:
        As `side_by_side`, with the `precision` of each entry of `methods`; `peak` maps
        each precision to operations per second.
    """
    together: dict = {}
    for precision in precisions:
        tolerance = (
            worker.TOLERANCE if precision == "float32" else worker.HALF_TOLERANCE
        )
        timed = side_by_side(
            run.with_hardware(precision=precision),
            terms=worker.PLAIN._replace(tolerance=tolerance),
            **how,
        )
        methods = [{"precision": precision, **entry} for entry in timed["methods"]]
        peaks = together.get("peak", {}) | {precision: timed["peak"]}
        methods = together.get("methods", []) + methods
        together |= timed | {"methods": methods, "peak": peaks}
    return together


def side_by_side(
    run: config.Run,
    *,
    rounds: int,
    steps: int,
    threads: int,
    terms: worker.Terms = worker.PLAIN,
) -> dict:
    """Times a step of each stage's method in this project and in its peers.

    Args:
        run: The run; see `check`. Batches are random, and training stops after the
            timed steps. With a `teacher.cache` this project trains on cached answers,
            which no peer supports.
        rounds: Number of rounds; each round times all.
        steps: Number of steps of a method and a peer in a round.
        threads: Number of threads of each.
        terms: Further conditions; see `worker.Terms`.

    Returns:
        `threads`; `costs`, for each network its `parameters` and `macs`, the same for
        all; `peak`, the operations per second of the fastest product of matrices, in
        the run's precision; `packages`, each peer's name to its package and version;
        `missing`, the name of each absent peer to the reason; and `methods`, for each
        stage a mapping:
        `name`; by peer the `losses` of the first steps, and the `seconds` and
        `cpu_seconds` of a step, one number for each round; `ratio` and `cpu_ratio`, of
        this project's examples per second to each peer's, medians over the rounds; and
        `ratio_range` and `cpu_ratio_range`, the smallest and the largest of a round.

    Raises:
        RuntimeError: If networks or losses differ, or a process ends.
    """
    missing = {name: why for name in terms.peers if (why := _reason(name))}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "run.yaml").write_text(config.dump(run))
        # This project is the first: it writes the initial weights that all load.
        workers = {
            name: stack.enter_context(worker.Worker(name, folder, threads, terms))
            for name in (worker.OWN, *terms.peers)
            if name not in missing
        }
        costs = require_equal({name: worker.costs for name, worker in workers.items()})
        losses = []
        for index, stage in enumerate(run.stages):
            agreed, failed = worker.compare_losses(index, stage.name, workers, terms)
            losses.append(agreed)
            missing |= failed
        able = {who: workers[who] for who in workers if who not in missing}
        with terms.turn():
            methods = [
                {
                    "name": stage.name,
                    **worker.time_rounds(index, losses[index], able, rounds, steps),
                }
                for index, stage in enumerate(run.stages)
            ]
            peak = worker.time_products(able, rounds)
        packages = {name: worker.package for name, worker in workers.items()}
    return {
        "threads": threads,
        "costs": costs,
        "peak": peak,
        "packages": packages,
        "missing": missing,
        "methods": methods,
    }


def _reason(name):
    """Why a peer cannot run here; None if it can."""
    if importlib.util.find_spec(worker.PEERS[name]) is None:
        return _CURE
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    if name.endswith(child.COMPILED) and compiler is None:
        return _NO_COMPILER
    return None


def table(result: dict, batch_size: int) -> str:
    """Formats the result of `in_precisions` for the console."""
    import tabulate

    rows = []
    for method in result["methods"]:
        for peer, seconds in method["seconds"].items():
            wall = statistics.median(seconds)
            speed = roofline.flops(method["name"], result["costs"], batch_size) / wall
            peak = result["peak"][method["precision"]]
            row = [
                method["name"],
                method["precision"],
                peer,
                f"{1000 * wall:.1f}",
                f"{batch_size / wall:.0f}",
                f"{100 * speed / peak:.0f} %",
            ]
            row += [
                worker.format_ratio(method, name, peer)
                for name in ("ratio", "cpu_ratio")
            ]
            rows.append(row)
    headers = ["method", "precision", "by", "ms", "images/s", "of the peak"]
    headers += ["ours / theirs", "by CPU time"]
    align = ["left", "left", "left", *["right"] * 5]
    lines = [tabulate.tabulate(rows, headers, colalign=align, disable_numparse=True)]
    lines += [f"{name}: {package}" for name, package in result["packages"].items()]
    lines += [f"{name}: {why}" for name, why in result["missing"].items()]
    lines += [
        f"peak: {speed / 1e9:.0f} GFLOP/s in {precision}, the fastest product of two "
        f"matrices of {worker.PRODUCT} rows and columns"
        for precision, speed in result["peak"].items()
    ]
    return "\n".join([*lines, f"threads: {result['threads']}"])


def require_equal(costs: dict[str, dict]) -> dict:
    """The costs of the networks, the same for all peers.

    Raises:
        RuntimeError: If a peer's networks differ from this project's.
    """
    for who, own in costs.items():
        if own != costs[worker.OWN]:
            raise RuntimeError(
                f"{who} has other networks: {own}, not {costs[worker.OWN]}"
            )
    return costs[worker.OWN]
