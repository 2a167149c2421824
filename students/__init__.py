"""Networks, large and small: each entry's `build` returns one `keras.Model`.

The contract of a network: one functional model from float32 images in [0, 1],
channels last, to a dict with `"logits"` and, in order, its representations
`"stem"`, `"section1"`, `"section2"`, ... A section is also a nested functional
model of that name, so that it can be called on any tensor of its input's shape.
"""

from students.lenet import LeNet
from students.network import Network
from students.nin import NIN
from students.resnet import ResNet

__all__ = ["BUILDERS", "NIN", "LeNet", "Network", "ResNet"]

BUILDERS = {
    "lenet": LeNet,
    "nin": NIN,
    "resnet": ResNet,
}
