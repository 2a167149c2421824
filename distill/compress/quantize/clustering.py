"""Weight clustering by TF-MOT, with averaged gradients of the centroids."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras
from tensorflow_model_optimization.clustering import keras as clustering
from tensorflow_model_optimization.python.core.clustering.keras import cluster_config

from distill.compress.finishers import clustered, quantized
from distill.compress.prune import magnitude


def wrap(model: Any, clusters: int, **options: Any) -> Any:
    """A copy of a model whose kernels are clustered in training.

    Args:
        model: A functional tf_keras model, as `folding.fold` returns it.
        clusters: Maximum number of different weights in each kernel. A layer whose
            kernels have no more already is frozen.
        **options: Options of TF-MOT.
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
    model: Any, part: clustered.Clustered, fit: Callable[..., None], **options: Any
) -> Any:
    """Trains a folded twin with clustered kernels.

    Args:
        model: The twin.
        part: The finisher with the options.
        fit: Trains a model that TF-MOT has wrapped; gets changes of the training.
        **options: Options of TF-MOT.

    Returns:
        The trained model without TF-MOT's wrappers.
    """
    model = wrap(model, part.clusters, **options)
    fit(model, clip_norm=quantized.CLUSTERS_CLIP_NORM)
    return clustering.strip_clustering(model)


def averaging() -> Any:
    """TF-MOT's averaging of the gradients of a cluster's weights.

    TF-MOT adds them by default, so that a centroid of hundreds of weights would take
    steps hundreds of times as long.
    """
    return cluster_config.GradientAggregation.AVG
