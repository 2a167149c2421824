"""BUILD and setup.cfg say what the code imports, no more and no less."""

import ast
import configparser
import pathlib
import re
import subprocess
import sys

import pytest
import setuptools

import distill
from distill import cli

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ("distill", "gan", "students", "trainers")
# Import name -> name of the distribution, where the two differ.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "absl": "absl-py",
    "ai_edge_litert": "ai-edge-litert",
    "ai_edge_quantizer": "ai-edge-quantizer",
    "sklearn": "scikit-learn",
    "tensorflow_model_optimization": "tensorflow-model-optimization",
    "tf_keras": "tf-keras",
    "yaml": "pyyaml",
}
# Of Keras' backends, who runs on one has it; and of what knows them apart. What
# the benchmark compares with is in the extra `bench`.
ANY_BACKEND = {
    "gan/gradients.py": {"tensorflow", "jax", "torch"},
    "distill/studies/speed/peers/pytorch.py": {"torch"},
    "distill/runtime/process/distributed.py": {"jax"},
    "distill/runtime/processor.py": {"torch"},
    # In the extra `micro`.
    "distill/measure/micro/child.py": {"tflite_micro"},
    # In the extras of these names.
    **{
        f"distill/report/trackers/{name}.py": {name}
        for name in ("mlflow", "trackio", "wandb")
    },
    # In the extra `onnx`.
    "distill/runtime/trust/scan_onnx.py": {"onnx"},
    "distill/teach/answering/formats.py": {"onnxruntime"},
    # In the extra `hub`; keras-hub brings kagglehub.
    "distill/teach/answering/presets.py": {"keras_hub", "kagglehub"},
    # In the extra `completion`.
    "distill/runtime/process/completion.py": {"argcomplete"},
    "trainers/tracking.py": {"tensorflow"},
}
# Needed by another package at run time, not imported here.
BEHIND = {"setuptools"}


def imports(package):
    """What the code of a package imports, also inside functions."""
    result = set()
    for file in (ROOT / package).rglob("*.py"):
        here = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                here |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                here.add(node.module.split(".")[0])
        result |= here - ANY_BACKEND.get(str(file.relative_to(ROOT)), set())
    result -= {package, *sys.stdlib_module_names}
    return {
        f":{name}" if name in PACKAGES else DISTRIBUTIONS.get(name, name)
        for name in result
    }


def libraries():
    """Name of each py_library in BUILD to its dependencies."""
    result = {}
    for node in ast.walk(ast.parse((ROOT / "BUILD").read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "py_library":
            options = {keyword.arg: keyword.value for keyword in node.keywords}
            result[options["name"].value] = {
                dep.args[0].value if isinstance(dep, ast.Call) else dep.value
                for dep in options["deps"].elts
            }
    return result


@pytest.mark.parametrize("package", PACKAGES)
def test_a_target_depends_on_what_its_code_imports(package):
    assert libraries()[package] == imports(package)


def test_there_are_no_other_targets_and_packages():
    assert set(libraries()) == set(PACKAGES)
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == set(PACKAGES)


def test_arrows_go_one_way():
    below = {"students": set(), "gan": set(), "trainers": {":gan", ":students"}}
    for package, allowed in below.items():
        inside = {name for name in imports(package) if name[0] == ":"}
        assert inside <= allowed
        assert not imports(package) & {"tensorflow", "tf-keras"}


def test_tf_keras_and_tfmot_are_imported_in_the_finishing_process_alone():
    for file in (ROOT / "distill").rglob("*.py"):
        heavy = re.search(r"import (tf_keras|tensorflow_model)", file.read_text())
        place = file.relative_to(ROOT / "distill")
        makes = place.parts[0] == "compress" and place.parts[1] != "finishers"
        assert not heavy or makes or str(place) == "run/child.py", file


def settings():
    parsed = configparser.ConfigParser()
    parsed.read(ROOT / "setup.cfg")
    return parsed


def test_setup_cfg_requires_what_the_code_imports():
    lines = settings()["options"]["install_requires"].split("\n")
    required = {
        re.split(r"[<>=]", line)[0] for line in lines if line and line[0] != "#"
    }
    expected = set().union(*(imports(package) for package in PACKAGES))
    expected = {name for name in expected if name[0] != ":"}
    assert required == expected | BEHIND


def test_setup_cfg_ships_every_package_config_and_template():
    options = settings()
    include = options["options.packages.find"]["include"].split()
    packages = set(setuptools.find_packages(str(ROOT), include=include))
    actual = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert packages == actual
    shipped = options["options.data_files"]["share/distill/configs"]
    assert shipped == "configs/*.yaml"
    assert options["options.package_data"]["distill.report"] == "templates/*"


def test_the_version_is_one():
    module = (ROOT / "MODULE.bazel").read_text()
    assert f'version = "{distill.__version__}"' in module


def test_every_test_file_is_a_target():
    build = (ROOT / "BUILD").read_text()
    assert 'glob(["tests/**/test_*.py"])' in build
    assert 'glob(["tests/**/conftest.py"])' in build
    globbed = {*ROOT.glob("tests/**/test_*.py"), *ROOT.glob("tests/**/conftest.py")}
    others = {*ROOT.glob("tests/**/*.py")} - globbed
    assert {path.name for path in others} == {
        "answering.py",
        "benches.py",
        "graphs.py",
        "hub_presets.py",
        "onnx_models.py",
        "reports.py",
        "spread.py",
        "stopping.py",
        "stores.py",
        "taught.py",
    }
    assert all(f'"tests/{path.name}"' in build for path in others)


def test_every_command_is_a_target_and_starts_by_its_name():
    text = (ROOT / "BUILD").read_text()
    (listed,) = re.findall(r"for command in \[(.*?)\]", text, re.S)
    assert set(re.findall(r'"(\w+)"', listed)) == set(cli.COMMANDS)
    done = subprocess.run(
        [sys.executable, "-m", "distill", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert all(f"\n  {name} " in done.stdout for name in cli.COMMANDS)
