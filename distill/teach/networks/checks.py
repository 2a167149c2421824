"""What refuses a run's networks before anything trains."""

import itertools

import keras

from distill import config
from distill.config import lessons
from distill.measure import cost
from distill.runtime import errors, onednn
from distill.teach.networks import build, files
from distill.teach.networks.cuts import places, shapes


def check_pairs(run: config.Run) -> list[tuple] | None:
    """Makes sure that networks whose shapes no config tells fit each other.

    Returns:
        The pairs: each representation's name, then layer and shape in the teacher, and
        layer and shape in the student; a layer is None where the name is all there is.
        None if the config has told all of this before.

    Raises:
        ConfigError: Says what does not fit.
        Untrusted: If something speaks against opening a file.
    """
    cuts = places(run)
    if not cuts:
        return None
    pair = shapes(run)
    try:
        lessons.check_pupil(run, *pair)
    except ValueError as mistake:
        raise errors.ConfigError(f"{mistake}. Pairs: {_format_pairs(pair)}") from None
    rows = []
    for name in dict.fromkeys(itertools.chain(*pair)):
        row = [name]
        for role, kind in zip(files.ROLES, pair, strict=True):
            place = cuts.get(role, {}).get(name)
            row += [None if place is None else place.layer, kind.get(name)]
        rows.append(tuple(row))
    return rows


def pairs_table(rows: list[tuple]) -> str:
    """The pairs that `check` returns, for people."""
    import tabulate

    headers = [
        "representation",
        *(f"{role}{more}" for role in files.ROLES for more in ("", " shape")),
    ]
    return tabulate.tabulate(rows, headers) + "\n"


def _format_pairs(shapes):
    both = [name for name in shapes[0] if name in shapes[1]]
    listed = (f"{name} {shapes[0][name]} {shapes[1][name]}" for name in both)
    return "; ".join(listed) or "none"


def check_finish(run: config.Run) -> None:
    """Refuses options of finishers that do not fit the student's layers.

    Raises:
        ConfigError: In one line.
    """
    # Building moves Keras' counters of names: only where layers are asked for.
    if not any(getattr(part, "rules", ()) for part in run.finish):
        return
    layers = cost.kernel_layers(build.build("student", run))
    for part in run.finish:
        try:
            part.check_layers(layers)
        except ValueError as mistake:
            raise errors.ConfigError(
                f"finish.{config.name_of(part)}: {mistake}"
            ) from None


# Of fewer input channels than this, the gradient of a strided 1x1 convolution is spoilt
# where there is no AVX-512: uxlfoundation/oneDNN, issue 6035.
_CHANNELS = 8


def check_kernels(run: config.Run) -> None:
    """Refuses a run whose networks oneDNN's kernels would spoil, or that have none.

    Raises:
        ConfigError: Names the layers; or the device, where `onednn` is given.
    """
    wanted = run.hardware.onednn
    safe = "avx512bw" in onednn.cpu_flags() and not onednn.is_limited()
    if wanted == "auto" and (safe or not onednn.takes_onednn()):
        return
    device = onednn.device()
    if not device.startswith("tensorflow, cpu"):
        if wanted == "auto":
            return
        raise errors.ConfigError(
            "oneDNN's kernels are for KERAS_BACKEND=tensorflow on a processor: "
            "elsewhere `hardware.onednn` must be auto, and --kernels absent. "
            f"Received: {device}"
        )
    # Building moves Keras' counters of names: only where layers are asked for.
    if wanted == "false" or safe:
        return
    parts = {"teacher": run, **lessons.co_teachers(run)}
    parts = {name: part for name, part in parts.items() if part.teacher.file is None}
    parts |= {**lessons.assistants(run), "student": run}
    for name, part in parts.items():
        spoilt = _spoilt(build.build(name, part))
        if spoilt:
            raise errors.ConfigError(
                f"without AVX-512, or under {onednn.LIMITS[0]}, oneDNN's kernels spoil "
                "the gradient of a strided 1x1 convolution of fewer than "
                f"{_CHANNELS} channels: widen `{name}`, or set `hardware.onednn: "
                f"false`. Received: {', '.join(spoilt)}"
            )


def _spoilt(network):
    """Names of the layers whose gradients would be."""
    return [
        layer.name
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D)
        and tuple(layer.kernel_size) == (1, 1)
        and max(layer.strides) > 1
        and layer.kernel.shape[2] < _CHANNELS
    ]
