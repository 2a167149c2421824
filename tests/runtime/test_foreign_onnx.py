"""Foreign ONNX models: nothing reaches out of them, and what they do is contained."""

import contextlib
import os

import numpy as np
import pytest

from distill.runtime import errors
from distill.runtime.trust import limits, scan_onnx, serving

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
from onnx import helper, numpy_helper  # noqa: E402
from onnx_models import FLOAT, sound, tensor  # noqa: E402

# The search.


def external(name="w"):
    result = tensor(name)
    result.ClearField("raw_data")
    result.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "../../etc/passwd"), ("length", "24")):
        result.external_data.add(key=key, value=value)
    return result


def declaring(**fields):
    result = tensor()
    for name, value in fields.items():
        if name == "dims":
            del result.dims[:]
            result.dims.extend(value)
        else:
            setattr(result, name, value)
    return result


def constant(value):
    return helper.make_node("Constant", [], ["y"], value=value)


def branching(nodes):
    """An `If` whose branches have these nodes."""
    branch = helper.make_graph(
        nodes, "b", [], [helper.make_tensor_value_info("y", FLOAT, None)]
    )
    return helper.make_node("If", ["x"], ["y"], then_branch=branch)


def listed(nodes):
    """A node with a list of graphs, as an operation of a function might have."""
    node = helper.make_node("Identity", ["x"], ["y"])
    branch = branching(nodes).attribute[0].g
    node.attribute.append(helper.make_attribute("graphs", [branch]))
    return node


def nested(depth):
    node = constant(tensor())
    for _ in range(depth):
        node = branching([node])
    return node


def own_function(node):
    return helper.make_function(
        "mine", "f", ["x"], ["y"], [node], [helper.make_opsetid("", 17)]
    )


def trained():
    model = sound()
    model.training_info.add()
    return model


def sparse_bomb():
    indices = numpy_helper.from_array(np.zeros(1, np.int64))
    model = sound()
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(tensor("s", (1,)), indices, [1 << 40])
    )
    return model


CUSTOM = helper.make_node("Run", ["x"], ["y"], domain="mine")
ONNX = {
    "data in another file": (lambda: sound(weights=[external()]), "another file"),
    "a constant in another file": (lambda: sound([constant(external())]), "another"),
    "the same in a branch": (
        lambda: sound([branching([constant(external())])]),
        "another file",
    ),
    "the same in a function": (
        lambda: sound(functions=[own_function(constant(external()))]),
        "another file",
    ),
    "a custom operation": (lambda: sound([CUSTOM]), r"mine\.Run"),
    "one in a branch": (lambda: sound([branching([CUSTOM])]), r"mine\.Run"),
    "one in a list of graphs": (lambda: sound([listed([CUSTOM])]), r"mine\.Run"),
    "one in a function": (
        lambda: sound(functions=[own_function(CUSTOM)]),
        r"mine\.Run",
    ),
    "a huge shape": (
        lambda: sound(weights=[declaring(dims=[1 << 20, 1 << 20])]),
        "the shape",
    ),
    "a huge shape without data": (
        lambda: sound(weights=[declaring(dims=[1 << 14, 1 << 10], raw_data=b"")]),
        "hold 0",
    ),
    "a negative shape": (lambda: sound(weights=[declaring(dims=[-3, 2])]), "shape"),
    "less than it declares": (
        lambda: sound(weights=[declaring(raw_data=b"1234")]),
        "hold 4",
    ),
    "a huge input": (lambda: sound(shape=(1 << 20, 1 << 20)), "the shape"),
    "a huge sparse weight": (sparse_bomb, "the shape"),
    "a training": (trained, "training_info"),
    "graphs without end": (lambda: sound([nested(20)]), "without end|no whole"),
}


@pytest.mark.parametrize("name", ONNX)
def test_an_onnx_model_that_reaches_out_is_refused(name):
    make, said = ONNX[name]
    with pytest.raises(limits.Refused, match=said):
        scan_onnx.check(make().SerializeToString())


@pytest.mark.parametrize("content", [b"", b"no model", os.urandom(999)])
def test_what_is_no_onnx_model_is_refused(content):
    with pytest.raises(limits.Refused, match=r"no (whole )?ONNX"):
        scan_onnx.check(content)


def test_a_sound_onnx_model_and_its_own_functions_pass():
    own = own_function(helper.make_node("Identity", ["x"], ["y"]))
    call = helper.make_node("f", ["x"], ["y"], domain="mine")
    for model in (sound(), sound([call], functions=[own])):
        scan_onnx.check(model.SerializeToString())


# The process.


@contextlib.contextmanager
def asked(form, path):
    server = serving.Server(str(path), [form, str(path)])
    with contextlib.closing(server):
        yield server


def endless():
    """A loop of 2^62 rounds."""
    inner = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Sin", ["before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", FLOAT, None),
        ],
    )
    rounds = numpy_helper.from_array(np.int64(1 << 62), "rounds")
    go = numpy_helper.from_array(np.bool_(True), "yes")
    node = helper.make_node("Loop", ["rounds", "yes", "x"], ["y"], body=inner)
    return sound([node], [rounds, go])


def growing():
    """Declares little and fills 4 TB."""
    size = numpy_helper.from_array(np.array([1 << 20, 1 << 20], np.int64), "size")
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["one"], keepdims=0),
        helper.make_node("Add", ["x", "one"], ["y"]),
    ]
    return sound(nodes, [size])


BATCH = np.ones((2, 3), np.float32)


def test_a_sound_model_answers_and_what_grows_or_never_ends_is_contained(
    tmp_path, monkeypatch
):
    path = tmp_path / "x.onnx"
    onnx.save(sound(), path)
    with asked("onnx", path) as server:
        np.testing.assert_array_equal(server.ask(BATCH)["y"], 3 * np.ones((2, 2)))
        with pytest.raises(
            errors.ConfigError, match=r"takes inputs \[3\].*given \[4\]"
        ):
            server.ask(np.ones((2, 4), np.float32))
        server.ask(BATCH)  # Another process.
    onnx.save(growing(), path)
    with asked("onnx", path) as server, pytest.raises(errors.Untrusted, match="failed"):
        server.ask(BATCH)
    onnx.save(endless(), path)
    monkeypatch.setattr(serving, "_SECONDS", 2)
    with (
        asked("onnx", path) as server,
        pytest.raises(errors.Untrusted, match="no answer within 2 s of all cores"),
    ):
        server.ask(BATCH)


def test_a_process_that_dies_or_answers_nonsense_is_one_line(
    tmp_path, monkeypatch, dying_python
):
    dying_python(11)
    with (
        asked("onnx", tmp_path / "x") as server,
        pytest.raises(errors.Untrusted, match="SIGSEGV"),
    ):
        server.ask(BATCH)
    shell = tmp_path / "shell"
    monkeypatch.setattr(
        serving.loader, "sandbox_command", lambda _: ([str(shell)], dict(os.environ))
    )
    for line in ("nonsense", '{"arrays": {"logits": ["float32", 99999999999]}}'):
        shell.write_text(f"#!/bin/sh\necho '{line}'\n")
        shell.chmod(0o755)
        with asked("onnx", "x") as server, pytest.raises(errors.Untrusted, match="x: "):
            server.ask(BATCH)
