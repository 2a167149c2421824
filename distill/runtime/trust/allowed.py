"""What may stand in a foreign model's config: classes that compute and nothing else.

None of them runs code from the file, opens a path or makes another file. Whatever takes
a function (`Lambda`, `keras.ops.map`, `cond`, ...) or a path (lookups, `TFSMLayer`) is
left out, and a new Keras' classes are not in here until someone has read them.
"""

import re

LAYERS = frozenset(
    """Activation ActivityRegularization AdaptiveAveragePooling1D
    AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D
    AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add AdditiveAttention AlphaDropout
    Attention AutoContrast Average AveragePooling1D AveragePooling2D AveragePooling3D
    BatchNormalization Bidirectional CategoryEncoding CenterCrop Concatenate ConvLSTM1D
    ConvLSTM2D ConvLSTM3D Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D
    Conv3DTranspose Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D
    DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Equalization
    Flatten GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D
    GlobalMaxPooling3D GroupNormalization GroupQueryAttention Identity InputLayer LSTM
    LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D
    Maximum MelSpectrogram Minimum MultiHeadAttention Multiply Normalization PReLU
    Permute Pipeline RMSNormalization RNN ReLU RepeatVector Rescaling Reshape Resizing
    ReversibleEmbedding STFTSpectrogram SeparableConv1D SeparableConv2D SimpleRNN
    SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D
    SpectralNormalization StackedRNNCells Subtract TimeDistributed UnitNormalization
    UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
    ZeroPadding3D""".split()  # noqa: SIM905
)
# Layers that change an example in training alone; see `bare`.
AUGMENTING = frozenset(
    """AugMix CutMix MixUp RandAugment RandomBrightness RandomColorDegeneration
    RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing
    RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
    RandomPerspective RandomPosterization RandomRotation RandomSaturation
    RandomSharpness RandomShear RandomTranslation RandomZoom""".split()  # noqa: SIM905
)
# Classes that have no public name, by the module of the installed Keras that has them:
# operations, as `x[:, 1:]` and `keras.ops` make them, and layers of applications.
PRIVATE: dict[str, frozenset[str]] = {
    "keras.src.applications.convnext": frozenset(["LayerScale", "StochasticDepth"]),
    "keras.src.applications.inception_resnet_v2": frozenset(["CustomScaleLayer"]),
    "keras.src.ops.core": frozenset(
        """Cast SaturateCast Scatter ScatterUpdate Slice SliceUpdate StopGradient
        Unstack""".split()  # noqa: SIM905
    ),
    "keras.src.ops.einops": frozenset(["Rearrange"]),
    "keras.src.ops.image": frozenset(
        """AffineTransform CropImages ExtractPatches GaussianBlur HSVToRGB PadImages
        RGBToGrayscale RGBToHSV Resize""".split()  # noqa: SIM905
    ),
    "keras.src.ops.linalg": frozenset(["Norm"]),
    "keras.src.ops.math": frozenset(
        """Erf Erfc Erfinv FFT FFT2 IFFT2 IRFFT Logsumexp RFFT Rsqrt SegmentMax
        SegmentSum TopK""".split()  # noqa: SIM905
    ),
    "keras.src.ops.nn": frozenset(
        """AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm Celu Conv
        ConvTranspose DepthToSpace DepthwiseConv DotProductAttention Elu Gelu Glu
        HardShrink HardSigmoid HardSilu HardTanh LayerNorm LeakyRelu LogSigmoid
        LogSoftmax MaxPool Moments MultiHot Normalize OneHot RMSNorm Relu Relu6 Selu
        SeparableConv Sigmoid Silu SoftShrink Softmax Softplus Softsign SpaceToDepth
        SparsePlus SparseSigmoid Sparsemax Squareplus TanhShrink Threshold
        Unfold""".split()  # noqa: SIM905
    ),
    "keras.src.ops.numpy": frozenset(
        """Abs Absolute Add All Amax Amin Any Append Arccos Arccosh Arcsin Arcsinh
        Arctan Arctan2 Arctanh Argmax Argmin Argsort Average BroadcastTo Cbrt Ceil Clip
        Concatenate Copy Cos Cosh CountNonzero Cross Cumprod Cumsum Diagonal Diff
        Digitize Divide DivideNoNan Dot Einsum Equal Exp Exp2 ExpandDims Expm1 Flip
        Floor FloorDivide FullLike GetItem Greater GreaterEqual Heaviside Hstack Hypot
        Inner Isfinite Isinf Isnan Less LessEqual Log Log10 Log1p Log2 Logaddexp
        LogicalAnd LogicalNot LogicalOr LogicalXor Matmul Max Maximum Mean Median Min
        Minimum Mod Moveaxis Multiply NanToNum Negative NotEqual OnesLike Outer Pad
        Power Prod Quantile Ravel Reciprocal Repeat Reshape Roll Rot90 Round Select Sign
        Sin Sinc Sinh Sort Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes
        Take TakeAlongAxis Tan Tanh Tensordot Tile Trace Transpose Tril Triu TrueDivide
        Trunc Var Vdot Vstack Where ZerosLike""".split()  # noqa: SIM905
    ),
}
_MODELS = ("Functional", "Sequential")
_PLAIN = ("keras.initializers", "keras.regularizers", "keras.constraints")
_FORMS = ("__keras_tensor__", "__tuple__", "__slice__", "__ellipsis__")
_NUMBERS = ("__numpy__", "__tensor__")  # Constants, written out as lists.
_NUMERIC = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|bfloat16")
_CLASS = re.compile(r"[A-Z]\w*")


def allowed(node: dict) -> bool:
    """Whether what a node of a config stands for computes and nothing else.

    Args:
        node: With a `class_name`. What is in it has to be asked for by itself.
    """
    module, name = node.get("module"), node.get("class_name")
    if not isinstance(name, str) or node.get("registered_name") not in (None, name):
        return False
    if module is None:
        return name in _FORMS or (name in _NUMBERS and _is_constant(node.get("config")))
    return (
        (module == "keras.layers" and name in LAYERS)
        or name in PRIVATE.get(module, ())
        or (module in _PLAIN and bool(_CLASS.fullmatch(name)))
        or (module == "keras" and name in ("DTypePolicy", *_MODELS))
        or (
            module in ("keras.src.models.functional", "keras.src.models.sequential")
            and name in _MODELS
        )
    )


def _is_constant(config):
    """Numbers alone: NumPy's other types hold more than they show."""
    if not isinstance(config, dict) or not isinstance(config.get("dtype"), str):
        return False
    return bool(_NUMERIC.fullmatch(config["dtype"])) and _numbers(config.get("value"))


def _numbers(value):
    if isinstance(value, list):
        return all(map(_numbers, value))
    return isinstance(value, int | float)
