"""Ways to learn: each entry is a method, its options and its losses.

A method is a loss, not a loop. It is a frozen dataclass, so that the options of
a whole run can be checked without importing Keras. The one loop is Keras' own,
in `trainers.trainer.Trainer`, which owns the networks and asks the method for
its terms.
"""

from trainers.adversarial import Adversarial
from trainers.kd import KD
from trainers.lit import LIT
from trainers.lit_adversarial import LITAdversarial
from trainers.supervised import Supervised

TRAINERS = {
    "supervised": Supervised,
    "kd": KD,
    "lit": LIT,
    "adversarial": Adversarial,
    "lit_adversarial": LITAdversarial,
}
