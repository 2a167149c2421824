"""Measures the kernels of a trained network of which few weights stay, untrained."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from scipy import stats

from distill import data
from distill.compress.base import scored
from distill.compress.finishers import pruned
from distill.compress.prune import own, responses, scores
from distill.compress.twin import calls, twin
from distill.measure import accuracy
from distill.runtime import errors, progress, seeds
from distill.studies.coresets import sampling

_BATCH = 256
_SLACK = 1e-4  # Of float32, relative to a sum; no error below it breaks a promise.


class _Kernel(NamedTuple):
    """A kernel `(in, out)`, its sensitivities, and inputs of other examples."""

    layer: Any
    values: np.ndarray
    shares: np.ndarray
    patches: np.ndarray


def measure(
    network: keras.Model, splits: data.Splits, keeps: Sequence[float], repeats: int
) -> dict[str, Any]:
    """Keeps weights in each way of `sampling`, and measures what it changes.

    Sensitivities are from `responses.EXAMPLES` training examples, relative errors from
    as many validation examples, each kernel for the inputs of the whole network.

    Args:
        network: A trained network under the contract of `students`.
        splits: Its data.
        keeps: Shares of the weights of each neuron that stay.
        repeats: Number of drawings, with the seeds from 0.

    Returns:
        `student`, the accuracies of the whole network; `rows`, a dict for each way and
        share; `layers`, a dict for each kernel.

    Raises:
        ConfigError: If the network has no twin, or a kernel no sensitivities.
    """
    sample = splits.train.sample(responses.EXAMPLES, seeds.seed_of(0, "responses"))
    model = _copy(network, sample.floats()[:_BATCH])
    images = responses.Images(sample.floats(), None, 0)
    with progress.step("sensitivities", f"{len(sample.labels)} training examples"):
        kernels = _read_kernels(model, images, splits.validation)
    rows = [
        _measure_way(model, kernels, splits, (name, keep), repeats)
        for keep in keeps
        for name in (*sampling.DRAWN, *sampling.FIXED)
    ]
    cut = {keep: _shares_by_kfac(model, keep, images) for keep in keeps}
    layers = [
        {
            "layer": kernel.layer.name,
            "inputs": len(kernel.values),
            "listens_to": float(kernel.shares.sum(0).mean()),
            "kfac_keeps": {str(keep): shares[index] for keep, shares in cut.items()},
        }
        for index, kernel in enumerate(kernels)
    ]
    return {"student": _accuracies(model, splits), "rows": rows, "layers": layers}


def rank_correlations(layers: Sequence[dict], keep: float) -> dict[str, float]:
    """Spearman's correlation over layers with the share that K-FAC keeps of each.

    Args:
        layers: Those of the result of `measure`.
        keep: One of its shares.

    Returns:
        That of the number of inputs that a neuron listens to, and that of its share;
        empty if K-FAC keeps the same share of all, as of one layer alone.
    """
    kept = [layer["kfac_keeps"][str(keep)] for layer in layers]
    if len(set(kept)) == 1:
        return {}
    number = [layer["listens_to"] for layer in layers]
    share = [layer["listens_to"] / layer["inputs"] for layer in layers]
    return {
        name: float(stats.spearmanr(values, kept).statistic)
        for name, values in (("number", number), ("share", share))
    }


def _copy(network, inputs):
    """The network in tf_keras."""
    try:
        model = twin.to_tf_keras(network)
        twin.check_equal(network, model, inputs)
    except twin.NoTwin as error:
        raise errors.ConfigError(f"--model: {error}") from None
    return model


def _read_kernels(model, images, others):
    found = own.prunable(model, pruned.Pruned(score="sensitivity"))
    layers = [kernel.layer for kernel in found]
    if not layers:
        raise errors.ConfigError("--model must have a kernel. Received: none")
    for layer in layers:
        why = scored.explain_unsupported(layer, type(layer).__name__, "sensitivity")
        if why:
            raise errors.ConfigError(f"--model: `{layer.name}`: {why}")
    seen = _gather(model, layers, images.inputs)
    sample = others.sample(responses.EXAMPLES, seeds.seed_of(0, "held out"))
    unseen = _gather(model, layers, sample.floats())
    kernels = []
    for kernel, patches, other in zip(found, seen, unseen, strict=True):
        values = kernel.variable.numpy().reshape(-1, kernel.variable.shape[-1])
        shares = scores.sensitivities(values, patches)
        kernels.append(_Kernel(kernel.layer, values, shares, other))
    return kernels


def _gather(model, layers, inputs):
    """The inputs of the neurons of each layer, `(n, weights)`, norms as in use."""
    found: dict[str, list[np.ndarray]] = {layer.name: [] for layer in layers}

    def call(layer, *args, **options):
        if layer.name in found:
            patches = responses.extract_patches(layer, args[0])
            found[layer.name].append(patches.numpy())
        return layer(*args, **options)

    for start in range(0, len(inputs), _BATCH):
        calls.run(model, inputs[start : start + _BATCH], call)
    return [np.concatenate(found[layer.name]) for layer in layers]


def _measure_way(model, kernels, splits, way, repeats):
    """One row: a way and a share, over all seeds if weights are drawn."""
    name, keep = way
    keeper = (sampling.DRAWN | sampling.FIXED)[name]
    measured, accuracies = [], []
    with progress.step(name, f"{keep:.0%} stay"):
        for seed in range(repeats if name in sampling.DRAWN else 1):
            rng = np.random.default_rng(seed)
            kept = [
                keeper(k.values, k.shares, max(1, round(keep * len(k.values))), rng)
                for k in kernels
            ]
            measured += map(_errors, kernels, kept)
            accuracies.append(_accuracies_with(model, kernels, kept, splits))
    error, output, promised, broken = map(np.concatenate, zip(*measured, strict=True))
    stay = sum(np.count_nonzero(one.kernel) for one in kept)
    row = {
        "way": name,
        "keep": keep,
        "kept": stay / sum(kernel.values.size for kernel in kernels),
        "error": float(np.median(error)),
        "error_95": float(np.quantile(error, 0.95)),
        "promised": float(np.median(promised)),
        "broken": float(broken.mean()),
        "output_error": float(np.median(output)),
        "accuracies": accuracies,
    }
    if name in sampling.DRAWN:
        row["draws"] = [float(one.draws.sum(0).mean()) for one in kept]
    if name == "drawn by sensitivity":
        row["paper"] = _promise_of_paper(kernels, kept)
    return row


def _errors(kernel, kept):
    """Errors of a kernel on the held-out examples, and what was promised.

    Returns:
        The mean relative error of each sum over weights of one sign; the root mean
        square error of each neuron, relative to its output; what is promised for
        each sum; for each sum and example, whether its error is larger.
    """
    left = kept.kernel.astype(np.float32)
    found = sampling.relative_errors(kernel.values, left, kernel.patches)
    whole = kernel.patches @ kernel.values
    change = kernel.patches @ left - whole
    squares = (change**2).sum(0) / np.ma.masked_equal((whole**2).sum(0), 0)
    return (
        found.mean(1).compressed(),
        np.sqrt(squares).compressed(),
        kept.promised[sampling.by_sign(kernel.values, 1).any(1)],
        (found > kept.promised[:, None] + _SLACK).compressed(),
    )


def _promise_of_paper(kernels, kept):
    """The median over all sums of `sampling.paper_error`."""
    sizes = [kernel.values.shape[-1] for kernel in kernels]
    found = [
        sampling.paper_error(
            sampling.by_sign(kernel.values, kernel.shares),
            one.draws,
            sum(sizes),
            max(sizes),
        )[one.draws > 0]
        for kernel, one in zip(kernels, kept, strict=True)
    ]
    return float(np.median(np.concatenate(found)))


def _accuracies_with(model, kernels, kept, splits):
    """The accuracies of the network with all kernels replaced; it is restored."""
    before = model.get_weights()
    for kernel, one in zip(kernels, kept, strict=True):
        variable = kernel.layer.kernel
        variable.assign(one.kernel.reshape(variable.shape))
    result = _accuracies(model, splits)
    model.set_weights(before)
    return result


def _accuracies(model, splits):
    return {
        name: accuracy.accuracy(
            model.predict(split.floats(), batch_size=_BATCH, verbose=0), split
        )
        for name, split in (("validation", splits.validation), ("test", splits.test))
    }


def _shares_by_kfac(model, keep, images):
    """The share of each kernel that K-FAC keeps, one threshold for the network."""
    before = model.get_weights()
    part = pruned.Pruned(score="kfac", scope="network", sparsity=1 - keep)
    own.cut(model, part, lambda: images)
    kernels = [kernel.variable.numpy() for kernel in own.prunable(model, part)]
    model.set_weights(before)
    return [np.count_nonzero(kernel) / kernel.size for kernel in kernels]
