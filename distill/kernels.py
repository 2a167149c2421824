"""Whose kernels TensorFlow multiplies with on a processor: its own, or oneDNN's.

Chosen by `hardware.onednn` before TensorFlow is imported, since it asks but then;
measured by `distill.benchmark --kernels`.
"""

import dataclasses
import os
import pathlib
import statistics
import sys

from distill import chain, config, progress, run_folder, trial

FACTS = pathlib.Path("/proc/cpuinfo")
OWN, ONEDNN = "0", "1"
_NAMES = {OWN: "TensorFlow's", ONEDNN: "oneDNN's"}
_WANTED = {"false": OWN, "true": ONEDNN}
# Of fewer input channels than this, a strided 1x1 convolution's gradient is spoilt
# where there is no AVX-512: uxlfoundation/oneDNN, issue 6035.
_CHANNELS = 8


def choose(run: config.Run) -> None:
    """Tells TensorFlow what a run asks for; `auto` leaves it what it does by itself.

    Raises:
        ConfigError: If it was told otherwise, or not told in time.
    """
    wanted, name = _WANTED.get(run.hardware.onednn), run_folder.KERNELS
    told = os.environ.get(name)
    if wanted in (None, told):
        return
    if told is not None or "tensorflow" in sys.modules:
        state = f"{name}={told}" if told else "TensorFlow imported without it"
        raise config.ConfigError(
            f"`hardware.onednn: {run.hardware.onednn}` needs {name}={wanted} from the "
            f"start. Received: {state}"
        )
    os.environ[name] = wanted


def check(run: config.Run) -> None:
    """Refuses what `hardware.onednn: true` would train wrongly, or not at all.

    Raises:
        ConfigError: Names the layers, or the backend.
    """
    # Building moves Keras' counters of names: only where layers are asked for.
    if run.hardware.onednn != "true":
        return
    import keras

    from distill import networks

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise config.ConfigError(
            f"`hardware.onednn` needs KERAS_BACKEND=tensorflow. Received: {backend}"
        )
    parts = {"teacher": run, **chain.co_teachers(run)}
    parts = {name: part for name, part in parts.items() if part.teacher.file is None}
    parts |= {**chain.assistants(run), "student": run}
    for name, part in parts.items():
        spoilt = [
            layer.name
            for layer in networks.build(name, part)._flatten_layers()
            if isinstance(layer, keras.layers.Conv2D)
            and tuple(layer.kernel_size) == (1, 1)
            and max(layer.strides) > 1
            and layer.kernel.shape[2] < _CHANNELS
        ]
        if spoilt:
            raise config.ConfigError(
                "`hardware.onednn` must be auto or false: oneDNN spoils gradients of "
                f"strided 1x1 convolutions of fewer than {_CHANNELS} channels. "
                f"Received: true, and in `{name}` {', '.join(spoilt)}"
            )


def hint(run: config.Run) -> None:
    """Says that nobody has chosen, where what TensorFlow takes may be the slow one."""
    chosen = run.hardware.onednn != "auto" or run_folder.KERNELS in os.environ
    if chosen or _by_themselves():
        return
    progress.say(
        "    without AVX-512 TensorFlow takes its own kernels; whether oneDNN's are "
        "faster: python -m distill.benchmark --kernels"
    )


def _by_themselves():
    """Whether TensorFlow takes oneDNN's kernels untold; True where nobody can tell."""
    try:
        facts = FACTS.read_text()
    except OSError:
        return True
    return "avx512f" in facts or "avx2" not in facts


def side_by_side(run: config.Run, *, rounds: int, steps: int) -> dict:
    """Trains a few steps of all stages with either, in turn, each time in a process.

    Args:
        run: What is trained; its own `hardware.onednn` does not count.
        rounds: How often both are gone through.
        steps: Timed of each stage, after those that warm up.

    Returns:
        `kernels`, `0` and `1`, as TensorFlow is told, to what `trial.tried` returns,
        one a round; `ratio`, of oneDNN's images per second to TensorFlow's own, the
        median over the rounds.

    Raises:
        ConfigError: If a process cannot train; says why.
    """
    found: dict[str, list[dict]] = {OWN: [], ONEDNN: []}
    check(_asking(run, "true"))
    for index in range(rounds):
        for told in found:
            progress.say(f"    {_NAMES[told]} kernels, {index + 1} of {rounds}")
            tried = trial.tried(
                _asking(run, "auto"), steps, environment={run_folder.KERNELS: told}
            )
            if "ended" in tried:
                raise config.ConfigError(f"cannot be trained: {tried['ended']}")
            found[told].append(tried)
    ratios = [
        other["images_per_second"] / own["images_per_second"]
        for own, other in zip(found[OWN], found[ONEDNN], strict=True)
    ]
    return {"kernels": found, "ratio": statistics.median(ratios)}


def table(result: dict) -> str:
    """What `side_by_side` found, for people."""
    import tabulate

    rows = []
    for told, rounds in result["kernels"].items():
        ordered = sorted(rounds, key=lambda found: found["images_per_second"])
        middle = ordered[len(ordered) // 2]
        rate = f"{middle['images_per_second']:.0f}"
        rows.append([_NAMES[told], rate, *trial.stage_rates(middle)])
    headers = ["kernels", "images/s", *trial.stage_names(middle)]
    ratio = result["ratio"]
    advice = "true" if ratio > 1 else "false"
    return "\n".join(
        [
            tabulate.tabulate(rows, headers, stralign="right", disable_numparse=True),
            f"oneDNN's / TensorFlow's: {ratio:.2f}; faster here: "
            f"`hardware.onednn: {advice}`",
        ]
    )


def _asking(run, onednn):
    part = dataclasses.replace(run.hardware, onednn=onednn)
    return dataclasses.replace(run, hardware=part)
