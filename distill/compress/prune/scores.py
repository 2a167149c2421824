"""Scores of the importance of each weight of a kernel."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_CHUNK = 2**22  # Number of ratios in memory at once.


class Response(NamedTuple):
    """Statistics of one kernel over training images.

    Attributes:
        inputs: Squares of the inputs that each weight multiplies, summed over the
            positions in an image, mean over images; in the kernel's shape.
        gradients: Squares of the loss' gradient with respect to each output channel
            before the activation, mean over positions and images; `(out,)`.
        patches: Unfolded inputs, `(n, weights of a neuron)`, at a few positions in
            each image; empty unless a `Pass` gathers `patches`.
    """

    inputs: np.ndarray
    gradients: np.ndarray
    patches: np.ndarray


def magnitude(kernel: np.ndarray, response: Any, axis: int = -1) -> np.ndarray:
    """Squares of the weights; the response is not used."""
    return kernel**2


def lamp(kernel: np.ndarray, response: Any, axis: int = -1) -> np.ndarray:
    """Squares of the weights, each divided by the sum of all that are no smaller.

    The largest weight of every kernel has the score 1, so that kernels of different
    scales can be compared. The response is not used.

    Source:
        Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning",
        ICLR 2021, section 2.
    """
    squares = kernel.ravel() ** 2
    order = np.argsort(-squares, kind="stable")
    sums = np.cumsum(squares[order], dtype=np.float64)
    shares = np.zeros(len(squares))
    shares[order] = squares[order] / np.maximum(sums, np.finfo(float).tiny)
    return shares.reshape(kernel.shape)


def kfac(kernel: np.ndarray, response: Response, axis: int = -1) -> np.ndarray:
    """The rise of the loss without each weight, by Kronecker-factored curvature.

    `w^2 A G / 2` with diagonals only: A, squares of the inputs that the weight
    multiplies; G, squares of the gradient with respect to its neuron's output.

    Args:
        kernel: `(..., in, out)`.
        response: Its response in a pass.
        axis: The axis of output channels.

    Returns:
        An array in the kernel's shape.

    Source:
        Zeng and Urtasun, "MLPrune: Multi-Layer Pruning for Automated Neural Network
        Compression", 2018, with the factoring of Martens and Grosse, "Optimizing
        Neural Networks with Kronecker-factored Approximate Curvature", ICML 2015.
    """
    shape = [1] * kernel.ndim
    shape[axis] = -1
    return kernel**2 * response.inputs * response.gradients.reshape(shape) / 2


def sensitivity(kernel: np.ndarray, response: Response, axis: int = -1) -> np.ndarray:
    """Rank of each weight within its neuron, by its largest share of a sum.

    A neuron adds positive and negative terms; the share is that of a weight's term in
    the sum of one sign, the largest over all patches. Ranks of different neurons can
    be compared, but not their shares.

    Args:
        kernel: `(..., in, out)`.
        response: Its response, with patches.
        axis: The last axis.

    Returns:
        Ranks in (0, 1], in the kernel's shape.

    Source:
        Baykal et al., "Data-Dependent Coresets for Compressing Neural Networks with
        Applications to Generalization Bounds", ICLR 2019, section 4.
    """
    flat = kernel.reshape(-1, kernel.shape[-1])
    shares = sensitivities(flat, response.patches)
    ranks = shares.argsort(0, kind="stable").argsort(0, kind="stable") + 1
    return (ranks / len(flat)).reshape(kernel.shape)


def sensitivities(kernel: np.ndarray, patches: np.ndarray) -> np.ndarray:
    """Largest share of each weight in a sum of one sign of its neuron, in [0, 1].

    Args:
        kernel: `(in, out)`.
        patches: `(n, in)`.

    Returns:
        `(in, out)`.
    """
    largest = np.zeros(kernel.shape)
    rows = max(1, _CHUNK // kernel.size)
    for inputs in (np.maximum(patches, 0), np.maximum(-patches, 0)):
        for weights in (np.maximum(kernel, 0), np.maximum(-kernel, 0)):
            for start in range(0, len(inputs), rows):
                some = inputs[start : start + rows]
                sums = some @ weights
                # A sum of zero has no shares.
                inverse = np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)
                most = (some[:, :, None] * inverse[:, None]).max(0)
                largest = np.maximum(largest, most * weights)
    return largest


SCORES: dict[str, Callable[..., np.ndarray]] = {
    "magnitude": magnitude,
    "lamp": lamp,
    "kfac": kfac,
    "sensitivity": sensitivity,
}
