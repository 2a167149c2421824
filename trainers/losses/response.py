"""Losses between a teacher's and a student's outputs, one number per example.

The teacher's outputs are always the first argument.
"""

from keras import ops

# A vector of this squared length or less counts as zero: it has no direction.
EPSILON = 1e-12
# Minus this is the logit of a class that is left out: exp(-FAR) is 0 in float32, and
# FAR itself is still finite in float16.
FAR = 1e4


def kd_loss(teacher_logits, student_logits, temperature: float):
    """Divergence of the student's softened classes from the teacher's.

    Multiplied by `temperature ** 2`, so that its gradient keeps its size when
    the temperature changes and one weight serves all temperatures.

    Args:
        teacher_logits: Shape `(batch, classes)`, before any softmax.
        student_logits: Shape `(batch, classes)`, before any softmax.
        temperature: Divides both logits; positive, no unit.

    Returns:
        Shape `(batch,)`, in nats, at least 0; exactly 0 where the two softened
        distributions agree.

    Raises:
        ValueError: If `temperature` is not positive.

    Source:
        Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
        section 2. https://arxiv.org/abs/1503.02531
    """
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: {temperature}")
    # From log-probabilities: clipped probabilities have no gradient for classes
    # that either model finds very unlikely.
    log_p = ops.log_softmax(teacher_logits / temperature)
    log_q = ops.log_softmax(student_logits / temperature)
    divergence = ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
    return divergence * temperature**2


def logit_loss(teacher_logits, student_logits):
    """Half the squared distance of the student's logits from the teacher's.

    Args:
        teacher_logits: Shape `(batch, classes)`, before any softmax.
        student_logits: Shape `(batch, classes)`, before any softmax.

    Returns:
        Shape `(batch,)`, in squared logits.

    Source:
        Ba and Caruana, "Do Deep Nets Really Need to be Deep?", 2014, section 3.
        https://arxiv.org/abs/1312.6184
    """
    return ops.sum(ops.square(teacher_logits - student_logits), axis=-1) / 2


def representation_loss(teacher_features, student_features):
    """Mean squared error between two representations of the same shape.

    Args:
        teacher_features: Shape `(batch, ...)`.
        student_features: Shape `(batch, ...)`, equal to the teacher's.

    Returns:
        Shape `(batch,)`, in squared activation units.

    Raises:
        ValueError: If the shapes differ.

    Source:
        Koratana et al., "LIT", ICML 2019, section 3: mean over batch, channels
        and pixels, no normalisation.
    """
    if teacher_features.shape != student_features.shape:
        raise ValueError(
            "Teacher and student representations must have the same shape. "
            f"Received: {teacher_features.shape} and {student_features.shape}"
        )
    error = ops.square(teacher_features - student_features)
    return ops.mean(ops.reshape(error, (ops.shape(error)[0], -1)), axis=-1)


def normalized_loss(teacher_features, student_features):
    """Mean squared error divided by the variance of the teacher's representation.

    Args:
        teacher_features: Shape `(batch, ...)`.
        student_features: Shape `(batch, ...)`, equal to the teacher's.

    Returns:
        Shape `(batch,)`, no unit: 1 for a constant equal to the teacher's mean. 0 where
        the teacher's representation is constant.

    Raises:
        ValueError: If the shapes differ.

    Source:
        Moons et al., "Distilling Optimal Neural Networks: Rapid Search in Diverse
        Spaces", ICCV 2021: noise-to-signal power. There the variance is of each
        channel over the batch; here it is of each example, so that its loss depends
        on no other example. https://arxiv.org/abs/2012.08859
    """
    error = representation_loss(teacher_features, student_features)
    flat = ops.reshape(teacher_features, (ops.shape(teacher_features)[0], -1))
    variance = ops.var(flat, axis=-1)
    varies = variance > EPSILON
    # The inner `where` keeps the division finite in the branch that is not used:
    # its gradient, infinity times 0, would be NaN.
    return ops.where(varies, error / ops.where(varies, variance, 1.0), 0.0)


def cosine_loss(teacher_features, student_features):
    """1 - cosine of the angle at each position, averaged over positions.

    Args:
        teacher_features: Shape `(batch, ..., channels)`.
        student_features: Shape `(batch, ..., channels)`, equal to the teacher's.

    Returns:
        Shape `(batch,)`, in [0, 2], no unit. A position where both are zero counts 0,
        one where one of the two is zero 1/2.

    Raises:
        ValueError: If the shapes differ.

    Source:
        Deng and Li, "Anomaly Detection via Reverse Distillation from One-Class
        Embedding", CVPR 2022, equations 1 and 2. https://arxiv.org/abs/2201.10703
    """
    # Half the squared distance of two unit vectors is 1 - their cosine. Unlike the
    # cosine it is 0 for a perfect copy also where both vectors are zero.
    distance = representation_loss(unit(teacher_features), unit(student_features))
    # `representation_loss` is a mean over channels too; this makes it their sum.
    return distance * teacher_features.shape[-1] / 2


def huber(teacher, student):
    """Huber's loss of each pair of numbers, which is smooth L1: squared only below 1.

    Args:
        teacher: Of any shape.
        student: Of the same shape.
    """
    error = ops.abs(teacher - student)
    return ops.where(error < 1, ops.square(error) / 2, error - 0.5)


def attention_loss(teacher_features, student_features):
    """Squared distance between two normalised attention maps.

    A map is the sum over channels of squared activations, divided by its L2 norm.

    Args:
        teacher_features: Shape `(batch, ..., channels)`.
        student_features: The same, with any number of channels.

    Returns:
        Shape `(batch,)`, in [0, 2], no unit.

    Source:
        Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017,
        equation 2 with p = 2, squared as in the authors' code, whose mean over
        positions is a sum here: a weight then serves all image sizes.
        https://arxiv.org/abs/1612.03928
    """

    def attention(features):
        energy = ops.sum(ops.square(features), axis=-1)
        return unit(ops.reshape(energy, (ops.shape(energy)[0], -1)))

    difference = attention(teacher_features) - attention(student_features)
    return ops.sum(ops.square(difference), axis=-1)


def decoupled_losses(teacher_logits, student_logits, labels, temperature: float):
    """The two parts of `kd_loss`: true class against the rest, and among the rest.

    `kd_loss` is the first part, plus the second times the softened probability that
    the teacher gives to all classes but the true one.

    Args:
        teacher_logits: Shape `(batch, classes)`, before any softmax.
        student_logits: Shape `(batch, classes)`, before any softmax.
        labels: Shape `(batch,)`, the true classes.
        temperature: Divides both logits; positive, no unit.

    Returns:
        Two of shape `(batch,)`, in nats, at least 0; times `temperature ** 2`.

    Source:
        Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022, section 3.1:
        TCKD and NCKD. https://arxiv.org/abs/2203.08679
    """
    true, others = [], []
    for logits in (teacher_logits, student_logits):
        logits = logits / temperature
        own = ops.one_hot(ops.cast(labels, "int32"), logits.shape[-1]) > 0
        rest = ops.where(own, -FAR, logits)
        # Two logits of the binary problem "the true class or any other": the
        # probability of "any other" is the sum of theirs.
        true_logit = ops.sum(ops.where(own, logits, 0.0), axis=-1)
        true.append(ops.stack([true_logit, ops.logsumexp(rest, axis=-1)], axis=-1))
        others.append(rest)
    scale = temperature**2
    return kd_loss(*true, 1.0) * scale, kd_loss(*others, 1.0) * scale


def standardized(logits):
    """Logits with mean 0 and standard deviation 1 over classes; 0 if all are equal.

    Args:
        logits: Shape `(batch, classes)`.

    Source:
        Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024,
        section 3. https://arxiv.org/abs/2403.01427
    """
    # A centred vector of length 1 has the standard deviation 1 / sqrt(classes).
    centered = logits - ops.mean(logits, axis=-1, keepdims=True)
    return unit(centered) * logits.shape[-1] ** 0.5


def unit(x, axis: int = -1):
    """Vectors divided by their L2 norm; a vector of length 0 stays zero.

    The gradient at a zero vector is 0. A small number added to the denominator
    would make it very large there.
    """
    squared = ops.sum(ops.square(x), axis=axis, keepdims=True)
    nonzero = squared > EPSILON
    # Two `where`s, as in `normalized_loss`: the unused branch must be finite too.
    return ops.where(nonzero, x * ops.rsqrt(ops.where(nonzero, squared, 1.0)), 0.0)
