"""Sources for firmware hold the file's bytes, and their test finds wrong outputs."""

import ctypes
import functools
import pathlib
import re
import shutil
import subprocess
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers as L

from distill import export
from distill.compress import convert
from distill.measure import interpreter
from distill.measure.graph import Graph
from distill.measure.micro import trial
from distill.report.firmware import bundle, ops
from distill.runtime import packages
from distill.runtime.trust import loader

RNG = np.random.default_rng(0)
NAMES = ["plain", 'a "quoted" \\ one', "trigraph ??/", "Käse\n7", "\0"]
# What a test calls: C++ names of a namespace have no plain symbols.
HARNESS = """
#include "NAME_selftest.h"
using namespace NAME_model;
extern "C" {
const unsigned char* model() { return kModel; }
std::size_t model_bytes() { return kModelBytes; }
const Input* golden_input(int index) { return kGoldenInputs[index]; }
const Output* golden_output(int index) { return kGoldenOutputs[index]; }
int self_test(RunNetwork run) { return SelfTest(run, nullptr); }
const char* class_name(int index) { return kClassNames[index]; }
"""
QUANTIZE = "int quantize(float number) { return Quantize(number); }\n"
DEQUANTIZE = "float dequantize(int step) { return Dequantize((Output)step); }\n"
RUN = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 5, 2))
    hidden = L.Conv2D(4, 3, activation="relu")(image)
    logits = L.Dense(len(NAMES))(L.GlobalAveragePooling2D()(hidden))
    return keras.Model(image, {"logits": logits})


@pytest.fixture(scope="module", params=["int8", "uint8", "float32"])
def file(request, network, tmp_path_factory):
    """A file in eight bits with ends of each type."""
    folder = tmp_path_factory.mktemp(request.param)
    examples = RNG.random((50, 6, 5, 2), np.float32)
    path = folder / "new.int8.tflite"  # A name that begins with a keyword of C++.
    path.write_bytes(convert.to_tflite(network, "int8", examples, request.param))
    return path


@pytest.fixture(scope="module")
def built(file):
    """The sources, written and compiled: their folder, and a library to call.

    By whether TFLite Micro computes the golden outputs, or LiteRT.
    """
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler: the sources are not compiled here")
    return functools.cache(functools.partial(build, compiler, file))


def build(compiler, file, installed):
    folder = file.parent / f"firmware{installed}"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        if not installed:
            patch.setattr(packages, "missing", lambda *names: list(names))
        sources = bundle.render(file, classes=NAMES, kind="images")
    for name, text in sources.items():
        (folder / name).write_text(text)
    scaled = "" if "float32" in str(file) else QUANTIZE + DEQUANTIZE
    harness = folder / "harness.cc"
    harness.write_text(HARNESS.replace("NAME", "new_int8") + scaled + "}\n")
    flags = "-std=c++11 -O1 -Wall -Wextra -Werror -pedantic -shared -fPIC"
    made = folder / "all.so"
    compiled = [harness, *folder.glob("new_int8_*.cc")]
    subprocess.run([compiler, *flags.split(), "-o", made, *compiled], check=True)
    library = ctypes.CDLL(str(made))
    for name in ("model", "golden_input", "golden_output"):
        getattr(library, name).restype = ctypes.c_void_p
    library.class_name.restype = ctypes.c_char_p
    library.model_bytes.restype = ctypes.c_size_t
    return folder, library


def array(address, like):
    """The numbers at an address, in the type and shape of an array."""
    return np.frombuffer(ctypes.string_at(address, like.nbytes), like.dtype).reshape(
        like.shape
    )


def test_the_compiled_array_is_the_file(file, built):
    folder, library = built(False)
    content = ctypes.string_at(library.model(), library.model_bytes())
    assert content == file.read_bytes()
    assert library.model() % 16 == 0
    # This compiler aligns it anyway, one for a board may not.
    assert "alignas(16) const" in (folder / "new_int8_model.cc").read_text()


def ends(kind):
    """The smallest and the largest integer of a type."""
    return np.iinfo(kind).min, np.iinfo(kind).max


@pytest.mark.parametrize("installed", [True, False], ids=["micro", "litert"])
def test_the_self_test_accepts_the_file_and_counts_wrong_answers(
    installed, built, tmp_path
):
    """The array's own bytes are run, by what computed the golden outputs."""
    if installed and packages.missing(packages.MICRO):
        pytest.skip("TFLite Micro is not installed")
    (_, library), path = built(installed), tmp_path / "array.tflite"
    path.write_bytes(ctypes.string_at(library.model(), library.model_bytes()))
    one = interpreter.Runner(path, (1, 6, 5, 2), 1, reference=True)
    like = one.quantize(np.zeros((6, 5, 2), np.float32))
    given = np.stack([array(library.golden_input(i), like) for i in range(8)])
    if installed:
        outputs = trial.run(path, given).outputs
    else:
        outputs = np.concatenate([one(example[None]) for example in given])

    def count(spoil):
        """How many are wrong, of which a call spoils some."""
        calls = []

        def answer(_, place, made):
            index = len(calls)
            calls.append(index)
            np.testing.assert_array_equal(array(place, like), given[index])
            output, here = spoil(index, outputs[index])
            ctypes.memmove(made, output.tobytes(), output.nbytes)
            return here

        wrong = library.self_test(RUN(answer))
        assert len(calls) == 8
        return wrong

    assert count(lambda index, output: (output, True)) == 0
    assert count(lambda index, output: (output, index != 3)) == 1
    # Half of the answers in the opposite order.
    assert (
        count(lambda i, output: (output[::-1].copy() if i % 2 else output, True)) == 4
    )
    floats = outputs.dtype == np.float32
    for extreme in (-1e6, 1e6) if floats else ends(outputs.dtype):
        assert count(lambda _, output, e=extreme: (np.full_like(output, e), True)) == 8
    if floats:
        assert count(lambda index, output: (output * np.float32("nan"), True)) == 8
    elif installed:  # The same integers, and no others.
        assert count(lambda index, output: (output ^ 1, True)) == 8


def test_numbers_and_integers_are_converted_as_by_the_file(file, built):
    _, library = built(False)
    run = interpreter.Runner(file, (1, 6, 5, 2), 1)
    if "float32" in str(file):
        return
    numbers = np.linspace(-0.5, 1.5, 60 * 8, dtype=np.float32).reshape(-1, 6, 5, 2)
    library.quantize.argtypes = [ctypes.c_float]
    said = [library.quantize(float(number)) for number in numbers.ravel()]
    np.testing.assert_array_equal(said, run.quantize(numbers).ravel())
    library.dequantize.restype = ctypes.c_float
    steps = np.arange(*((-128, 128) if "/int8" in str(file.parent) else (0, 256)))
    kind = run(run.quantize(numbers[:1])).dtype
    said = [library.dequantize(int(step)) for step in steps.astype(kind)]
    np.testing.assert_allclose(said, run.dequantize(steps.astype(kind)), rtol=1e-6)


def test_names_of_classes_are_texts_whatever_they_contain(built):
    _, library = built(False)
    said = [library.class_name(index).decode() for index in range(len(NAMES))]
    assert said == [name.split("\0")[0] for name in NAMES]


def test_the_resolver_has_the_ops_of_the_file_and_no_other(file, built):
    folder, _ = built(False)
    text = (folder / "new_int8_micro.h").read_text()
    added = re.findall(r"resolver\.Add(\w+)\(\)", text)
    graph = Graph(file.read_bytes())
    names = {graph.name(op).replace("_", "").lower() for op in graph.ops}
    assert {name.lower() for name in added} == names
    assert re.search(r"MicroMutableOpResolver<(\d+)>", text)[1] == str(len(names))
    assert len(added) == len(names)


def test_the_page_calls_the_sources_in_ten_lines(built):
    folder, _ = built(False)
    page = (folder / "new_int8_README.md").read_text()
    (program,) = re.findall("```cpp\n(.*?)```", page, re.S)
    assert len(program.splitlines()) <= 10
    header = "".join(path.read_text() for path in folder.glob("*.h"))
    for name in re.findall(r"\b(k[A-Z]\w+|Network|Input|Output|Quantize)\b", program):
        assert re.search(rf"\b{name}\b", header)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("student.int8", "student_int8"),
        ("7 segments", "model_7_segments"),
        ("__a--b__", "a_b"),
        ("Käse", "K_se"),
        ("...", "model"),
    ],
)
def test_a_name_of_a_file_becomes_one_of_cpp(stem, name):
    assert bundle.identifier(stem) == name


def test_every_op_has_a_kernel_of_its_name_in_tflite_micro():
    micro = pytest.importorskip("tflite_micro.python.tflite_micro._runtime")
    with open(micro.__file__, "rb") as library:
        content = library.read()
    kernels = set(re.findall(rb"Register_([A-Z0-9_]+?)Ev", content))
    assert {name.encode() for name in ops.KNOWN} <= kernels


@pytest.mark.parametrize(
    ("names", "keeps"),
    [
        (["CONV_2D", "SVDF"], True),
        (["UNIDIRECTIONAL_SEQUENCE_LSTM"], True),
        (["CONV_2D", "WHILE"], False),
    ],
)
def test_which_ops_keep_a_state(names, keeps):
    part = SimpleNamespace(full_name=str, walk=lambda: ((part, name) for name in names))
    assert ops.keeps_state(part) == keeps


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model=none.tflite", "--bundle=c"], "no such file: none.tflite"),
        (["--model=net.keras", "--bundle=c"], "--bundle takes a .tflite file"),
        (["--model=int8.tflite"], "only with --bundle c"),
        (
            ["--model=int8.tflite", "--bundle=c", "--formats=float32"],
            "--formats has an effect only without --bundle",
        ),
        (["--model=net.keras", "--config=x.yaml"], "--config has an effect only with"),
        (["--model=int8.tflite", "--bundle=c", "--config=x.yaml"], "x.yaml"),
        (
            ["--model=int8.tflite", "--bundle=c", "--out=noise.tflite"],
            "--out must be a",
        ),
        (["--model=noise.tflite", "--bundle=c"], "a damaged TFLite file"),
        (["--model=half.tflite", "--bundle=c"], "damaged"),
        (["--model=gelu.tflite", "--bundle=c"], "no kernel for GELU"),
        (["--model=float16.tflite", "--bundle=c"], "float16 weights"),
        (
            ["--model=dynamic_int8.tflite", "--bundle=c"],
            "int8 weights with float activations: give an int8 file",
        ),
        (["--model=ids.tflite", "--bundle=c"], "with --config"),
        (["--model=two.tflite", "--bundle=c"], "it has 2 inputs, expected one"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    arguments, words, given, monkeypatch, capsys
):
    monkeypatch.chdir(given)
    before = sorted(given.rglob("*"))
    capsys.readouterr()
    assert export.main(arguments, limited=True) == 2
    out, said = capsys.readouterr()
    assert (out, said.count("\n")) == ("", 1)
    assert words in said
    assert sorted(given.rglob("*")) == before


@pytest.fixture(scope="module")
def given(network, tmp_path_factory):
    """Files of which no sources can be made, and one of which they can."""
    folder = tmp_path_factory.mktemp("given")
    image, other = keras.Input((6, 5, 2)), keras.Input((6, 5, 2))
    ids = keras.Input((4,), dtype="int32")
    flat = L.Flatten()
    networks = {
        "gelu": keras.Model(
            image, {"logits": flat(L.Activation("gelu")(L.Conv2D(2, 3)(image)))}
        ),
        "two": keras.Model([image, other], {"logits": flat(image + other)}),
        "ids": keras.Model(ids, {"logits": keras.ops.cast(ids, "float32") * 2}),
        # The converter leaves small kernels in float.
        "dynamic_int8": keras.Model(
            image, {"logits": L.Dense(64)(flat(L.Conv2D(64, 3)(image)))}
        ),
        "float16": network,
        "int8": network,
    }
    for name, model in networks.items():
        variant = name if name in (*convert.FORMATS, "int8") else "float32"
        examples = RNG.random((8, 6, 5, 2), np.float32) if name == "int8" else None
        content = convert.to_tflite(model, variant, examples)
        (folder / f"{name}.tflite").write_bytes(content)
    (folder / "noise.tflite").write_bytes(RNG.bytes(500))
    (folder / "half.tflite").write_bytes(content[: len(content) // 2])
    network.save(folder / "net.keras")
    return folder


def test_examples_of_another_shape_are_refused(given):
    with pytest.raises(ValueError, match=r"takes \(6, 5, 2\), .* are \(8, 8, 1\)"):
        bundle.render(given / "int8.tflite", examples=np.zeros((8, 8, 8, 1), "f4"))
    examples = RNG.random((8, 6, 5, 2), np.float32)
    made = bundle.render(given / "int8.tflite", examples=examples)
    assert "Inputs: 8 test examples." in made["int8_golden.h"]


def test_the_command_makes_the_sources_in_a_process_with_limits(
    given, monkeypatch, capfd
):
    limited = []
    sandboxed = loader.run_sandboxed
    monkeypatch.setattr(
        loader, "run_sandboxed", lambda *a: limited.append(a) or sandboxed(*a)
    )
    monkeypatch.chdir(given)
    arguments = ["--model=int8.tflite", "--bundle=c", "--out=made"]
    assert export.main(arguments) == 0
    assert limited == [(pathlib.Path("int8.tflite"), ["export", *arguments])]
    assert "int8_model.cc" in capfd.readouterr().out
    names = {path.name for path in (given / "made").iterdir()}
    assert len(names) == 7 and "int8_README.md" in names
    whole = {path.name: path.read_bytes() for path in (given / "made").iterdir()}
    assert export.main(arguments, limited=True) == 0
    assert whole == {
        path.name: path.read_bytes() for path in (given / "made").iterdir()
    }
