"""Searches a foreign SavedModel before TensorFlow opens it.

A SavedModel is a graph of TensorFlow's operations, some of which read and write files
or run code. Only those that compute may be in what can be called.
"""

import math
import pathlib
import re

from distill.runtime.trust.limits import LARGEST, Refused

SIGNATURE = "serving_default"
_MEMBERS = re.compile(
    r"saved_model\.pb|fingerprint\.pb|keras_metadata\.pb|variables/variables\.index"
    r"|variables/variables\.data-\d{5}-of-\d{5}"
)
_FILES = 1000
# Objects that only hold, compute or name something. A `resource`, such as a table, runs
# a function when it is loaded, and an `asset` is another file.
_KINDS = ("user_object", "function", "variable", "bare_concrete_function", "constant")
_KINDS += ("captured_tensor",)
# Operations that read neither files nor the network, run no code that is not in the
# graph, and change nothing outside it. TensorFlow's own mark for state does not tell:
# `ReadFile` has none.
_OPERATIONS = frozenset(
    """Abs Acos Acosh Add AddN AddV2 AdjustContrastv2 AdjustHue AdjustSaturation All
    Any ArgMax ArgMin Asin Asinh Assert Atan Atan2 Atanh AvgPool AvgPool3D BatchMatMul
    BatchMatMulV2 BatchMatMulV3 BatchToSpace BatchToSpaceND BiasAdd Bitcast
    BroadcastArgs BroadcastTo Bucketize Case Cast Ceil ClipByValue Concat ConcatV2
    Const Conv Conv2D Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 Cos Cosh
    CropAndResize Cumprod Cumsum DepthToSpace DepthwiseConv2dNative Diag DiagPart Div
    DivNoNan DynamicPartition DynamicStitch Einsum Elu EmptyTensorList EnsureShape
    Equal Erf Erfc Erfinv EuclideanNorm Exp ExpandDims Expm1 ExtractImagePatches FFT
    FFT2D FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
    FakeQuantWithMinMaxVarsPerChannel Fill Floor FloorDiv FloorMod FusedBatchNorm
    FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd GatherV2 Greater GreaterEqual
    HSVToRGB IFFT IFFT2D IRFFT IRFFT2D Identity IdentityN If
    ImageProjectiveTransformV2 ImageProjectiveTransformV3 Inv InvertPermutation
    IsFinite IsInf IsNan L2Loss LRN LeakyRelu Less LessEqual LinSpace Log Log1p
    LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul MatrixBandPart MatrixDiag
    MatrixDiagPartV3 MatrixDiagV3 Max MaxPool MaxPool3D MaxPoolV2 Maximum Mean Min
    Minimum MirrorPad Mod Mul MulNoNan Neg NoOp NotEqual OneHot OnesLike Pack Pad
    PadV2 PartitionedCall Placeholder PlaceholderWithDefault Pow PreventGradient Prod
    RFFT RFFT2D RGBToHSV Range Rank ReadVariableOp RealDiv Reciprocal Relu Relu6
    Reshape ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor
    ResourceGather ResourceGatherNd Reverse ReverseSequence ReverseV2 Rint Roll Round
    Rsqrt ScaleAndTranslate ScatterNd SegmentMax SegmentMean SegmentSum Select
    SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Softmax Softplus
    Softsign SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square SquaredDifference
    Squeeze StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile
    StopGradient StridedSlice Sub Sum Tan Tanh TensorListConcatV2
    TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem
    TensorListLength TensorListReserve TensorListSetItem TensorListStack
    TensorScatterUpdate Tile TopKV2 Transpose TruncateDiv TruncateMod
    UniformDequantize UniformQuantize Unpack UnsortedSegmentMax UnsortedSegmentSum
    VariableShape Where While Xdivy Xlogy ZerosLike""".split()  # noqa: SIM905
)


def members(path: pathlib.Path) -> list[pathlib.Path]:
    """The files of a SavedModel, relative to its folder.

    Args:
        path: The folder.

    Raises:
        Refused: If a file is none of a SavedModel's, is no plain file, or is too large.
    """
    found, total = [], 0
    for file in path.rglob("*"):
        name = file.relative_to(path).as_posix()
        if len(found) > _FILES:
            raise Refused(f"more than {_FILES} files")
        if file.is_symlink():
            raise Refused(f"a link to another file: {name!r}")
        if file.is_dir():
            continue
        if not file.is_file() or not _MEMBERS.fullmatch(name):
            raise Refused(f"a file that belongs to no SavedModel: {name!r}")
        found.append(pathlib.Path(name))
        total += file.stat().st_size
    if pathlib.Path("saved_model.pb") not in found:
        raise Refused("it is no SavedModel: it has no saved_model.pb")
    if total > LARGEST:
        raise Refused(f"files of {total:,} bytes")
    return sorted(found)


def check(content: bytes) -> None:
    """Searches the graph of a SavedModel.

    Args:
        content: Its file `saved_model.pb`.

    Raises:
        Refused: If it is damaged, of TensorFlow 1, or has no signature; if something
            runs while it is loaded; if what can be called has operations that do more
            than compute; or if a shape is too large.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(content)
    except Exception as error:  # A damaged file raises whatever protobuf does.
        raise Refused(f"it is no whole SavedModel: {error}") from None
    graphs = [graph for graph in model.meta_graphs if graph.object_graph_def.nodes]
    if len(graphs) != 1 or len(model.meta_graphs) != 1:
        raise Refused("it is no SavedModel of TensorFlow 2")
    (graph,) = graphs
    if SIGNATURE not in graph.signature_def:
        raise Refused(f"it has no signature `{SIGNATURE}`")
    for node in graph.object_graph_def.nodes:
        _check_object(node)
    for operation in graph.graph_def.node:  # Of these only constants are read.
        _check_shapes(operation)
    functions = {each.signature.name: each for each in graph.graph_def.library.function}
    # What saves and restores is among the functions, too, and is never called.
    for name in _reachable(graph.object_graph_def.concrete_functions, functions):
        for operation in functions[name].node_def:
            _check_operation(operation)


def _check_object(node):
    kind = node.WhichOneof("kind")
    if kind not in (None, *_KINDS) or node.saveable_objects or node.registered_saver:
        raise Refused(f"an object that does something while it is loaded: {kind}")
    if kind == "variable":
        _check_shape(node.variable.shape)


def _reachable(roots, functions):
    """Names of all functions that can be called."""
    seen, pending = set(), [name for name in roots if name in functions]
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        for operation in functions[name].node_def:
            pending += _called(operation, functions)
    return seen


def _called(operation, functions):
    """The functions that an operation has among its attributes, or is itself."""
    names = [operation.op]
    for value in operation.attr.values():
        names += [value.func.name, *(func.name for func in value.list.func)]
    return [name for name in names if name in functions]


def _check_operation(operation):
    if operation.op not in _OPERATIONS:
        raise Refused(
            f"the operation {operation.op} ({operation.name[:40]!r}), which is none of "
            "those that only compute"
        )
    _check_shapes(operation)


def _check_shapes(operation):
    for value in operation.attr.values():
        for tensor in (value.tensor, *value.list.tensor):
            _check_shape(tensor.tensor_shape)
        for shape in (value.shape, *value.list.shape):
            _check_shape(shape)


def _check_shape(shape):
    sizes = [max(1, dim.size) for dim in shape.dim]
    if math.prod(sizes) * 4 > LARGEST:
        raise Refused(f"the shape {sizes}")
