"""MUNGE: rows made up by mixing each row with its nearest neighbour."""

import numpy as np


def munge(
    features: np.ndarray,
    copies: int,
    swap_probability: float,
    locality: float,
    seed: int,
) -> np.ndarray:
    """Makes altered copies of a table of continuous numbers.

    Through each copy once: of a row and its nearest other row, each number is,
    with `swap_probability`, exchanged, both moved by Gaussian noise whose
    standard deviation is their difference over `locality`. Neighbours are those
    of the rows as given.

    Args:
        features: `(n, features)`, on scales that can be compared; at least 2 rows.
        copies: How many.
        swap_probability: The paper's p; in [0, 1].
        locality: The paper's s; positive, without unit. The larger, the less noise.
        seed: Of all draws.

    Returns:
        `(copies * n, features)`.

    Source:
        Bucila, Caruana and Niculescu-Mizil, "Model Compression", KDD 2006,
        section 3 (MUNGE).
    """
    from sklearn import neighbors

    near = neighbors.NearestNeighbors(n_neighbors=1).fit(features)
    nearest = near.kneighbors(return_distance=False)[:, 0]
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(copies):
        copy = features.astype(float)
        swapped = rng.random(copy.shape) < swap_probability
        noise = rng.normal(size=(2, *copy.shape)) / locality
        for row, other in enumerate(nearest):
            at = swapped[row]
            mine, yours = copy[row, at], copy[other, at]
            apart = np.abs(mine - yours)
            copy[row, at] = yours + apart * noise[0, row, at]
            copy[other, at] = mine + apart * noise[1, row, at]
        made.append(copy)
    return np.concatenate(made)
