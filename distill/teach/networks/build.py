"""A network of a run as it is before training."""

import keras

from distill import config
from distill.config import roles
from distill.runtime import seeds
from distill.teach.networks import files
from distill.teach.networks.cuts import graph_of, naming_network, places


def build(name: str, run: config.Run) -> keras.Model:
    """A network as it is before training; all controls start as the student.

    Args:
        name: Of the model; one of several teachers or assistants starts otherwise
            than another.
        run: Whose teacher or student it is; see `lessons`. A teacher that is asked for
            is no file under the contract.

    Raises:
        ConfigError: If a network that is not under the contract cannot be used.
        Untrusted: If something speaks against opening its file.
    """
    alone = name if roles.is_reserved(name) else "student"
    role = "teacher" if alone.startswith("teacher") else "student"
    part = files.part_of(role, run)
    cuts = places(run).get(role)
    keras.utils.set_random_seed(seeds.seed_of(run.seed, alone, "weights"))
    if cuts is None:
        sizes = run.data.input_shape, run.data.num_classes, run.data.vocabulary
        return part.build(*sizes)
    graph = graph_of(role, run)
    found = {name: place.index for name, place in cuts.items()}
    network = naming_network(role, run, graph.cut, found)
    if part.file is None:
        return network
    # What a file holds is opened once, and stays as it was: this copy will be trained.
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy
