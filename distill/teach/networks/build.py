"""Builds a network of a run as it is before training."""

import keras

from distill import config
from distill.config import roles
from distill.runtime import seeds
from distill.teach.networks import files
from distill.teach.networks.cuts import call_naming_network, graph_of, places
from students.keras_models.copying import copy_weights


def build(name: str, run: config.Run) -> keras.Model:
    """Builds a network with its initial weights.

    Args:
        name: Name of the network. Each teacher and assistant has its own initial
            weights; all controls have those of the student.
        run: The run in which it is the teacher or the student; see `lessons`. A teacher
            from a file under the contract is not built here.

    Raises:
        ConfigError: If a network that is not under the contract cannot be used.
        Untrusted: If its file may be unsafe.
    """
    seed_name = name if roles.is_reserved(name) else "student"
    role = "teacher" if seed_name.startswith("teacher") else "student"
    part = files.part_of(role, run)
    cuts = places(run).get(role)
    keras.utils.set_random_seed(seeds.seed_of(run.seed, seed_name, "weights"))
    if cuts is None:
        sizes = run.data.input_shape, run.data.num_classes, run.data.vocabulary
        return part.build(*sizes)
    graph = graph_of(role, run)
    indices = {name: place.index for name, place in cuts.items()}
    network = call_naming_network(role, run, graph.cut, indices)
    if part.file is None:
        return network
    # A file is opened once in a process, and its network shared. A copy is trained.
    copy = keras.models.clone_model(network)
    copy_weights(network, copy)
    return copy
