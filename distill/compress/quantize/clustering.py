"""Clusters of weights that are trained by TF-MOT, and their averaged gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras
from tensorflow_model_optimization.clustering import keras as clustering
from tensorflow_model_optimization.python.core.clustering.keras import cluster_config

from distill.compress.finishers import clustered
from distill.compress.prune import magnitude


def wrap(model: Any, clusters: int, **options: Any) -> Any:
    """A tf_keras model whose kernels get clustered; its layers are those of `model`.

    Args:
        model: A functional tf_keras model, as `folding.fold` writes it.
        clusters: Different weights in each kernel, at most. One that has no more is
            frozen as it is.
        **options: Of TF-MOT.
    """
    options = {
        "cluster_centroids_init": clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
        "cluster_gradient_aggregation": averaging(),
        **options,
    }

    def wrap(layer):
        kernels = magnitude.kernels(layer)
        if not kernels:
            return layer
        if all(len(np.unique(kernel)) <= clusters for kernel in kernels):
            layer.trainable = False
            return layer
        return clustering.cluster_weights(layer, clusters, **options)

    return tf_keras.models.clone_model(model, clone_function=wrap)


def cluster(
    model: Any, part: clustered.Clustered, fit: Callable[[Any], None], **options: Any
) -> Any:
    """Trains the clusters of a folded twin.

    Args:
        model: The twin.
        part: The finisher with the options.
        fit: Trains what TF-MOT wrapped.
        **options: Of TF-MOT.

    Returns:
        What it has become, without wrappers.
    """
    model = wrap(model, part.clusters, **options)
    fit(model)
    return clustering.strip_clustering(model)


def averaging() -> Any:
    """How TF-MOT's centroids learn: by a sum over hundreds, a step is as long."""
    return cluster_config.GradientAggregation.AVG
