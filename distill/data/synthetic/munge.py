"""MUNGE: new examples by mixing each one's features with its nearest neighbour's."""

import numpy as np

BLOCK = 1 << 24  # Distances held at once.


def munge(
    examples: np.ndarray,
    copies: int,
    swap_probability: float,
    variance: float,
    rng: np.random.Generator,
    categorical: np.ndarray | None = None,
) -> np.ndarray:
    """Makes unlabelled examples that lie near the given ones.

    In each copy, every example in turn trades each feature with its neighbour
    with a probability: a category goes over as it is; a number is drawn from a
    normal distribution about the other's, whose standard deviation is the
    distance between the two over `variance`. Labels are neither read nor made.

    Args:
        examples: `(n, features)`, n at least 2; numbers standardised, since
            nearness is Euclidean.
        copies: k, of the whole set; at least 1.
        swap_probability: p, for each feature; in [0, 1].
        variance: s, positive; a larger one means less noise.
        rng: Decides the whole result.
        categorical: Which features are categories, bool `(features,)`; each one
            that differs adds 1 to a squared distance. None where none is.

    Returns:
        Shape `(copies * n, features)`, of the type of `examples`: example i of
        each copy began as example i.

    Raises:
        ValueError: If an argument is out of its range.

    Source:
        Bucilua, Caruana and Niculescu-Mizil, "Model Compression", KDD 2006,
        section 3. Neighbours are those in the given examples, found once, and
        not in the half-changed copy.
    """
    check(swap_probability, variance)
    if copies < 1:
        raise ValueError(f"`copies` must be at least 1. Received: {copies}")
    nearest = neighbours(examples, categorical)
    made = np.tile(examples, (copies, 1, 1))
    for copy in made:
        swaps = rng.random(examples.shape) < swap_probability
        noise = rng.standard_normal((2, *examples.shape)).astype(examples.dtype)
        # One after the other: an example may be the neighbour of several.
        for index in np.flatnonzero(swaps.any(axis=1)):
            pair = copy[[index, nearest[index]]]
            copy[[index, nearest[index]]] = mix(
                pair,
                pair[::-1],
                swaps[index],
                noise[:, index],
                variance,
                categorical,
            )
    return made.reshape(-1, examples.shape[1])


def check(swap_probability: float, variance: float) -> None:
    """Refuses options of MUNGE that are out of range.

    Raises:
        ValueError: Names the option.
    """
    if not 0 <= swap_probability <= 1:
        raise ValueError(
            f"`swap_probability` must be in [0, 1]. Received: {swap_probability}"
        )
    if variance <= 0:
        raise ValueError(f"`variance` must be positive. Received: {variance}")


def mix(
    examples: np.ndarray,
    others: np.ndarray,
    swaps: np.ndarray,
    noise: np.ndarray,
    variance: float,
    categorical: np.ndarray | None = None,
) -> np.ndarray:
    """Gives examples some of the features of others, with noise on numbers.

    Args:
        examples: `(n, features)`.
        others: Of the same shape: the neighbour of each.
        swaps: bool, which features are taken; broadcast to the shape.
        noise: Standard normal, of the same shape.
        variance: s, see `munge`.
        categorical: See `munge`.

    Returns:
        Shape `(n, features)`.
    """
    deviation = np.abs(examples - others) / variance
    if categorical is not None:
        deviation = np.where(categorical, 0, deviation)
    taken = others + deviation * noise
    return np.where(swaps, taken, examples).astype(examples.dtype, copy=False)


def neighbours(
    examples: np.ndarray, categorical: np.ndarray | None = None
) -> np.ndarray:
    """The nearest other example of each, by brute force in blocks.

    Args:
        examples: `(n, features)`, n at least 2.
        categorical: See `munge`.

    Returns:
        int64, `(n,)`; of equally near ones the first.

    Raises:
        ValueError: If there are fewer than two examples, or they are no vectors.
    """
    if examples.ndim != 2 or len(examples) < 2:
        raise ValueError(
            "`examples` must be at least two vectors, (n, features). Received: "
            f"shape {examples.shape}"
        )
    if categorical is None:
        categorical = np.zeros(examples.shape[1], bool)
    numbers = examples[:, ~categorical].astype(np.float64)
    numbers -= numbers.mean(axis=0)  # Far from 0, squares lose small distances.
    categories = examples[:, categorical]
    squares = np.square(numbers).sum(axis=1)
    nearest = np.empty(len(examples), np.int64)
    size = max(1, BLOCK // len(examples))
    for start in range(0, len(examples), size):
        rows = np.arange(start, min(start + size, len(examples)))
        # Without each row's own square, which moves all its distances alike.
        distances = squares - 2 * numbers[rows] @ numbers.T
        for category in categories.T:
            distances += category[rows, None] != category
        distances[rows - start, rows] = np.inf
        nearest[rows] = distances.argmin(axis=1)
    return nearest
