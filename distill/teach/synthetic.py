"""The mixture of a stage whose examples a network makes, or chooses."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from distill import data
from distill.data.synthetic import mixture as mixtures
from distill.data.synthetic import sources
from distill.teach.hardware import data_parallel


def mixture(
    options: sources.Synthetic | None,
    split: data.Split,
    *,
    generator: keras.Model | None,
    teacher: keras.Model | None,
) -> mixtures.Mixture | None:
    """The mixture of a stage, or None where none is wanted.

    Args:
        options: The source of the stage.
        split: The real examples.
        generator: Where the source needs one; under the contract of `gan.generators`.
        teacher: Asked for its confidence, where that is wanted.
    """
    if options is None or not options.p_fake:
        return None
    generate = generation(generator) if options.needs_generator else None
    answer = _answers(teacher) if options.min_confidence else None
    return mixtures.Mixture(options, options.maker(split, generate), answer)


def generation(generator: keras.Model) -> sources.Generate:
    """A generator as a function from labels and randomness to examples."""
    length = generator.input["noise"].shape[-1]

    def generate(labels, rng):
        """Fresh noise for each label."""
        noise = rng.standard_normal((len(labels), length), dtype=np.float32)
        # By one compiled program, which draws nothing.
        return _predict(generator, {"noise": noise, "label": labels})

    return generate


def _predict(model, inputs: Any):
    """Answers to any number of examples, while batches are shared out to devices."""
    with data_parallel.sharing(shared=False):
        return model.predict_on_batch(inputs)


def _answers(teacher) -> Callable[[np.ndarray], np.ndarray]:
    """The teacher's logits, by a copy.

    On JAX, `fit` takes away the variables of what it holds while it runs.
    """
    copy = keras.models.clone_model(teacher)
    copy.set_weights(teacher.get_weights())
    logits = keras.Model(copy.inputs, copy.output["logits"])
    return lambda inputs: _predict(logits, inputs)
