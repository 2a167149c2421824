"""Ways to learn: each entry is a method, its options and its losses.

A method is a loss, not a loop. It is a frozen dataclass, so that the options of
a whole run can be checked without importing Keras. The one loop is Keras' own,
in `trainers.trainer.Trainer`, which owns the networks and asks the method for
its terms.
"""

from trainers.lit.lit import LIT
from trainers.lit.lit_adversarial import LITAdversarial
from trainers.lit.lit_parallel import LITParallel
from trainers.methods.adversarial import Adversarial
from trainers.methods.attention_transfer import AttentionTransfer
from trainers.methods.crd import CRD
from trainers.methods.dist import DIST
from trainers.methods.dkd import DKD
from trainers.methods.embedding import Embedding
from trainers.methods.fitnet import FitNet
from trainers.methods.kd import KD
from trainers.methods.relational import Relational
from trainers.methods.similarity_preserving import SimilarityPreserving
from trainers.methods.supervised import Supervised

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
    "embedding": Embedding,
}
