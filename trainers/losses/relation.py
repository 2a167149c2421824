"""Losses on the relations between the examples of a batch, one number per example.

Each is a mean over a matrix, or a cube, of relations between examples. An example's
number is the mean of its row, so that the mean over the batch is the mean over all.
The teacher's tensors are always the first argument.
"""

from keras import ops

from trainers.losses.response import EPSILON, huber, unit


def similarity_loss(teacher_features, student_features):
    """Mean squared difference of two similarity matrices with rows of length 1.

    Args:
        teacher_features: Shape `(batch, ...)`.
        student_features: Shape `(batch, ...)`; of any size.

    Returns:
        Shape `(batch,)`, no unit: row i has the similarities of example i.

    Source:
        Tung and Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019,
        equations 1 to 4. https://arxiv.org/abs/1907.09682
    """

    def similarity(features):
        rows = ops.reshape(features, (ops.shape(features)[0], -1))
        return unit(ops.matmul(rows, ops.transpose(rows)))

    difference = similarity(teacher_features) - similarity(student_features)
    return ops.mean(ops.square(difference), axis=-1)


def distance_loss(teacher_embeddings, student_embeddings):
    """Huber loss between two distance matrices, each divided by its mean.

    Args:
        teacher_embeddings: Shape `(batch, size)`.
        student_embeddings: Shape `(batch, size)`; of any size.

    Returns:
        Shape `(batch,)`, no unit: row i has the distances from example i.

    Source:
        Park et al., "Relational Knowledge Distillation", CVPR 2019, section 3.2.1;
        a mean where the paper has a sum, as in the authors' code.
        https://arxiv.org/abs/1904.05068
    """

    def distances(embeddings):
        squared = ops.sum(ops.square(_differences(embeddings)), axis=-1)
        # The square root has an infinite gradient at 0, and an example's distance to
        # itself is always 0. The inner `where` takes the root of 1 there instead.
        apart = squared > EPSILON
        lengths = ops.where(apart, ops.sqrt(ops.where(apart, squared, 1.0)), 0.0)
        count = ops.cast(ops.shape(lengths)[0], lengths.dtype)
        # The mean over pairs of different examples: the diagonal does not count.
        mean = ops.sum(lengths) / ops.maximum(count * (count - 1), 1.0)
        return lengths / ops.where(mean > 0, mean, 1.0)

    error = huber(distances(teacher_embeddings), distances(student_embeddings))
    return ops.mean(error, axis=-1)


def angle_loss(teacher_embeddings, student_embeddings):
    """Huber loss between two cubes of the cosines of the angles of all triangles.

    Args:
        teacher_embeddings: Shape `(batch, size)`.
        student_embeddings: Shape `(batch, size)`; of any size.

    Returns:
        Shape `(batch,)`, no unit: row i has the angles at example i.

    Source:
        Park et al., "Relational Knowledge Distillation", CVPR 2019, section 3.2.2;
        a mean where the paper has a sum, as in the authors' code.
        https://arxiv.org/abs/1904.05068
    """

    def cosines(embeddings):
        # From example i to j and to k: their product is the cosine of the angle at i.
        directions = unit(_differences(embeddings))
        return ops.matmul(directions, ops.transpose(directions, (0, 2, 1)))

    error = huber(cosines(teacher_embeddings), cosines(student_embeddings))
    return ops.mean(error, axis=(1, 2))


def inter_class_loss(teacher_probabilities, student_probabilities):
    """1 - Pearson's correlation over the classes of each example.

    Args:
        teacher_probabilities: Shape `(batch, classes)`.
        student_probabilities: Shape `(batch, classes)`.

    Returns:
        Shape `(batch,)`, in [0, 2]. A row that does not vary counts as a zero vector:
        0 if both are such, 1/2 if one is.

    Source:
        Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS
        2022, section 3. https://arxiv.org/abs/2205.10536
    """
    difference = _standardized_difference(
        teacher_probabilities, student_probabilities, axis=1
    )
    return ops.sum(ops.square(difference), axis=1) / 2


def intra_class_loss(teacher_probabilities, student_probabilities):
    """1 - Pearson's correlation over the examples of each class.

    Args:
        teacher_probabilities: Shape `(batch, classes)`.
        student_probabilities: Shape `(batch, classes)`.

    Returns:
        Shape `(batch,)`: each example's share, times the size of the batch, of the
        mean over classes. See `inter_class_loss`.

    Source:
        See `inter_class_loss`.
    """
    difference = _standardized_difference(
        teacher_probabilities, student_probabilities, axis=0
    )
    # Times the size of the batch: the mean over the batch then gives the sum over
    # examples, which is 1 - Pearson's r of each class.
    count = ops.cast(ops.shape(difference)[0], difference.dtype)
    return ops.mean(ops.square(difference), axis=1) * count / 2


def contrastive_loss(embeddings, others, labels, temperature: float):
    """InfoNCE: each example's counterpart against those of other classes.

    Args:
        embeddings: Shape `(batch, size)`, of length 1.
        others: The counterparts, of the same shape and length.
        labels: Shape `(batch,)`. Other examples of an example's own class are left
            out: they are no negatives.
        temperature: Divides the cosines; positive, no unit.

    Returns:
        Shape `(batch,)`, in nats, at least 0; 0 where no other class is in the batch.

    Source:
        Oord et al., "Representation Learning with Contrastive Predictive Coding",
        2018, equation 4 (InfoNCE). https://arxiv.org/abs/1807.03748
    """
    cosines = ops.matmul(embeddings, ops.transpose(others)) / temperature
    count = ops.shape(cosines)[0]
    own = ops.eye(count, dtype="bool")
    negative = ops.expand_dims(labels, 0) != ops.expand_dims(labels, 1)
    # exp(-infinity) is 0: what is left out adds nothing to the sum.
    candidates = ops.where(ops.logical_or(own, negative), cosines, -float("inf"))
    return ops.logsumexp(candidates, axis=-1) - ops.diagonal(cosines)


def _standardized_difference(teacher, student, axis):
    """Difference of standardised tensors; half its squared sum is 1 - Pearson's r."""
    means = [ops.mean(x, axis=axis, keepdims=True) for x in (teacher, student)]
    # Over an example's own classes, the gradient of r has a mean of 0, so that of the
    # mean is left out: outputs that are compared along both axes would get four
    # gradients, and TensorFlow's threads would decide in which order they are added.
    # Over examples it has not, if their losses have different weights.
    if axis == 1:
        means = map(ops.stop_gradient, means)
    teacher, student = (
        unit(x - mean, axis) for x, mean in zip((teacher, student), means, strict=True)
    )
    return teacher - student


def _differences(embeddings):
    """Differences between all pairs of examples: shape `(batch, batch, size)`."""
    return ops.expand_dims(embeddings, 0) - ops.expand_dims(embeddings, 1)
