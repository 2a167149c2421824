"""Opens a foreign model of each format; only in the process of `child`.

Each function returns one from a batch, float32 or ids, to the outputs: an array, or a
dict of arrays by name.
"""

import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from distill.measure import interpreter as measuring
from distill.runtime.errors import ConfigError
from distill.runtime.trust import (
    limits,
    own_python,
    scan_onnx,
    scan_saved_model,
    scan_tflite,
)

Model = Callable[[np.ndarray], Any]


def open_onnx(path: str) -> Model:
    """Opens an ONNX model with onnxruntime, on the CPU.

    Raises:
        Refused: If it may be unsafe, or cannot be opened.
    """
    import onnxruntime

    content = _content(path)
    scan_onnx.check(content)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = attempt(
        lambda: onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        ),
        "onnxruntime cannot open it",
    )
    (taken, *more), names = (
        session.get_inputs(),
        [x.name for x in session.get_outputs()],
    )
    _check_one(more)
    # A size that has a name may be any.
    shape = [size if isinstance(size, int) else None for size in taken.shape] or None
    kind = {"tensor(float)": np.float32, "tensor(int32)": np.int32}
    kind |= {"tensor(int64)": np.int64, "tensor(uint8)": np.uint8}
    dtype = kind.get(taken.type, np.float32)

    def run(batch):
        return dict(zip(names, session.run(names, {taken.name: batch}), strict=True))

    return _in_parts(run, shape, dtype)


def open_tflite(path: str) -> Model:
    """Opens a `.tflite` file with LiteRT.

    Raises:
        Refused: If it may be unsafe, or cannot be opened.
    """
    from ai_edge_litert import interpreter

    content = _content(path)
    scan_tflite.check(content)
    model = attempt(
        lambda: interpreter.Interpreter(
            model_content=content, num_threads=os.cpu_count()
        ),
        "LiteRT cannot open it",
    )
    (taken, *more), given = model.get_input_details(), model.get_output_details()
    _check_one(more)
    names = _output_names(model, given)
    shape = [None if size < 0 else int(size) for size in taken["shape_signature"]]

    def run(batch):
        if list(model.get_input_details()[0]["shape"]) != list(batch.shape):
            model.resize_tensor_input(taken["index"], batch.shape)
        model.allocate_tensors()
        model.reset_all_variables()  # A recurrent op goes on from the batch before.
        values = measuring.quantize(batch, taken)
        model.set_tensor(taken["index"], _cast(values, taken["dtype"]))
        model.invoke()
        return {
            name: measuring.dequantize(model.get_tensor(output["index"]), output)
            for name, output in zip(names, given, strict=True)
        }

    return _in_parts(run, shape, None)


def open_saved_model(path: str) -> Model:
    """Opens a SavedModel of TensorFlow 2: the signature `serving_default`.

    Raises:
        Refused: If it may be unsafe, or cannot be opened.
    """
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # The student's process has it.
    folder = pathlib.Path(path)
    names = scan_saved_model.members(folder)
    scan_saved_model.check((folder / "saved_model.pb").read_bytes())
    with tempfile.TemporaryDirectory() as copy:
        for name in names:  # Only what was searched.
            (pathlib.Path(copy) / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / name, pathlib.Path(copy) / name)
        scan_saved_model.check((pathlib.Path(copy) / "saved_model.pb").read_bytes())
        model = attempt(lambda: tf.saved_model.load(copy), "TensorFlow cannot open it")
    signature = model.signatures[scan_saved_model.SIGNATURE]
    ((name, taken), *more) = signature.structured_input_signature[1].items()
    _check_one(more)

    def run(batch, model=model):  # The model holds the variables.
        outputs = signature(**{name: tf.constant(batch)})
        return {key: value.numpy() for key, value in outputs.items()}

    return _in_parts(run, taken.shape.as_list(), taken.dtype.as_numpy_dtype)


def open_python(source: str) -> Model:
    """Loads the user's own function, which has all of their rights.

    Raises:
        ConfigError: If it cannot be loaded; so does the function, if it fails.
    """
    function = own_python.load(source, allowed=True)  # The other process has asked.

    def run(batch):
        with own_python.running(source):
            return function(batch)

    return run


FORMATS: dict[str, Callable[[str], Model]] = {
    "onnx": open_onnx,
    "tflite": open_tflite,
    "saved_model": open_saved_model,
    "python": open_python,
}


def _content(path):
    file = pathlib.Path(path)
    if not file.is_file():
        raise limits.Refused("it is no file")
    if file.stat().st_size > limits.LARGEST:
        raise limits.Refused(f"a file of {file.stat().st_size:,} bytes")
    return file.read_bytes()


def attempt(function: Callable[[], Any], what: str) -> Any:
    """What a function returns.

    Raises:
        Refused: If it raises anything; begins with `what`.
    """
    try:
        return function()
    except Exception as error:  # A damaged file raises whatever its reader does.
        raise limits.Refused(f"{what}: {_first_line(error)}") from None


def _first_line(error):
    return (str(error) or type(error).__name__).strip().splitlines()[0][:300]


def _check_one(more):
    if more:
        raise ConfigError(
            f"a teacher must have one input. Received: {1 + len(more)} inputs"
        )


def _output_names(model, given):
    """The names of outputs in the file's signature, if it has one."""
    signatures = model.get_signature_list()
    if not signatures:
        return [output["name"] for output in given]
    key = next(iter(signatures))
    details = model.get_signature_runner(key).get_output_details()
    names = {each["index"]: name for name, each in details.items()}
    return [names.get(output["index"], output["name"]) for output in given]


def _in_parts(run, shape, dtype):
    """A function that gives a model batches of the size that it takes.

    Args:
        run: From a batch to a dict of outputs.
        shape: The declared shape of the input; None where any size will do. None
            itself if it is not known.
        dtype: What the model takes; None leaves the batch as it is.
    """

    def answer(inputs):
        _check_shape(inputs, shape)
        size = (shape and shape[0]) or len(inputs)
        batch = inputs if dtype is None else _cast(inputs, dtype)
        parts = [
            attempt(
                lambda at=at: run(_padded(batch[at : at + size], size)), "it failed"
            )
            for at in range(0, len(batch), size)
        ]
        return {
            name: np.concatenate([part[name] for part in parts])[: len(inputs)]
            for name in parts[0]
        }

    return answer


def _cast(values, dtype):
    """Numbers in another type: to whole ones they are rounded, not cut."""
    if np.issubdtype(dtype, np.integer):
        values = np.rint(values)
    return values.astype(dtype, copy=False)


def _padded(batch, size):
    """A batch of the whole size, filled with its first example."""
    missing = size - len(batch)
    return np.concatenate([batch, batch[:1].repeat(missing, 0)]) if missing else batch


def _check_shape(inputs, shape):
    if shape is None:
        return
    fits = len(shape) == inputs.ndim and all(
        size in (None, actual)
        for size, actual in zip(shape[1:], inputs.shape[1:], strict=False)
    )
    if not fits:
        wanted = ["any" if size is None else size for size in shape[1:]]
        raise ConfigError(
            f"the teacher takes inputs {wanted}, and is given "
            f"{list(inputs.shape[1:])}: say what it wants by `size` and `channels` of "
            "`teacher.input`"
        )
