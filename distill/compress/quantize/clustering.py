"""Clusters of weights that are trained by TF-MOT, and their averaged gradient."""

from typing import Any

from distill.compress.prune import magnitude


def wrap(model: Any, clusters: int, **options: Any) -> Any:
    """A tf_keras model whose kernels get clustered; its layers are those of `model`.

    Args:
        model: A functional tf_keras model, as `forms.folded` writes it.
        clusters: Different weights in each kernel, at most. One that has no more is
            frozen as it is.
        **options: Of TF-MOT.
    """
    import numpy as np
    import tf_keras
    from tensorflow_model_optimization.clustering import keras as clustering

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


def _train(bench, part, model, **options):
    """Clusters a folded twin; returns what it has become, without wrappers."""
    from tensorflow_model_optimization.clustering import keras as clustering

    model = wrap(model, part.clusters, **options)
    bench.fit(model, part)
    return clustering.strip_clustering(model)


def averaging() -> Any:
    """How TF-MOT's centroids learn: by a sum over hundreds, a step is as long."""
    from tensorflow_model_optimization.python.core.clustering.keras import (
        cluster_config,
    )

    return cluster_config.GradientAggregation.AVG
