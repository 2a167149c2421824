"""Scores of generated examples, as formulas over arrays.

Not in `gan`, whose code is part of the fingerprint of saved generators.
"""

import numpy as np

NEIGHBOURS = 5  # k of Naeem et al.


def mode_accuracy(train_labels: np.ndarray, test_labels: np.ndarray) -> float:
    """Accuracy of the most frequent training label on the test labels, in percent.

    Args:
        train_labels: Integers from 0, `(n,)`.
        test_labels: Integers from 0, `(m,)`.
    """
    return 100 * float(np.mean(test_labels == np.bincount(train_labels).argmax()))


def tsc_score(accuracy: float, real_accuracy: float, mode_accuracy: float) -> float:
    """The TSC score: what a student learns from other data, relative to real data.

    0 means that the student is as good as the most frequent class, 1 that it is as
    good as one trained on real data; the score can be below 0 and above 1.

    Args:
        accuracy: Accuracy on real test data of a student trained on the other data.
        real_accuracy: The same of a student trained on real data for as long.
        mode_accuracy: See `mode_accuracy`; all three in the same unit.

    Raises:
        ValueError: If the student learned nothing from real data.

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
    """The Inception score of any classifier: how sure and diverse its predictions are.

    Scores of different classifiers cannot be compared.

    Args:
        logits: The classifier's logits, `(n, classes)`.
        splits: Number of successive parts that are scored separately; at most n.

    Returns:
        One score for each part, `(splits,)`, from 1 to the number of classes.

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


def frechet_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """Squared Fréchet distance of two sets of features, as normal distributions.

    Args:
        real: Features, `(n, features)`; at least two examples.
        generated: Features, `(m, features)`; at least two examples.

    Returns:
        At least 0, in squared units of the features.

    Source:
        Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017,
        equation 6. https://arxiv.org/abs/1706.08500
    """
    real, generated = (
        np.asarray(features, np.float64) for features in (real, generated)
    )
    shift = real.mean(0) - generated.mean(0)
    covariances = [
        np.atleast_2d(np.cov(each, rowvar=False)) for each in (real, generated)
    ]
    roots = [_root(covariance) for covariance in covariances]
    # The trace of the root of the covariances' product. That product need not be
    # symmetric, and rounding could make its root complex. The singular values of the
    # product of their roots have the same sum.
    shared = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    spread = sum(np.trace(covariance) for covariance in covariances)
    return max(0.0, float(shift @ shift + spread - 2 * shared))


def _root(covariance):
    """The symmetric root of a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    # Rounding can leave eigenvalues a little below zero.
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def neighbourhoods(
    real: np.ndarray, generated: np.ndarray, neighbours: int = NEIGHBOURS
) -> dict[str, float]:
    """Precision, recall, density and coverage of generated examples.

    Each example has a ball that reaches to the k-th nearest other example of its own
    set.

    Args:
        real: Features of real examples, `(n, features)`.
        generated: Features of generated examples, `(m, features)`.
        neighbours: k; less than n and m.

    Returns:
        `precision`: share of generated examples in a ball of a real one; `recall`:
        share of real examples in a ball of a generated one; `density`: mean number of
        real balls that contain a generated example, divided by k, without an upper
        bound; `coverage`: share of real balls that contain a generated example.

    Raises:
        ValueError: If a set is too small for k.

    Source:
        Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing
        Generative Models", 2019, section 2. https://arxiv.org/abs/1904.06991
        Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative
        Models", 2020, section 3. https://arxiv.org/abs/2002.09797
    """
    least = min(len(real), len(generated))
    if not 1 <= neighbours < least:
        raise ValueError(
            f"`neighbours` must be from 1 to below the smaller set's {least} "
            f"examples. Received: {neighbours}"
        )
    real, generated = (
        np.asarray(features, np.float64) for features in (real, generated)
    )
    covered, sizes = _in_balls(real, generated, neighbours)
    recalled, _ = _in_balls(generated, real, neighbours)
    return {
        "precision": float(covered.mean()),
        "recall": float(recalled.mean()),
        "density": float(sizes.sum() / (neighbours * len(generated))),
        "coverage": float((sizes > 0).mean()),
    }


def _in_balls(centres, points, neighbours):
    """Whether each point is in any ball, and the number of points in each."""
    from sklearn import metrics, neighbors

    nearest = neighbors.NearestNeighbors(n_neighbors=neighbours).fit(centres)
    # Called without examples, scikit-learn does not count one as its own neighbour.
    radii = nearest.kneighbors()[0][:, -1:]
    covered, sizes = np.zeros(len(points), bool), []
    for distances in metrics.pairwise_distances_chunked(centres, points):
        done = sum(map(len, sizes))  # Chunks are rows of centres, in order.
        inside = distances <= radii[done : done + len(distances)]
        covered |= inside.any(0)
        sizes.append(inside.sum(1))
    return covered, np.concatenate(sizes)
