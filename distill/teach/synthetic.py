"""The mixture of real and synthetic examples of a stage, with the networks it needs."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from distill import data
from distill.data.synthetic import mixture as mixtures
from distill.data.synthetic import sources
from distill.teach.hardware import data_parallel
from students.keras_models.copying import copy_weights


def mixture(
    options: sources.Synthetic | None,
    split: data.Split,
    *,
    generator: keras.Model | None,
    teacher: keras.Model | None,
) -> mixtures.Mixture | None:
    """The mixture of a stage; None if the stage has real examples only.

    Args:
        options: The stage's source of synthetic examples.
        split: The real examples.
        generator: A network under the contract of `gan.generators`, for a source that
            needs one.
        teacher: The teacher, for a source with `min_confidence`.
    """
    if options is None or not options.p_fake:
        return None
    generate = generation(generator) if options.needs_generator else None
    predict = _build_logits(teacher) if options.min_confidence else None
    return mixtures.Mixture(options, options.maker(split, generate), predict)


def generation(generator: keras.Model) -> sources.Generate:
    """A generator as a function from labels and randomness to examples."""
    length = generator.input["noise"].shape[-1]

    def generate(labels, rng):
        """Generates one example for each label."""
        noise = rng.standard_normal((len(labels), length), dtype=np.float32)
        # The noise is drawn outside the network: batches depend on `rng` alone.
        return _predict(generator, {"noise": noise, "label": labels})

    return generate


def _predict(model, inputs: Any):
    """Outputs for any number of examples, also one that devices cannot share evenly."""
    with data_parallel.sharding(enabled=False):
        return model.predict_on_batch(inputs)


def _build_logits(teacher) -> Callable[[np.ndarray], np.ndarray]:
    """A function from inputs to the teacher's logits, computed by a copy.

    On JAX, the variables of all that `fit` trains with are unusable while it runs.
    """
    copy = keras.models.clone_model(teacher)
    copy_weights(teacher, copy)
    logits = keras.Model(copy.inputs, copy.output["logits"])
    return lambda inputs: _predict(logits, inputs)
