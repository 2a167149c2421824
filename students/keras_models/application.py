"""The networks of `keras.applications`, for images of any size that they support."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Literal

from students.keras_models.copying import copy_weights
from students.keras_models.model import KerasModel

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # Of ImageNet.

# What images in [0, 1] become before each network sees them: scale and offset.
# These are the modes `tf`, none, `torch` and `caffe` of Keras' `preprocess_input`.
_BOTH_SIGNS = 2.0, -1.0
_BYTES = 255.0, 0.0
_STANDARD = (
    tuple(1 / deviation for deviation in _DEVIATION),
    tuple(-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)),
)
# Blue comes first, too: see `_reverse_channels`.
_CENTRED = 255.0, (-123.68, -116.779, -103.939)

_SCALES = {
    "MobileNet": _BOTH_SIGNS,
    "MobileNetV2": _BOTH_SIGNS,
    "MobileNetV3Small": _BOTH_SIGNS,
    "MobileNetV3Large": _BOTH_SIGNS,
    "ResNet50V2": _BOTH_SIGNS,
    "ResNet101V2": _BOTH_SIGNS,
    "ResNet152V2": _BOTH_SIGNS,
    "Xception": _BOTH_SIGNS,
    "InceptionV3": _BOTH_SIGNS,
    "InceptionResNetV2": _BOTH_SIGNS,
    "EfficientNetB0": _BYTES,
    "EfficientNetB1": _BYTES,
    "EfficientNetB2": _BYTES,
    "EfficientNetB3": _BYTES,
    "EfficientNetV2B0": _BYTES,
    "EfficientNetV2B1": _BYTES,
    "EfficientNetV2B2": _BYTES,
    "EfficientNetV2B3": _BYTES,
    "DenseNet121": _STANDARD,
    "DenseNet169": _STANDARD,
    "DenseNet201": _STANDARD,
    "ResNet50": _CENTRED,
    "ResNet101": _CENTRED,
    "ResNet152": _CENTRED,
    "VGG16": _CENTRED,
    "VGG19": _CENTRED,
}
_WITH_ALPHA = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large")


@dataclasses.dataclass(frozen=True, kw_only=True)
class KerasApplication(KerasModel):
    """A network of `keras.applications` without its top, and a new head.

    The input is images in [0, 1]: the first layer preprocesses them as the network's
    authors do, and is trained with the others. Grey images become three equal channels.
    The head is a mean over all positions and a dense layer. Automatic names of layers
    are counted from the start of this network, so that they are the same in every
    process. The statistics of BatchNormalization cover about the last ten steps, as in
    all networks here, and not the last hundreds or thousand.

    Attributes:
        model: Its name in `keras.applications`.
        weights: `null`, random weights; `imagenet`, which Keras downloads once; or the
            path of a `.keras` file of the same network, saved by this project, from
            which each layer gets the weights of the layer of the same name.
        alpha: Multiplies the channels; only for the MobileNets. `null` means 1.

    Raises:
        ValueError: If an option is out of its range.
    """

    model: Literal[tuple(_SCALES)]  # type: ignore[valid-type]
    weights: str | None = None
    alpha: float | None = None

    def __post_init__(self):
        """Refuses options that the network does not have."""
        super().__post_init__()
        fits = self.alpha is None or self.model in _WITH_ALPHA
        self._check("alpha", fits, f"absent but for {', '.join(_WITH_ALPHA)}")
        self._check("alpha", self.alpha is None or self.alpha > 0, "positive")
        exists = self.file is None or pathlib.Path(self.file[0]).expanduser().exists()
        self._check("weights", exists, "null, imagenet, or a .keras file that exists")

    @property
    def file(self):
        """The file of the weights, if they are from one."""
        if self.weights is None or self.weights == "imagenet":
            return None
        return self.weights, None

    def whole(self, input_shape, num_classes, opened, vocabulary=None):
        """Preprocessing, the network, and the head."""
        import keras

        from students import layers
        from students.keras_models import flat

        images = x = keras.Input(input_shape, name="images")
        if input_shape[-1] == 1:
            x = keras.layers.Concatenate(name="three_channels")([x, x, x])
        x = _scale(x, *_SCALES[self.model])
        body = _copy_with_stable_names(self._body((*input_shape[:-1], 3)))
        flat.decay(body, self.weight_decay)
        if self.file:
            _copy_weights(body, opened(*self.file))
        if self.weights == "imagenet" and _SCALES[self.model] is _CENTRED:
            _reverse_channels(body)
        x = keras.layers.GlobalAveragePooling2D(name="pool")(body(x))
        x = layers.dense(x, num_classes, self.weight_decay, name="head")
        whole = keras.Model(images, x, name=self.model.lower())
        return flat.flatten(whole, input_shape)

    def _body(self, input_shape):
        import keras

        options = {} if self.alpha is None else {"alpha": self.alpha}
        if self.model.startswith("MobileNetV3"):
            options["include_preprocessing"] = False  # The same as ours, of bytes.
        weights = "imagenet" if self.weights == "imagenet" else None
        try:
            return getattr(keras.applications, self.model)(
                include_top=False, weights=weights, input_shape=input_shape, **options
            )
        except Exception as error:  # Keras lets through whatever the network raised.
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            if weights is None:
                raise ValueError(
                    f"{self.model} of images {input_shape}: {reason}"
                ) from None
            raise ValueError(
                f"`weights` must be null or a .keras file where ImageNet's cannot be "
                f"had. Received: imagenet ({reason})"
            ) from None


def _scale(x, scale, offset):
    """Scales by a depthwise convolution, since TF-MOT supports no `Rescaling`."""
    import keras
    from keras import ops

    layer = keras.layers.DepthwiseConv2D(1, name="preprocessing")
    scaled = layer(x)
    for variable, value in ((layer.kernel, scale), (layer.bias, offset)):
        values = ops.broadcast_to(ops.convert_to_tensor(value, "float32"), (3,))
        variable.assign(ops.reshape(values, variable.shape))
    return scaled


def _copy_with_stable_names(network):
    """A copy with names counted from its first layer, and our momentum of norms."""
    import keras

    from students import layers

    counts: dict[str, int] = {}

    def clone(layer):
        base = re.sub(r"_\d+$", "", layer.name)
        options = layer.get_config()
        # Only names that Keras has numbered: those that an author chose stay.
        if base.replace("_", "") == type(layer).__name__.lower():
            number = counts[base] = counts.get(base, -1) + 1
            options["name"] = f"{base}_{number}"
        if isinstance(layer, keras.layers.BatchNormalization):
            options["momentum"] = layers.NORM_MOMENTUM
        return type(layer).from_config(options)

    copy = keras.models.clone_model(network, clone_function=clone)
    copy_weights(network, copy)
    return copy


def _copy_weights(body, opened):
    """Copies the weights of an opened model into the layers of the same names.

    Raises:
        ValueError: If a layer is missing there or has other shapes; names it.
    """
    from students.keras_models import flat

    shape = opened.inputs[0].shape[1:]
    sources = {layer.name: layer for layer in flat.flatten(opened, shape).layers}
    for layer in filter(lambda layer: layer.weights, body.layers):
        try:
            layer.set_weights(sources[layer.name].get_weights())
        except (KeyError, ValueError):
            raise ValueError(
                f"`weights` must be of a {body.name}. Received: a file without a layer "
                f"{layer.name} of the same shapes"
            ) from None


def _reverse_channels(body):
    """Reverses the first kernel: ImageNet's weights expect blue, green, red."""
    layer = next(layer for layer in body.layers if hasattr(layer, "kernel"))
    kernel, *others = layer.get_weights()
    layer.set_weights([kernel[:, :, ::-1], *others])
