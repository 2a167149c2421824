"""Foreign `.tflite` files, SavedModels and answers: nothing reaches out of them."""

import io
import os
import pathlib
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.core.protobuf import saved_model_pb2

from distill.runtime import errors, tflite
from distill.runtime.trust import limits, provenance, scan_saved_model, scan_tflite
from distill.teach.answering import answers_file
from distill.teach.answering.classes import Classes

# TFLite.


@pytest.fixture(scope="module")
def tflite_file():
    function = tf.function(lambda x: x @ tf.ones((3, 2)))
    signature = function.get_concrete_function(tf.TensorSpec((1, 3)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([signature])
    return converter.convert()


def change_operator(model):
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = b"FlexReadFile"


def change_shape(shape):
    def change(model):
        model.subgraphs[0].tensors[0].shape = np.array(shape, np.int32)

    return change


def change_buffer(model):
    model.subgraphs[0].tensors[0].externalBuffer = 1


TFLITE = {
    "a custom operation": (change_operator, "FlexReadFile"),
    "a huge shape": (change_shape([1 << 20, 1 << 20]), "the shape"),
    "a negative shape": (change_shape([-7, 3]), "the shape"),
    "data in another file": (change_buffer, "another file"),
}


@pytest.mark.parametrize("name", TFLITE)
def test_a_tflite_file_that_reaches_out_is_refused(name, tflite_file):
    change, said = TFLITE[name]
    model = tflite.unpack(tflite_file)
    change(model)
    with pytest.raises(limits.Refused, match=said):
        scan_tflite.check(provenance.packed(model, len(tflite_file)))


def test_what_is_no_tflite_file_is_refused(tflite_file):
    scan_tflite.check(tflite_file)
    for content in (b"", b"no model", tflite_file[:400], b"\0" * 99):
        with pytest.raises(limits.Refused, match=r"no (whole )?TFLite"):
            scan_tflite.check(content)


# SavedModel.


def saved(folder, function, **attributes):
    """Saves a function of a batch `(n, 3)` and returns its folder."""
    module = tf.Module()
    module.weight = tf.Variable(tf.ones((3, 2)))
    for name, value in attributes.items():
        setattr(module, name, value)
    given = tf.TensorSpec((None, 3), name="x")
    module.answer = tf.function(function, input_signature=[given])
    tf.saved_model.save(module, folder, signatures=module.answer)
    return folder


def scanned(folder):
    names = scan_saved_model.members(folder)
    scan_saved_model.check((folder / "saved_model.pb").read_bytes())
    return names


def reading(x):
    tf.print(tf.io.read_file("/etc/passwd"))
    return x


def writing(x):
    with tf.control_dependencies([tf.io.write_file("/tmp/never-written", "x")]):
        return tf.identity(x)


def in_a_branch(x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: reading(x), lambda: x)


def calling_python(x):
    return tf.numpy_function(lambda y: y, [x], tf.float32)


SAVED = {
    "reads a file": (reading, "ReadFile|PrintV2|StringFormat"),
    "writes a file": (writing, "WriteFile"),
    "reads a file in a branch": (in_a_branch, "ReadFile|PrintV2|StringFormat"),
    "calls Python": (calling_python, "PyFunc"),
    "draws without end": (lambda x: x + tf.random.uniform((1, 3)), "RandomUniform"),
}


@pytest.mark.parametrize("name", SAVED)
def test_a_saved_model_that_does_more_than_compute_is_refused(name, tmp_path):
    function, said = SAVED[name]
    with pytest.raises(limits.Refused, match=said):
        scanned(saved(tmp_path, function))
    assert not pathlib.Path("/tmp/never-written").exists()


def test_a_saved_model_that_runs_while_it_is_loaded_is_refused(tmp_path):
    values = tf.lookup.KeyValueTensorInitializer(["a"], [1])
    table = tf.lookup.StaticHashTable(values, 0)
    with pytest.raises(limits.Refused, match="while it is loaded"):
        scanned(saved(tmp_path, lambda x: x, table=table))


def test_a_saved_model_with_another_file_in_it_is_refused(tmp_path):
    saved(tmp_path / "sound", lambda x: x @ tf.ones((3, 2)))
    assert len(scanned(tmp_path / "sound")) == 4
    for name in ("assets/words.txt", "variables/x.py", "variables/variables.data-1"):
        file = tmp_path / "sound" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
        with pytest.raises(limits.Refused, match="belongs to no SavedModel"):
            scan_saved_model.members(tmp_path / "sound")
        file.unlink()
    (tmp_path / "sound" / "fingerprint.pb").unlink()
    (tmp_path / "sound" / "fingerprint.pb").symlink_to("/etc/passwd")
    with pytest.raises(limits.Refused, match="a link"):
        scan_saved_model.members(tmp_path / "sound")


def change_graph(folder, change):
    path = saved(folder, lambda x: x @ tf.ones((3, 2))) / "saved_model.pb"
    model = saved_model_pb2.SavedModel()
    model.ParseFromString(path.read_bytes())
    change(model.meta_graphs[0])
    return model.SerializeToString()


def enlarge_variable(graph):
    (node,) = [
        node
        for node in graph.object_graph_def.nodes
        if node.WhichOneof("kind") == "variable"
    ]
    node.variable.shape.dim[0].size = 1 << 40


def enlarge_constant(graph):
    for function in graph.graph_def.library.function:
        for node in function.node_def:
            if node.op == "Const" and node.attr["value"].tensor.tensor_shape.dim:
                node.attr["value"].tensor.tensor_shape.dim[0].size = 1 << 40


def test_a_saved_model_of_huge_shapes_or_none_is_refused(tmp_path):
    changes = {
        "the shape": (enlarge_variable, enlarge_constant),
        "no signature": (lambda graph: graph.signature_def.clear(),),
        "TensorFlow 2": (lambda graph: graph.ClearField("object_graph_def"),),
    }
    for said, kinds in changes.items():
        for number, change in enumerate(kinds):
            content = change_graph(tmp_path / f"{said}{number}", change)
            with pytest.raises(limits.Refused, match=said):
                scan_saved_model.check(content)
    for content in (b"no model", b""):
        with pytest.raises(limits.Refused, match=r"no (whole )?SavedModel"):
            scan_saved_model.check(content)


# Answers.


def npz(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def array(values, shape=None):
    """The content of a `.npy` file, which may claim another shape."""
    stream = io.BytesIO()
    header = np.lib.format.header_data_from_array_1_0(values)
    header["shape"] = values.shape if shape is None else shape
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + (b"" if values.dtype.hasobject else values.tobytes())


ANSWERS = {
    "pickles": {"train.logits.npy": array(np.array([[None]], object))},
    "a huge shape": {"train.logits.npy": array(np.ones((2, 3)), (1 << 40, 3))},
    "a bomb": {"train.logits.npy": array(np.zeros((1 << 20, 3)))},
    "a slip": {"../../evil.py": b"print()"},
    "no header": {"train.logits.npy": b"no array"},
    "a wrong sum": None,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_file_of_answers_that_holds_more_than_numbers_is_refused(name, tmp_path):
    path = tmp_path / "answers.npz"
    if ANSWERS[name] is None:
        path.write_bytes(os.urandom(500))
    else:
        npz(path, ANSWERS[name])
    with pytest.raises(errors.Untrusted, match=r"answers.npz"):
        answers_file.AnswersFile(path, "x", Classes("x", None, ("a", "b", "c")), "")
