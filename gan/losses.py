"""Adversarial losses: of a discriminator and of whom it judges, one number a score.

A score is any real number, high where the discriminator believes that what it sees
is real.
"""

KINDS = ("non_saturating", "hinge", "least_squares", "wasserstein")
WITH_TARGETS = ("non_saturating", "least_squares")  # Which may be smoothed.


def real_loss(scores, kind: str, label_smoothing: float = 0.0):
    """What the discriminator pays for its scores of what is real.

    Args:
        scores: Shape `(batch,)`.
        kind: One of `KINDS`.
        label_smoothing: Taken off the target 1 of the non-saturating and the
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
        # The cross-entropy with a target below 1, from scores and not from
        # probabilities, which round to 1.
        return ops.softplus(-scores) + label_smoothing * scores
    if kind == "hinge":
        return ops.relu(1 - scores)
    if kind == "least_squares":
        return ops.square(scores - (1 - label_smoothing))
    return -scores


def fake_loss(scores, kind: str):
    """What the discriminator pays for its scores of what is made.

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
    """What its maker pays for the scores of what it made: low where they are high.

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
    return -scores


def middle(real_scores, fake_scores, kind: str):
    """The score above which an example is taken for real.

    Args:
        real_scores: Shape `(batch,)`.
        fake_scores: Shape `(batch,)`.
        kind: One of `KINDS`.

    Returns:
        A number. Wasserstein's scores have no zero of their own: there it is
        the mean of all of them.
    """
    from keras import ops

    if kind == "wasserstein":
        return (ops.mean(real_scores) + ops.mean(fake_scores)) / 2
    return 0.5 if kind == "least_squares" else 0.0


def _check(kind):
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(KINDS)}. Received: {kind}")
