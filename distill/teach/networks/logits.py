"""Networks asked on real examples: all answer with logits, teachers know classes."""

import keras
import numpy as np

from distill import data
from distill.measure import accuracy
from distill.runtime import errors

ASKED = 512  # Examples at most; so many tell a teacher from one that guesses.
# Cohen's kappa up to which Landis and Koch, "The Measurement of Observer Agreement for
# Categorical Data", 1977, call an agreement slight.
_SLIGHT = 0.2
# What makes probabilities: activations, layers and operations.
_ENDS = ("softmax", "sigmoid", "hard_sigmoid", "hardsigmoid")
# What makes of images in [0, 1] what networks are often trained on.
_RANGES = {"Rescaling(255)": (255.0, 0.0), "Rescaling(2, -1)": (2.0, -1.0)}


def sample(split: data.Split) -> data.Split:
    """At most `ASKED` examples, drawn from all."""
    count = len(split.labels)
    drawn = np.random.default_rng(0).permutation(count)[:ASKED]
    return split.take(np.sort(drawn))


def check_logits(network: keras.Model, where: str, split: data.Split) -> np.ndarray:
    """Makes sure that a network answers with logits.

    Args:
        network: Under the contract of `students`.
        where: What the line says of it: a key, or a file.
        split: Real examples.

    Returns:
        Its logits, float32, `(n, classes)`.

    Raises:
        ConfigError: If all answers are in [0, 1], and sum to 1, or come from a
            sigmoid or reach both ends; or if some are NaN.
    """
    answers = accuracy.logits(network, split)
    lost = int(np.isnan(answers).any(-1).sum())
    if lost:
        raise errors.ConfigError(
            f"{where} must answer with numbers. Received: NaN for {lost} of "
            f"{len(answers)} examples"
        )
    place, end = _last(network)
    sums = np.allclose(answers.sum(-1), 1, atol=1e-3)
    if not _probable(answers) or not (sums or end in _ENDS or _saturated(answers)):
        return answers
    kind = "that sum to 1, as a softmax makes them" if sums else "as sigmoids make them"
    raise errors.ConfigError(
        f"{where} must answer with logits. Received: probabilities, all answers to "
        f"{len(answers)} examples in [0, 1], {kind}. Open it as `model`, "
        f"{_cure(place, end, sums)}, and save it"
    )


def check_teacher(network: keras.Model, where: str, split: data.Split) -> None:
    """Makes sure that a network has something to teach.

    Args:
        network: As in `check_logits`.
        where: As in `check_logits`.
        split: Real examples, which it need not have seen.

    Raises:
        ConfigError: As `check_logits`; or if it is no better than guessing: its
            accuracy is within two standard deviations of what the same answers would
            reach in another order, and Cohen's kappa is slight.
    """
    answers, labels = check_logits(network, where, split), split.labels
    right, chance = _share(answers, labels), _chance(answers, labels)
    noise = 2 * np.sqrt(chance * (1 - chance) / len(labels))
    if right == 1 or right > chance + min(noise, _SLIGHT * (1 - chance)):
        return
    helps = _helping(network, answers, split, chance + 2 * _SLIGHT * (1 - chance))
    takes = "inputs in another range than [0, 1]"
    if split.inputs.dtype == np.int32:
        takes = "the ids of another tokenizer"
    raise errors.ConfigError(
        f"{where} must know the classes that it teaches. Received: {100 * right:.1f} % "
        f"of {len(labels)} validation examples right, where guessing gives "
        f"{100 * chance:.1f} %. The usual causes: it takes {takes}, has its classes in "
        f"another order, or has learned other data{helps}"
    )


def _probable(answers):
    return answers.min() >= 0 and answers.max() <= 1 + 1e-6


def _saturated(answers):
    """What has learned by sigmoids has; logits that all lie in [0, 1] hardly do."""
    return answers.min() < 0.05 and answers.max() > 0.95


def _last(network, place="model"):
    """How one gets at the layer that makes the logits, and what function ends it."""
    made = network.output
    made = made["logits"] if isinstance(made, dict) else keras.tree.flatten(made)[0]
    layer = made._keras_history.operation
    place = f"{place}.get_layer('{layer.name}')"
    if isinstance(layer, keras.Model):
        return _last(layer, place)
    if hasattr(layer, "activation"):
        return place, layer.activation.__name__
    return None, type(layer).__name__.lower()


def _cure(place, end, sums):
    """What makes logits of such answers, in Python."""
    if place is not None and end in _ENDS:
        return f"set `{place}.activation = keras.activations.linear`"
    answer = "p = keras.ops.clip(model.outputs[0], 1e-7, 1 - 1e-7)"
    logits = "keras.ops.log(p)" if sums else "keras.ops.log(p / (1 - p))"
    return f"write `{answer}; model = keras.Model(model.inputs, {logits})`"


def _chance(answers, labels):
    """The accuracy of the same answers in a random order: expected agreement."""
    classes = answers.shape[-1]
    said, true = (
        np.bincount(each, minlength=classes) / len(labels)
        for each in (answers.argmax(-1), labels)
    )
    return float(said @ true)


def _share(answers, labels):
    """Of the examples, how many are right, in [0, 1]."""
    return float(np.mean(answers.argmax(-1) == labels))


def _helping(network, answers, split, least):
    """What is tried and brings most, if that is no less than `least`."""
    tried = {"with its classes in another order": _in_order(answers, split.labels)}
    tried |= _in_ranges(network, split)
    best, reached = max(tried.items(), key=lambda found: found[1])
    return (
        ""
        if reached < least
        else f". Here: {best} it is right in {100 * reached:.1f} %"
    )


def _in_order(answers, labels):
    """The accuracy that the best order of the classes would reach."""
    from scipy import optimize

    counts = np.zeros((answers.shape[-1],) * 2, int)
    np.add.at(counts, (answers.argmax(-1), labels), 1)
    order = optimize.linear_sum_assignment(counts, maximize=True)
    return float(counts[order].sum() / len(labels))


def _in_ranges(network, split):
    """The accuracy behind each of some layers that scale images."""
    images = split.floats()
    if images.dtype == np.int32:
        return {}
    found = {}
    for layer, (scale, offset) in _RANGES.items():
        scaled = data.Split(scale * images + offset, split.labels)
        answers = accuracy.logits(network, scaled)
        found[f"behind `keras.layers.{layer}`"] = _share(answers, split.labels)
    return found
