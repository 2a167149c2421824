"""How good made examples are: the scores, as formulas over arrays.

They are apart from `gan`, whose code decides which generator is kept.
"""

import numpy as np

NEIGHBOURS = 5  # k of Naeem et al.


def mode_accuracy(train_labels: np.ndarray, test_labels: np.ndarray) -> float:
    """Percent of the test labels that the most frequent training label gets right.

    Args:
        train_labels: From 0, `(n,)`.
        test_labels: From 0, `(m,)`.
    """
    return 100 * float(np.mean(test_labels == np.bincount(train_labels).argmax()))


def tsc_score(accuracy: float, real_accuracy: float, mode_accuracy: float) -> float:
    """Share of what real data teach a student that other data teach it too.

    0 is a student that says the most frequent class always, 1 is one that learned
    as much as from real data; neither bounds the score.

    Args:
        accuracy: On real test data, of a student taught on the data in question.
        real_accuracy: Of the same student taught on real data for as long.
        mode_accuracy: See `mode_accuracy`; all three in one unit.

    Raises:
        ValueError: If real data taught the student nothing.

    Source:
        Liu et al., "Teacher-Student Compression with Generative Adversarial
        Networks", 2018, its TSC Score. https://arxiv.org/abs/1812.02271
    """
    if real_accuracy <= mode_accuracy:
        raise ValueError(
            f"`real_accuracy` must be above `mode_accuracy` = {mode_accuracy:.2f}. "
            f"Received: {real_accuracy:.2f}"
        )
    return (accuracy - mode_accuracy) / (real_accuracy - mode_accuracy)


def classifier_scores(logits: np.ndarray, splits: int = 1) -> np.ndarray:
    """How sure a classifier is of each example, and how many classes it sees in all.

    The Inception score where the classifier is Inception; numbers of two classifiers
    cannot be compared.

    Args:
        logits: The classifier's, before any softmax, `(n, classes)`.
        splits: Parts, in order, that are scored each by itself; at most n.

    Returns:
        `(splits,)`, each from 1 to the number of classes.

    Source:
        Salimans et al., "Improved Techniques for Training GANs", 2016, section 4.
        https://arxiv.org/abs/1606.03498
    """
    from scipy import special

    scores = []
    for part in np.array_split(np.asarray(logits, np.float64), splits):
        log_p = special.log_softmax(part, axis=-1)
        log_mean = special.logsumexp(log_p, axis=0) - np.log(len(part))
        divergence = (np.exp(log_p) * (log_p - log_mean)).sum(-1)
        scores.append(np.exp(divergence.mean()))
    return np.array(scores)


def frechet_distance(real: np.ndarray, made: np.ndarray) -> float:
    """Squared Fréchet distance of two normal distributions with the sets' moments.

    Args:
        real: Features, `(n, features)`; at least two examples.
        made: Features, `(m, features)`; at least two examples.

    Returns:
        At least 0, in squared units of the features.

    Source:
        Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017,
        equation 6. https://arxiv.org/abs/1706.08500
    """
    real, made = (np.asarray(features, np.float64) for features in (real, made))
    shift = real.mean(0) - made.mean(0)
    covariances = [np.atleast_2d(np.cov(each, rowvar=False)) for each in (real, made)]
    roots = [_root(covariance) for covariance in covariances]
    # The trace of the root of their product, which need not be symmetric: no root
    # of it is taken, and no rounding makes it complex.
    shared = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    spread = sum(np.trace(covariance) for covariance in covariances)
    return max(0.0, float(shift @ shift + spread - 2 * shared))


def _root(covariance):
    """The symmetric root; rounding leaves eigenvalues a little below zero."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def neighbourhoods(
    real: np.ndarray, made: np.ndarray, neighbours: int = NEIGHBOURS
) -> dict[str, float]:
    """How the one set lies in balls around the examples of the other.

    A ball reaches to the k-th nearest other example of its own set.

    Args:
        real: Features, `(n, features)`.
        made: Features, `(m, features)`.
        neighbours: k; less than n and m.

    Returns:
        `precision`: share of the made in a ball of a real one; `recall`: share of
        the real in a ball of a made one; `density`: balls of real ones that a made
        one is in, divided by k, which has no bound; `coverage`: share of real balls
        with a made one in them.

    Raises:
        ValueError: If a set is too small for k.

    Source:
        Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing
        Generative Models", 2019, section 2. https://arxiv.org/abs/1904.06991
        Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative
        Models", 2020, section 3. https://arxiv.org/abs/2002.09797
    """
    least = min(len(real), len(made))
    if not 1 <= neighbours < least:
        raise ValueError(
            f"`neighbours` must be from 1 to below the smaller set's {least} "
            f"examples. Received: {neighbours}"
        )
    real, made = (np.asarray(features, np.float64) for features in (real, made))
    held, sizes = _in_balls(real, made, neighbours)
    found, _ = _in_balls(made, real, neighbours)
    return {
        "precision": float(held.mean()),
        "recall": float(found.mean()),
        "density": float(sizes.sum() / (neighbours * len(made))),
        "coverage": float((sizes > 0).mean()),
    }


def _in_balls(centres, points, neighbours):
    """Whether each point is in any ball, and the number of points in each."""
    from sklearn import metrics, neighbors

    nearest = neighbors.NearestNeighbors(n_neighbors=neighbours).fit(centres)
    radii = nearest.kneighbors()[0][:, -1:]  # Without an example itself.
    held, sizes = np.zeros(len(points), bool), []
    for distances in metrics.pairwise_distances_chunked(centres, points):
        done = sum(map(len, sizes))
        inside = distances <= radii[done : done + len(distances)]
        held |= inside.any(0)
        sizes.append(inside.sum(1))
    return held, np.concatenate(sizes)
