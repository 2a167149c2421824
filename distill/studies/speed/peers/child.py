"""The process of one peer, for `worker`: with the arguments NAME FOLDER.

Its first line says what it has: networks, methods, version. Then each line that it
reads, in JSON, is answered by one: `{"stage": 0, "check": 3}` by the losses of three
steps; `{"stage": 0, "steps": 10}` by the mean seconds of ten, of the clock on the wall
and of its own CPU time.
"""

import importlib
import json
import os
import pathlib
import sys
import time
from typing import NamedTuple

import numpy as np

from distill import config

RATE = 0.01  # Of learning; momentum is the stage's.


class Task(NamedTuple):
    """What all peers are given.

    Attributes:
        run: Networks and stages.
        batch: Images `(batch, height, width, channels)`, and labels `(batch,)`.
        weights: Where the weights are that all start from, by role and layer; None
            for the one who writes them.
    """

    run: config.Run
    batch: tuple[np.ndarray, np.ndarray]
    weights: pathlib.Path

    def layers(self, role: str) -> dict[str, list[np.ndarray]]:
        """Name of each layer with weights to these, as Keras lists them."""
        found: dict[str, list[np.ndarray]] = {}
        with np.load(self.weights, allow_pickle=False) as arrays:
            for key in arrays.files:
                who, layer, _ = key.split("/")
                if who == role:
                    found.setdefault(layer, []).append(arrays[key])
        return found


def main(name: str, folder: str) -> None:
    """Answers until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Whatever else is printed is no answer.
    run = config.load(pathlib.Path(folder) / "run.yaml")
    rng = np.random.default_rng(0)
    images = rng.random((run.batch_size, *run.data.input_shape), np.float32)
    labels = rng.integers(0, run.data.num_classes, run.batch_size)
    task = Task(run, (images, labels), pathlib.Path(folder) / "weights.npz")
    peer = importlib.import_module(f"distill.studies.speed.peers.{name}")
    found = {"costs": peer.costs(task), "methods": peer.METHODS}
    learners: dict = {}

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say({**found, "package": peer.package()})
    for line in sys.stdin:
        asked = json.loads(line)
        index = asked["stage"]
        if index not in learners:
            learners[index] = peer.Learner(task, run.stages[index])
        learner = learners[index]
        if "check" in asked:
            say([learner.loss() for _ in range(asked["check"])])
        else:
            say(_timed(learner, asked["steps"]))


def _timed(learner, steps):
    wall, own = time.perf_counter(), time.process_time()
    learner.steps(steps)
    return {
        "seconds": (time.perf_counter() - wall) / steps,
        "cpu_seconds": (time.process_time() - own) / steps,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
