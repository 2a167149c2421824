"""Checks on real examples that networks return logits and teachers know the classes."""

import keras
import numpy as np

from distill import data
from distill.measure import accuracy
from distill.runtime import errors
from distill.teach.networks import last_layer

# Largest number of examples; enough to tell a trained teacher from guessing.
SAMPLE_SIZE = 512
# Scale and offset from images in [0, 1] to other ranges that networks are often
# trained on.
_RESCALINGS = {"Rescaling(255)": (255.0, 0.0), "Rescaling(2, -1)": (2.0, -1.0)}


def sample(split: data.Split) -> data.Split:
    """Draws at most `SAMPLE_SIZE` examples of a split, always the same."""
    return split.take(sample_indices(split))


def sample_indices(split: data.Split) -> np.ndarray:
    """The indices of these examples, `(n,)`."""
    count = len(split.labels)
    return np.sort(np.random.default_rng(0).permutation(count)[:SAMPLE_SIZE])


def check_logits(network: keras.Model, where: str, split: data.Split) -> np.ndarray:
    """Checks that a network returns logits.

    Args:
        network: A network under the contract of `students`.
        where: Its key or file, for messages.
        split: Real examples.

    Returns:
        Its logits, float32, `(n, classes)`.

    Raises:
        ConfigError: If outputs are NaN; or if no output is negative and all rows sum to
            1 or 100; or if all are in [0, 1] and either come from a sigmoid, or reach
            both ends of the range.
    """
    return _check_outputs(
        accuracy.logits(network, split),
        where,
        lambda: last_layer.is_squashed(network),
        lambda total: last_layer.describe_fix(network, total),
    )


def check_answers(outputs: np.ndarray, where: str, split: data.Split) -> None:
    """As `check_teacher`, for a teacher that only answers.

    Args:
        outputs: Its logits, float32, `(n, classes)`.
        where: As in `check_logits`.
        split: The examples.

    Raises:
        ConfigError: As `check_teacher`.
    """
    fix = "Give their logarithm, or what comes before the last activation"
    _check_outputs(outputs, where, lambda: False, lambda total: fix)
    if ignorance := find_ignorance(None, outputs, split):
        raise errors.ConfigError(
            f"{where} must know the classes that it teaches. Received: {ignorance}. "
            "`teacher.input` and `teacher.class_names` say what it takes and gives"
        )


def _check_outputs(outputs, where, is_squashed, describe_fix):
    """The outputs, if they are logits; two functions say more of the network."""
    missing = int(np.isnan(outputs).any(-1).sum())
    if missing:
        raise errors.ConfigError(
            f"{where} must answer with numbers. Received: NaN for {missing} of "
            f"{len(outputs)} examples"
        )
    total = _find_total(outputs)
    unit = outputs.min() >= 0 and outputs.max() <= 1 + 1e-6
    if not total and not (unit and (_reaches_ends(outputs) or is_squashed())):
        return outputs
    kind = f"that sum to {total}, as from a softmax" if total else "as from sigmoids"
    raise errors.ConfigError(
        f"{where} must answer with logits. Received: probabilities, all answers to "
        f"{len(outputs)} examples in [0, {total or 1}], {kind}. {describe_fix(total)}"
    )


def check_teacher(network: keras.Model, where: str, split: data.Split) -> None:
    """Checks that a teacher's predictions are better than chance.

    Args:
        network: As in `check_logits`.
        where: As in `check_logits`.
        split: Real examples, which it need not have been trained on.

    Raises:
        ConfigError: As `check_logits`; or if its accuracy is within two standard
            deviations of the chance agreement of its predictions with the labels,
            and Cohen's kappa is slight.
    """
    if ignorance := find_ignorance(network, check_logits(network, where, split), split):
        raise errors.ConfigError(
            f"{where} must know the classes that it teaches. Received: {ignorance}"
        )


def find_ignorance(
    network: keras.Model | None, logits: np.ndarray, split: data.Split
) -> str:
    """Says that predictions are no better than chance, and why that may be.

    Args:
        network: As in `check_logits`; None if there is none to try other inputs with.
        logits: Its logits.
        split: The examples.

    Returns:
        Part of a message; empty if the network knows something. See `check_teacher`.
    """
    if not split.has_labels:
        return ""
    found = accuracy.find_chance(logits, split.labels)
    if found is None:
        return ""
    right, chance = found
    least = chance + 2 * accuracy.SLIGHT * (1 - chance)
    fix = _suggest_fix(network, logits, split, least)
    takes = "inputs in another range than [0, 1]"
    if split.inputs.dtype == np.int32:
        takes = "the ids of another tokenizer"
    return (
        f"{100 * right:.1f} % of {len(split.labels)} validation examples right, where "
        f"guessing gives {100 * chance:.1f} %. The usual causes: it takes {takes}, has "
        f"its classes in another order, or was trained on other data{fix}"
    )


def _find_total(outputs):
    """What all rows sum to, if they are probabilities or per cents; 0 for logits."""
    if outputs.min() < 0:
        return 0
    # The sum of a softmax is 1 only up to rounding, which is coarse in half precision.
    return next(
        (n for n in (1, 100) if np.allclose(outputs.sum(-1) / n, 1, atol=1e-3)), 0
    )


def _reaches_ends(outputs):
    """Whether outputs are near 0 and near 1, as those of trained sigmoids are.

    Logits that all happen to be in [0, 1] are unlikely to be near both.
    """
    return outputs.min() < 0.05 and outputs.max() > 0.95


def _accuracy(logits, labels):
    return float(np.mean(logits.argmax(-1) == labels))


def _suggest_fix(network, logits, split, least):
    """The change that brings the best accuracy, in words, if it reaches `least`."""
    reached = {
        "with its classes in another order": _accuracy_reordered(logits, split.labels)
    }
    if network is not None:
        reached |= _accuracies_rescaled(network, split)
    change, best = max(reached.items(), key=lambda item: item[1])
    if best < least:
        return ""
    return f". Here: {change} it is right in {100 * best:.1f} %"


def _accuracy_reordered(logits, labels):
    """The accuracy with the best permutation of the classes."""
    from scipy import optimize

    counts = np.zeros((logits.shape[-1],) * 2, int)
    np.add.at(counts, (logits.argmax(-1), labels), 1)
    order = optimize.linear_sum_assignment(counts, maximize=True)
    return float(counts[order].sum() / len(labels))


def _accuracies_rescaled(network, split):
    """The accuracy with each of `_RESCALINGS` in front of the network."""
    images = split.floats()
    if images.dtype == np.int32:
        return {}  # Texts.
    reached = {}
    for layer, (scale, offset) in _RESCALINGS.items():
        scaled = data.Split(scale * images + offset, split.labels)
        logits = accuracy.logits(network, scaled)
        reached[f"behind `keras.layers.{layer}`"] = _accuracy(logits, split.labels)
    return reached
