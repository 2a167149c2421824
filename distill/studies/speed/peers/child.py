"""The process of one peer, which `worker` starts with the arguments NAME FOLDER.

Its first line describes it: networks, methods, version. Then it answers each line of
JSON that it reads with another: `{"stage": 0, "check": 3}` with the losses of three
steps; `{"stage": 0, "steps": 10}` with the mean seconds of ten steps, in wall time and
in its own CPU time; `{"product": 2048}` with the seconds of a product of two matrices
of so many rows and columns.
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

RATE = 0.01  # The learning rate; momentum is the stage's.
COMPILED = "_compiled"  # The end of the name of a peer that compiles its steps.


class Task(NamedTuple):
    """The input of all peers.

    Attributes:
        run: The run, with networks and stages.
        batch: Images `(batch, height, width, channels)`, and labels `(batch,)`.
        weights: File of the initial weights, by role and layer. This project's process
            writes it.
        compiled: Whether PyTorch's steps are compiled.
    """

    run: config.Run
    batch: tuple[np.ndarray, np.ndarray]
    weights: pathlib.Path
    compiled: bool = False

    def layers(self, role: str) -> dict[str, list[np.ndarray]]:
        """The weights of each layer that has any, by its name, in Keras' order."""
        weights: dict[str, list[np.ndarray]] = {}
        with np.load(self.weights, allow_pickle=False) as arrays:
            for key in arrays.files:
                who, layer, _ = key.split("/")
                if who == role:
                    weights.setdefault(layer, []).append(arrays[key])
        return weights


def main(name: str, folder: str) -> None:
    """Answers requests until standard input is closed."""
    answers = os.fdopen(os.dup(1), "w")
    # Libraries print to standard output, too, where only answers may be.
    os.dup2(2, 1)
    run = config.load(pathlib.Path(folder) / "run.yaml")
    rng = np.random.default_rng(0)
    images = rng.random((run.batch_size, *run.data.input_shape), np.float32)
    labels = rng.integers(0, run.data.num_classes, run.batch_size)
    weights = pathlib.Path(folder) / "weights.npz"
    module = name.removesuffix(COMPILED)
    task = Task(run, (images, labels), weights, compiled=module != name)
    peer = importlib.import_module(f"distill.studies.speed.peers.{module}")
    description = {"costs": peer.costs(task), "methods": peer.METHODS}
    learners: dict = {}

    def answer(content):
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    answer({**description, "package": peer.package(task)})
    for line in sys.stdin:
        request = json.loads(line)
        if "product" in request:
            answer(_time_product(peer, task, request["product"]))
            continue
        index = request["stage"]
        if index not in learners:
            learners[index] = peer.Learner(task, run.stages[index])
        learner = learners[index]
        if "check" in request:
            answer([learner.loss() for _ in range(request["check"])])
        else:
            answer(_time_steps(learner, request["steps"]))


def _time_product(peer, task, size):
    """Seconds of a product of two matrices, in the precision of the run."""
    half = task.run.hardware.precision == "mixed_bfloat16"
    values = np.random.default_rng(0).standard_normal((size, size), np.float32)
    multiply = peer.product(values, "bfloat16" if half else "float32")
    multiply()  # The first one also allocates memory.
    start = time.perf_counter()
    multiply()
    return time.perf_counter() - start


def _time_steps(learner, steps):
    wall, own = time.perf_counter(), time.process_time()
    learner.steps(steps)
    return {
        "seconds": (time.perf_counter() - wall) / steps,
        "cpu_seconds": (time.process_time() - own) / steps,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
