"""Finishers: each makes one exported file of a trained student, with a promise.

TF-MOT is imported only in a separate process, `distill.run.child`: importing it can
turn `tf.keras` into Keras 2 for the whole process. A config reads this package, which
therefore imports neither TF-MOT nor TensorFlow.
"""

from distill.compress.base.finisher import Finisher
from distill.compress.finishers.calibrated import Int8Calibrated, Int16x8
from distill.compress.finishers.clustered import (
    Clustered,
    ClusteredInt8,
    PrunedClustered,
    PrunedClusteredInt8,
)
from distill.compress.finishers.coded import Coded, CodedInt8
from distill.compress.finishers.conversions import (
    DynamicInt4,
    DynamicInt8,
    Float16,
    Float32,
)
from distill.compress.finishers.narrowed import Narrowed, NarrowedInt8
from distill.compress.finishers.nary import Nary
from distill.compress.finishers.pruned import Pruned
from distill.compress.finishers.pruned_int8 import PrunedInt8
from distill.compress.finishers.quantized import Int8
from distill.compress.finishers.tabled import ClusteredInt8Lut, PrunedClusteredInt8Lut

__all__ = ["FINISHERS", "SEARCHED", "Finisher", "name_of"]

FINISHERS = {
    "float32": Float32,
    "float16": Float16,
    "dynamic_int8": DynamicInt8,
    "dynamic_int4": DynamicInt4,
    "int8_calibrated": Int8Calibrated,
    "int16x8": Int16x8,
    "int8": Int8,
    "pruned": Pruned,
    "pruned_int8": PrunedInt8,
    "clustered": Clustered,
    "clustered_int8": ClusteredInt8,
    "clustered_int8_lut": ClusteredInt8Lut,
    "pruned_clustered": PrunedClustered,
    "pruned_clustered_int8": PrunedClusteredInt8,
    "pruned_clustered_int8_lut": PrunedClusteredInt8Lut,
    "coded": Coded,
    "coded_int8": CodedInt8,
    "nary": Nary,
    "narrowed": Narrowed,
    "narrowed_int8": NarrowedInt8,
}
# What a search tries that is not told what: nothing that needs further packages.
SEARCHED = tuple(name for name, kind in FINISHERS.items() if not kind.packages)


def name_of(part: Finisher) -> str:
    """The name of a finisher in YAML."""
    return next(name for name, kind in FINISHERS.items() if kind is type(part))
