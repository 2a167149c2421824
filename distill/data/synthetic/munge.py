"""MUNGE: synthetic examples by mixing features of nearest neighbours."""

import numpy as np

BLOCK = 1 << 24  # Distances in memory at once.


def munge(
    examples: np.ndarray,
    copies: int,
    swap_probability: float,
    variance: float,
    rng: np.random.Generator,
    categorical: np.ndarray | None = None,
) -> np.ndarray:
    """Makes unlabelled examples that are similar to given ones.

    In each copy of the examples, every example in turn swaps each feature with its
    nearest neighbour, with a probability. A category is swapped unchanged; a number is
    drawn from a normal distribution around the other's number, whose standard
    deviation is the distance between the two divided by `variance`. Labels are neither
    read nor made.

    Args:
        examples: Examples `(n, features)`, n at least 2; numbers must be standardised,
            since distances are Euclidean.
        copies: Number of copies, k in the source; at least 1.
        swap_probability: Probability of swapping a feature, p in the source; in [0, 1].
        variance: Divisor of the standard deviation, s in the source; positive. A
            larger one means less noise.
        rng: The only source of randomness.
        categorical: Whether each feature is a category, bool `(features,)`; a differing
            category adds 1 to the squared distance. None means that none is.

    Returns:
        Array `(copies * n, features)` of the type of `examples`; example i of each
        copy is made from example i.

    Raises:
        ValueError: If an argument is out of its range.

    Source:
        Bucilua, Caruana and Niculescu-Mizil, "Model Compression", KDD 2006,
        section 3. Neighbours are found once, among the given examples, and not in the
        partly changed copy.
    """
    check(swap_probability, variance)
    if copies < 1:
        raise ValueError(f"`copies` must be at least 1. Received: {copies}")
    nearest = neighbours(examples, categorical)
    result = np.tile(examples, (copies, 1, 1))
    for copy in result:
        swaps = rng.random(examples.shape) < swap_probability
        noise = rng.standard_normal((2, *examples.shape)).astype(examples.dtype)
        # One by one, since an example may be the neighbour of several others.
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
    return result.reshape(-1, examples.shape[1])


def check(swap_probability: float, variance: float) -> None:
    """Refuses options of MUNGE that are out of range.

    Raises:
        ValueError: If an option is out of range; the message names it.
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
    """Replaces features of examples by those of others, with noise on numbers.

    Args:
        examples: Examples `(n, features)`.
        others: The neighbour of each example, of the same shape.
        swaps: Whether a feature is replaced, bool; broadcast to the shape.
        noise: Standard normal noise, of the same shape.
        variance: See `munge`.
        categorical: See `munge`.

    Returns:
        Array `(n, features)`.
    """
    deviation = np.abs(examples - others) / variance
    if categorical is not None:
        deviation = np.where(categorical, 0, deviation)
    replacements = others + deviation * noise
    return np.where(swaps, replacements, examples).astype(examples.dtype, copy=False)


def neighbours(
    examples: np.ndarray, categorical: np.ndarray | None = None
) -> np.ndarray:
    """Finds the nearest other example of each, by brute force in blocks.

    Args:
        examples: Examples `(n, features)`, n at least 2.
        categorical: See `munge`.

    Returns:
        The index of the nearest example, int64 `(n,)`; of equally near ones the first.

    Raises:
        ValueError: If there are fewer than two examples, or they are not vectors.
    """
    if examples.ndim != 2 or len(examples) < 2:
        raise ValueError(
            "`examples` must be at least two vectors, (n, features). Received: "
            f"shape {examples.shape}"
        )
    if categorical is None:
        categorical = np.zeros(examples.shape[1], bool)
    numbers = examples[:, ~categorical].astype(np.float64)
    # Centred, since far from 0 squares are too imprecise for small distances.
    numbers -= numbers.mean(axis=0)
    categories = examples[:, categorical]
    squares = np.square(numbers).sum(axis=1)
    nearest = np.empty(len(examples), np.int64)
    size = max(1, BLOCK // len(examples))
    for start in range(0, len(examples), size):
        rows = np.arange(start, min(start + size, len(examples)))
        # Without the square of the row itself, a constant that leaves its minimum.
        distances = squares - 2 * numbers[rows] @ numbers.T
        for category in categories.T:
            distances += category[rows, None] != category
        distances[rows - start, rows] = np.inf
        nearest[rows] = distances.argmin(axis=1)
    return nearest
