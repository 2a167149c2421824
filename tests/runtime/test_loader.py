"""Foreign model files: nothing of theirs runs, reads or writes; all is said."""

import ast
import io
import json
import os
import pathlib
import pickle
import random
import subprocess
import sys
import tarfile
import zipfile

import h5py
import keras
import numpy as np
import pytest

import students
from distill.runtime import errors, hashes
from distill.runtime.trust import limits, loader, scan

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def safe_file(tmp_path_factory):
    """A small sound teacher, whose compile_config is not ours to open."""
    path = tmp_path_factory.mktemp("sound") / "sound.keras"
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3, name="d", activation="relu")]
    )
    model.compile(loss="mse")
    model.save(path)
    return path


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "MARK"


def rewrite(source, target, config=None, weights=None, extra=()):
    """A copy of a `.keras` file with its config, weights or members changed."""
    with zipfile.ZipFile(source) as original, zipfile.ZipFile(target, "w") as copy:
        for name in original.namelist():
            content = original.read(name)
            if name == "config.json" and config:
                content = json.dumps(config(json.loads(content))).encode()
            if name.endswith(".h5") and weights:
                content = weights(content)
            copy.writestr(name, content)
        for name, content in extra:
            copy.writestr(name, content)
    return target


def layer(module, name, config, registered=None):
    """Adds a layer to a config."""

    def change(whole):
        added = {"module": module, "class_name": name, "config": config}
        whole["config"]["layers"].append({**added, "registered_name": registered})
        return whole

    return change


def kernel(**options):
    """Replaces the kernel in the weights."""

    def change(content):
        buffer = io.BytesIO(content)
        with h5py.File(buffer, "a") as file:
            names = []
            file.visit(names.append)
            (name,) = [n for n in names if getattr(file[n], "shape", 0) == (3, 3)]
            del file[name]
            make = options.get("make")
            if make:
                make(file, name)
            else:
                file.create_dataset(name, **options)
        return buffer.getvalue()

    return change


def function(module, name):
    reference = {"module": module, "class_name": "function", "config": name}
    reference["registered_name"] = name
    return {"name": "g", "function": reference, "arguments": {}, "dtype": "float32"}


class Pickled:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("metadata.json", "config.json"):
            archive.writestr(name, "{}")
        archive.writestr("model.weights.h5", b"\0" * (50 << 20))


def self_link(file, name):
    file[name] = file["/"]


MALICIOUS = {
    "lambda": layer("keras.layers", "Lambda", {"function": "print"}),
    "lambda os.system": layer("keras.layers", "Lambda", function("os", "system")),
    "unsafe": layer(
        "keras.layers", "Lambda", function("keras.config", "enable_unsafe")
    ),
    "makedirs": layer("os", "makedirs", {"name": "MARK"}),
    "popen": layer("subprocess", "Popen", {"args": ["touch", "MARK"]}),
    "tfsm": layer("keras.layers", "TFSMLayer", {"filepath": "MARK"}),
    "torch": layer("keras.layers", "TorchModuleWrapper", {"module": "MARK"}),
    "vocabulary": layer("keras.layers", "StringLookup", {"vocabulary": "/etc/passwd"}),
    "registered": layer("keras.layers", "Dense", {"units": 3}, "evil>Dense"),
    "private": layer("keras.src.saving.saving_lib", "load_model", {}),
    "operation with code": layer("keras.src.ops.core", "Map", {}, "Map"),
    "operation elsewhere": layer("os", "Add", {}, "Add"),
    "function as class": layer("builtins", "function", "eval"),
    "initializer": layer(
        "keras.layers",
        "Dense",
        {"units": 3, "kernel_initializer": {"module": "os", "class_name": "mkdir"}},
    ),
    "climbing name": layer("keras.layers", "Dense", {"units": 3, "name": "../../M"}),
    "absolute name": layer("keras.layers", "Dense", {"units": 3, "name": "/MARK"}),
}
WEIGHTS = {
    "external storage": {
        "shape": (3, 3),
        "dtype": "f4",
        "external": [("/etc/passwd", 0, 36)],
    },
    "shape bomb": {
        "shape": (1 << 20, 1 << 14),
        "dtype": "f4",
        "chunks": (1024, 1024),
        "compression": "gzip",
    },
    "soft link": {"make": lambda f, n: f.__setitem__(n, h5py.SoftLink("/layers"))},
    "external link": {
        "make": lambda f, n: f.__setitem__(n, h5py.ExternalLink("/x.h5", "/a"))
    },
    "cycle": {"make": self_link},
    "text": {"data": np.array([b"a", b"b"], dtype="S1")},
}
MEMBERS = {
    "zip slip": [("../../slip", b"x")],
    "absolute member": [("/tmp/MARK", b"x")],
    "assets": [("assets/vocabulary.txt", b"x")],
    "twice": [("config.json", b"{}")],
}
FORMATS = ["h5", "pickle", "tar", "folder", "bomb", "empty", "junk", "cut", "deep"]


def make_format(kind, safe_file, folder, marker):
    """A file, or folder, that is no whole `.keras` archive."""
    path = folder / f"teacher.{kind if kind in ('h5', 'pickle', 'tar') else 'keras'}"
    if kind == "h5":
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = "{}"
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Pickled(marker)))
    elif kind == "tar":
        with tarfile.open(path, "w") as archive:
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc"
            archive.addfile(link)
    elif kind == "folder":
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"x")
    elif kind == "bomb":
        bomb(path)
    elif kind == "deep":
        rewrite(safe_file, path)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", "[" * 100_000)
            archive.writestr("metadata.json", "{}")
            archive.writestr("model.weights.h5", b"")
    else:
        size = {"empty": 0, "cut": safe_file.stat().st_size // 2, "junk": 4000}[kind]
        content = random.Random(0).randbytes(4000) if kind == "junk" else None
        path.write_bytes((content or safe_file.read_bytes())[:size])
    return path


def refusal(path, marker, capfd, monkeypatch):
    """`export` refuses it: exit 3, one line, nothing made."""
    monkeypatch.chdir(path.parent)
    before = set(path.parent.rglob("*"))
    from distill import export

    assert export.main(["--model", str(path), "--out", str(path.parent)]) == 3
    error_lines = [
        line for line in capfd.readouterr().err.splitlines() if "error:" in line
    ]
    assert len(error_lines) == 1, error_lines
    assert "Traceback" not in error_lines[0]
    assert not marker.exists()
    assert set(path.parent.rglob("*")) == before
    return error_lines[0]


@pytest.mark.parametrize("name", MALICIOUS)
def test_a_class_that_is_not_known_to_be_harmless_is_refused(
    name, safe_file, tmp_path, marker, capfd, monkeypatch
):
    path = rewrite(safe_file, tmp_path / "teacher.keras", config=MALICIOUS[name])
    assert str(path) in refusal(path, marker, capfd, monkeypatch)


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_reach_out_are_refused(
    name, safe_file, tmp_path, marker, capfd, monkeypatch
):
    path = rewrite(
        safe_file, tmp_path / "teacher.keras", weights=kernel(**WEIGHTS[name])
    )
    assert "weights" in refusal(path, marker, capfd, monkeypatch)


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_odd_members_are_refused(name, safe_file, tmp_path, marker, capfd, monkeypatch):
    path = rewrite(safe_file, tmp_path / "teacher.keras", extra=MEMBERS[name])
    assert "members" in refusal(path, marker, capfd, monkeypatch)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_no_archive_is_refused(
    kind, safe_file, tmp_path, marker, capfd, monkeypatch
):
    path = make_format(kind, safe_file, tmp_path, marker)
    refusal(path, marker, capfd, monkeypatch)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_without_a_bound_are_refused(packing, tmp_path):
    path = tmp_path / "teacher.keras"
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, bytes(1000))
    with pytest.raises(errors.Untrusted, match="unusual way"):
        scan.members(path)


def test_nothing_is_imported_from_the_working_folder(safe_file, tmp_path, monkeypatch):
    (tmp_path / "h5py.py").write_text("open('MARK', 'w')")
    monkeypatch.chdir(tmp_path)
    loader.open_foreign(safe_file)
    assert not (tmp_path / "MARK").exists()


def test_a_sound_one_is_opened_without_its_losses(safe_file):
    model = loader.open_foreign(safe_file, hashes.file_hash(safe_file))
    x = np.ones((1, 3), "float32")
    expected = keras.models.load_model(safe_file, compile=False)(x)
    np.testing.assert_array_equal(model(x), expected)
    assert not model.compiled


def test_operations_that_only_compute_are_opened(tmp_path):
    x = keras.Input((4, 2))
    y = keras.ops.relu6(x + 3.0) * (1 / 6) - keras.ops.sigmoid(-x) / 2.0
    y = keras.ops.concatenate([keras.ops.hard_silu(y), keras.ops.tanh(x)], axis=-1)
    y = keras.ops.mean(keras.ops.reshape(y, (-1, 8, 2)), axis=1)
    model = keras.Model(x, y)
    model.save(tmp_path / "model.keras")
    inputs = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32")
    network = loader.open_foreign(tmp_path / "model.keras")
    np.testing.assert_array_equal(network(inputs), model(inputs))


def test_1000_changes_to_a_pinned_file_are_noticed(safe_file, tmp_path):
    whole, pinned = safe_file.read_bytes(), hashes.file_hash(safe_file)
    path = tmp_path / "teacher.keras"
    rng = random.Random(0)
    for _ in range(1000):
        at = rng.randrange(len(whole))
        changed = whole[at] ^ rng.randrange(1, 256)
        path.write_bytes(whole[:at] + bytes([changed]) + whole[at + 1 :])
        with pytest.raises(errors.Untrusted, match="SHA-256"):
            scan.members(path, pinned)


def test_1000_mutants_never_hurt_the_scan(safe_file, tmp_path):
    whole = safe_file.read_bytes()
    path = tmp_path / "teacher.keras"
    rng = random.Random(1)
    passed = 0
    for _ in range(1000):
        mutant = bytearray(whole)
        for _ in range(rng.choice([1, 1, 4, 50])):
            mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        path.write_bytes(mutant)
        try:
            members = scan.members(path)
        except errors.Untrusted as mistake:
            assert "\n" not in str(mistake).strip()
            continue
        passed += 1
        assert set(members) == {"metadata.json", "config.json", "model.weights.h5"}
    assert passed < 500


def test_mutated_weights_end_in_words_or_in_a_model(safe_file, tmp_path):
    """The C library reads them in a process apart: it may die, this one may not."""
    rng = random.Random(2)
    with zipfile.ZipFile(safe_file) as archive:
        whole = archive.read("model.weights.h5")
    code = (
        "import sys, pathlib\n"
        "from distill.runtime.trust import limits\n"
        "limits.limit()\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        limits.check_weights(path, 10_000)\n"
        "    except limits.Refused: pass\n"
        "    except Exception as error: print(type(error).__name__)\n"
    )
    for index in range(1000):
        mutant = bytearray(whole)
        for _ in range(rng.choice([1, 1, 4, 50])):
            mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        (tmp_path / f"{index:04d}.h5").write_bytes(mutant)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, timeout=300
    )
    assert done.returncode <= 0 or done.returncode == limits.REFUSED


def test_a_process_that_dies_is_one_line(safe_file, dying_python):
    dying_python(11)
    with pytest.raises(errors.Untrusted, match="ended by SIGSEGV"):
        loader.open_foreign(safe_file)


@pytest.fixture(scope="module")
def tflite(tmp_path_factory):
    from distill.compress import convert

    keras.utils.set_random_seed(0)
    network = students.ResNet(depth=8, width=2).build((8, 8, 1), 10)
    path = tmp_path_factory.mktemp("exported") / "student.tflite"
    path.write_bytes(convert.to_tflite(network, "dynamic_int8"))
    return path


MUTANTS = """
import pathlib
import random
import sys

import numpy as np

from distill.measure import facts, interpreter
from distill.runtime.trust import limits

limits.limit()
source, path = pathlib.Path(sys.argv[1]).read_bytes(), pathlib.Path(sys.argv[2])
images = np.zeros((2, 8, 8, 1), "float32")
for index in range(int(sys.argv[3]), 1000):
    rng = random.Random(index)
    mutant = bytearray(source)
    for _ in range(rng.choice([1, 1, 4, 50])):
        mutant[rng.randrange(len(mutant))] = rng.randrange(256)
    path.write_bytes(mutant)
    print(index, flush=True)
    try:
        facts.read_facts(path)
        interpreter.predict(path, images)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""


def test_1000_mutated_tflite_files_hurt_no_parent(tflite, tmp_path):
    """The C code may die of one; a new process then takes the next."""
    first, deaths, words = 0, 0, 0
    while first < 1000:
        done = subprocess.run(
            [sys.executable, "-c", MUTANTS, tflite, tmp_path / "m.tflite", str(first)],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        printed = done.stdout.split()
        words += sum(not word.isdigit() for word in printed)
        assert done.returncode <= 0, done.stderr[-500:]
        first = 1 + max(int(word) for word in printed if word.isdigit())
        deaths += done.returncode < 0
    assert words > 100
    assert deaths < 20


def evaluate_file(path, capfd):
    from distill import evaluate

    flags = ["--model", str(path), "--config", "lit_resnet.yaml"]
    code = evaluate.main(flags)
    error_lines = [
        line for line in capfd.readouterr().err.splitlines() if "error:" in line
    ]
    return code, error_lines


@pytest.mark.parametrize("content", [b"", b"junk" * 100, None])
def test_a_damaged_tflite_file_is_one_line(content, tflite, tmp_path, capfd):
    path = tmp_path / "student.tflite"
    path.write_bytes(tflite.read_bytes()[:900] if content is None else content)
    code, error_lines = evaluate_file(path, capfd)
    assert code == 2
    (line,) = error_lines
    assert str(path) in line


def test_a_tflite_file_that_kills_its_process_is_3(tflite, capfd, dying_python):
    dying_python(6)
    code, error_lines = evaluate_file(tflite, capfd)
    assert code == 3
    assert "SIGABRT" in error_lines[0]


def test_the_exit_code_of_the_untrusted_is_3():
    assert errors.EXIT_UNTRUSTED == limits.REFUSED == 3


def test_no_other_code_opens_a_model():
    packages = ("distill", "trainers", "students", "gan")
    for file in (f for name in packages for f in (ROOT / name).rglob("*.py")):
        tree = ast.parse(file.read_text())
        imports = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not imports & {"pickle", "marshal", "shelve", "dill", "joblib"}, file
        for node in ast.walk(tree):
            if not (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            ):
                continue
            name, called = node.func.attr, ast.unparse(node.func)
            if name == "load_model":
                assert file.name == "loader.py", file
            assert name not in ("load_weights", "extractall", "full_load"), file
            assert called not in ("yaml.load", "yaml.unsafe_load"), file
            if called == "np.load":
                options = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert options.get("allow_pickle") == "False", file
