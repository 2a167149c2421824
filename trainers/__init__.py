"""Ways to learn: each entry is a method, its options and its losses.

A method is a loss, not a loop. It is a frozen dataclass, so that the options of
a whole run can be checked without importing Keras. The one loop is Keras' own,
in `trainers.trainer.Trainer`, which owns the networks and asks the method for
its terms.
"""

from trainers.adversarial import Adversarial
from trainers.attention_transfer import AttentionTransfer
from trainers.crd import CRD
from trainers.dist import DIST
from trainers.dkd import DKD
from trainers.fitnet import FitNet
from trainers.kd import KD
from trainers.lit import LIT
from trainers.lit_adversarial import LITAdversarial
from trainers.lit_parallel import LITParallel
from trainers.relational import Relational
from trainers.similarity_preserving import SimilarityPreserving
from trainers.supervised import Supervised

TRAINERS = {
    "supervised": Supervised,
    "kd": KD,
    "lit": LIT,
    "lit_parallel": LITParallel,
    "adversarial": Adversarial,
    "lit_adversarial": LITAdversarial,
    "fitnet": FitNet,
    "attention_transfer": AttentionTransfer,
    "similarity_preserving": SimilarityPreserving,
    "relational": Relational,
    "dkd": DKD,
    "dist": DIST,
    "crd": CRD,
}
