"""What was tried while the student trains is not tried again when it is trained."""

# tf_keras in a process of its own, as in `test_finish.py`.
CHILD = """
import json

import benches
import numpy as np

from distill.compress import capabilities, trials
from distill.run import early
from distill.teach.networks import build

run, folder = benches.begin("[{name: int8}, {name: pruned}, {name: pruned_int8}]")
tried, try_action = [], trials.try_action


def record(*given):
    tried.append(given)
    return try_action(*given)


trials.try_action = record
early.try_layers(run, folder)
results = {"early": len(tried)}
student = build.build("student", run)
rng = np.random.default_rng(0)
student.set_weights([rng.uniform(0.5, 1.5, x.shape) for x in student.get_weights()])
work = benches.open_bench(run, folder, student)
for scheme in ("", " zeros"):
    engine, refused = capabilities.choose_engine(work.twin(), "auto", scheme)
    results[f"tfmot{scheme}"] = [engine, refused]
results["again"] = len(tried) - results["early"]
early.try_layers(run, folder)
results["trained"] = len(tried) - results["early"]
print(json.dumps(results))
"""


def test_layers_and_network_are_known_whatever_the_weights(results):
    assert results["early"] > 2
    assert results["tfmot"] == results["tfmot zeros"] == ["tfmot", {}]
    assert results["again"] == results["trained"] == 0
