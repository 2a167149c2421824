"""Adversarial losses of a discriminator and its opponent, one number per score.

A score is any real number, high where the discriminator believes an example to be
real.
"""

KINDS = ("non_saturating", "hinge", "least_squares", "wasserstein")
# Losses that compare a score with a target, which label smoothing lowers.
WITH_TARGETS = ("non_saturating", "least_squares")


def real_loss(scores, kind: str, label_smoothing: float = 0.0):
    """The discriminator's loss on real examples.

    Args:
        scores: Shape `(batch,)`.
        kind: One of `KINDS`.
        label_smoothing: Subtracted from the target 1 of the non-saturating and the
            least-squares loss; one-sided. In [0, 1).

    Returns:
        Shape `(batch,)`.

    Raises:
        ValueError: If there is no such kind.

    Source:
        Non-saturating: Goodfellow et al., "Generative Adversarial Nets", 2014,
        section 3; one-sided smoothing: Salimans et al., "Improved Techniques for
        Training GANs", 2016, section 3.4. Hinge: Lim and Ye, "Geometric GAN",
        2017. Least squares: Mao et al., 2017, targets 1 and 0. Wasserstein:
        Arjovsky et al., 2017.
    """
    from keras import ops

    _check(kind)
    if kind == "non_saturating":
        # Cross-entropy with target 1 - label_smoothing. It is computed from scores,
        # since the probability of a large score rounds to 1.
        return ops.softplus(-scores) + label_smoothing * scores
    if kind == "hinge":
        return ops.relu(1 - scores)
    if kind == "least_squares":
        return ops.square(scores - (1 - label_smoothing))
    return -scores


def fake_loss(scores, kind: str):
    """The discriminator's loss on fake examples.

    Args:
        scores: Shape `(batch,)`.
        kind: One of `KINDS`.

    Returns:
        Shape `(batch,)`.

    Raises:
        ValueError: If there is no such kind.

    Source:
        See `real_loss`.
    """
    from keras import ops

    _check(kind)
    if kind == "non_saturating":
        return ops.softplus(scores)
    if kind == "hinge":
        return ops.relu(1 + scores)
    if kind == "least_squares":
        return ops.square(scores)
    return scores


def fooling_loss(scores, kind: str):
    """The opponent's loss on its fake examples: low where their scores are high.

    Args:
        scores: Shape `(batch,)`.
        kind: One of `KINDS`.

    Returns:
        Shape `(batch,)`.

    Raises:
        ValueError: If there is no such kind.

    Source:
        See `real_loss`.
    """
    from keras import ops

    _check(kind)
    if kind == "non_saturating":
        return ops.softplus(-scores)
    if kind == "least_squares":
        return ops.square(scores - 1)
    # The hinge is the discriminator's alone: its opponent has the loss of Wasserstein.
    return -scores


def middle(real_scores, fake_scores, kind: str):
    """The score above which an example counts as real.

    Args:
        real_scores: Shape `(batch,)`.
        fake_scores: Shape `(batch,)`.
        kind: One of `KINDS`.

    Returns:
        A number. Wasserstein's scores are defined only up to a constant, so it is
        the mean of all of them there.
    """
    from keras import ops

    if kind == "wasserstein":
        return (ops.mean(real_scores) + ops.mean(fake_scores)) / 2
    return 0.5 if kind == "least_squares" else 0.0


def _check(kind):
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(KINDS)}. Received: {kind}")
