"""The process in which TFLite Micro runs a file: a mistake in it can abort a process.

What it finds goes to `trial` on stderr, where TFLite Micro itself writes, in parts
that each begin with a line of `trial.MARK` and a name; and the bytes of the arena
to stdout.
"""

import contextlib
import os
import pathlib
import resource
import sys

import flatbuffers
import numpy as np
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from distill.measure.micro import trial

REFUSED = 3  # Exit code if TFLite Micro does not run the file.
# Memory that is there for the file. It uses the same part of it, however much there is.
_ARENA = 1 << 28
_ALIGNED = 16  # Bytes, to which TFLite Micro aligns what it puts into the arena.


def main(source: str, inputs: str, outputs: str) -> int:
    """Tries each op of a file, then runs the file.

    Args:
        source: The `.tflite` file.
        inputs: A `.npy` file with examples in the type of the file's input,
            `(n, ...)`; empty for one example of zeros.
        outputs: The `.npy` file to write, `(n, ...)`.

    Returns:
        The exit code.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    content = pathlib.Path(source).read_bytes()
    for name, code in _op_codes(content):
        _begin(name)
        _try_op(code)
    _begin(trial.RUN)
    try:
        interpreter = runtime.Interpreter.from_bytes(content, arena_size=_ARENA)
        kind = interpreter.get_input_details(0)
        examples = (
            np.load(inputs, allow_pickle=False)
            if inputs
            else np.zeros(kind["shape"], kind["dtype"])
        )
        answers = [_answer(interpreter, example[None]) for example in examples]
        interpreter.print_allocations()
        arena = _least_arena(content)
    except (AttributeError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr, flush=True)
        return REFUSED
    np.save(outputs, np.concatenate(answers))
    print(arena)
    return 0


def _least_arena(content):
    """The least size of an arena in which a file starts, to `_ALIGNED` bytes.

    What it uses in the end can be less, for a small file: planning takes more.
    """
    low, high = 0, _ALIGNED
    while not _starts(content, high):
        if high > _ARENA:
            raise RuntimeError("it does not start a second time")
        low, high = high, 2 * high
    while high - low > _ALIGNED:
        middle = (low + high) // 2 // _ALIGNED * _ALIGNED
        low, high = (low, middle) if _starts(content, middle) else (middle, high)
    return high


def _starts(content, size):
    # In a process of its own: in too small an arena, it can crash.
    if not (child := os.fork()):
        try:
            runtime.Interpreter.from_bytes(content, arena_size=size)
        except Exception:
            os._exit(REFUSED)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _begin(name):
    print(f"{trial.MARK}{name}", file=sys.stderr, flush=True)


def _answer(interpreter, example):
    interpreter.reset()  # A recurrent file would go on from the example before.
    interpreter.set_input(example, 0)
    interpreter.invoke()
    return interpreter.get_output(0)


def _op_codes(content):
    """The kinds of ops that a file uses, each with its name, in order."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    ops = (op for graph in model.subgraphs for op in graph.operators or ())
    names = {
        number: name
        for name, number in vars(schema.BuiltinOperator).items()
        if name[0] != "_"
    }
    for index in dict.fromkeys(op.opcodeIndex for op in ops):
        code = model.operatorCodes[index]
        if code.customCode:
            yield code.customCode.decode(errors="replace"), code
        else:
            yield names[max(code.builtinCode, code.deprecatedBuiltinCode)], code


def _try_op(code):
    """Lets TFLite Micro search for an op, then for one that never exists.

    It names on stderr the first that it does not find, and goes no further: no op is
    prepared or run without tensors.
    """
    number = getattr(schema.BuiltinOperator, trial.NO_OP)
    missing = schema.OperatorCodeT(
        builtinCode=number, deprecatedBuiltinCode=number, version=1
    )
    ops = [schema.OperatorT(opcodeIndex=i, inputs=[], outputs=[]) for i in range(2)]
    graph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=ops)
    model = schema.ModelT(
        version=3,
        operatorCodes=[code, missing],
        subgraphs=[graph],
        buffers=[schema.BufferT()],
    )
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    # Always refused; stderr says because of which op.
    with contextlib.suppress(AttributeError, RuntimeError):
        runtime.Interpreter.from_bytes(bytes(builder.Output()), arena_size=1 << 16)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
