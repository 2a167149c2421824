"""Losses between a teacher and a student: teacher first, one number per example."""

from keras import ops


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
    # From log-probabilities: clipped probabilities lose the gradient of every
    # class that either model finds very unlikely.
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
