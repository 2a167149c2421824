"""Networks, large and small: each entry's `build` returns one `keras.Model`.

The contract of a network: one functional model from float32 images in [0, 1],
channels last, or from texts, int32 ids of one length, to a dict with `"logits"` and,
in order, its representations `"stem"`, `"section1"`, `"section2"`, ... A section is
also a nested functional model of that name, so that it can be called on any tensor of
its input's shape.
"""

from students.ds_cnn import DSCNN
from students.keras_models.application import KerasApplication
from students.keras_models.file import KerasFile
from students.keras_models.model import KerasModel
from students.keras_models.own_python import OwnPython
from students.lenet import LeNet
from students.mobilenet import MobileNet
from students.network import Network
from students.nin import NIN
from students.resnet import ResNet
from students.resnext import ResNeXt
from students.vdcnn import VDCNN
from students.wide_resnet import WideResNet

__all__ = [
    "BUILDERS",
    "DSCNN",
    "NIN",
    "VDCNN",
    "KerasApplication",
    "KerasFile",
    "KerasModel",
    "LeNet",
    "MobileNet",
    "Network",
    "OwnPython",
    "ResNeXt",
    "ResNet",
    "WideResNet",
]

BUILDERS = {
    "ds_cnn": DSCNN,
    "keras_application": KerasApplication,
    "keras_file": KerasFile,
    "lenet": LeNet,
    "mobilenet": MobileNet,
    "nin": NIN,
    "python": OwnPython,
    "resnet": ResNet,
    "resnext": ResNeXt,
    "vdcnn": VDCNN,
    "wide_resnet": WideResNet,
}
