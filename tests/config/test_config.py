"""A config is checked completely, and every error is one helpful line."""

import copy
import pathlib
import random
import re
import subprocess
import sys

import pytest
import yaml

from distill import config
from distill.config import yaml_tree
from distill.run.arguments import read_config
from distill.runtime.errors import ConfigError

SHIPPED = pathlib.Path(__file__).parents[2] / "configs"


def error_of(path, *overrides):
    """The message of the error that loading a config raises."""
    with pytest.raises(ConfigError) as excinfo:
        config.load(path, overrides)
    assert "\n" not in str(excinfo.value)
    return str(excinfo.value)


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


# The configs of `distill.tabular` and `distill.generate` fill other dataclasses.
OTHERS = ("tabular_*.yaml", "lit_generator_*.yaml")
OF_A_FOLDER = "mlperf_kws01.yaml"  # Its data must be there.
RUNS = sorted(
    {*SHIPPED.glob("*.yaml")}.difference(
        *(SHIPPED.glob(name) for name in (*OTHERS, OF_A_FOLDER))
    )
)


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.name)
def test_every_shipped_config_loads_and_reads_back_equal(path, write):
    run = config.load(path)
    assert config.load(write(config.dump(run))) == run


def test_a_bare_name_means_a_shipped_config():
    assert config.load("lit_resnet.yaml") == config.load(SHIPPED / "lit_resnet.yaml")
    assert "Did you mean `lit_resnet.yaml`?" in error_of("lit_resnets.yaml")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("batchsize=3", ["batchsize", "Did you mean `batch_size`?"]),
        ("xyz=3", ["unknown key `xyz`", "Expected one of", "batch_size", "teacher"]),
        (
            "finish.4.options={task_weight: 0, kd_weight: 0}",
            ["`task_weight` must be positive with `kd_weight: 0`"],
        ),
        ("batch_size=many", ["batch_size", "a whole number", "many"]),
        ("batch_size=1.5", ["a whole number", "1.5"]),
        ("batch_size=true", ["a whole number", "true"]),
        ("batch_size=0", ["`batch_size` must be at least 1", "Received: 0"]),
        ("seed=-1", ["`seed`", "at least 0"]),
        ("data.name=digit", ["unknown name `digit`", "Did you mean `digits`?"]),
        ("student.name=resnat", ["Did you mean `resnet`?"]),
        ("student.options.depht=8", ["depht", "Did you mean `depth`?"]),
        ("student.options.depth=9", ["`depth` must be 6n + 2", "Received: 9"]),
        ("student.options.width=32", ["student", "`stem`", "(8, 8, 16)", "(8, 8, 32)"]),
        ("stages.0.trainer.options.temperature=0", ["`temperature` must be positive"]),
        ("stages.0.trainer.name=lid", ["stages[0].trainer", "Did you mean `lit`?"]),
        ("stages.0.schedule=cosin", ["stages[0].schedule", "Did you mean `cosine`?"]),
        ("stages.0.decay_factor=1", ["`decay_factor` must be between 0 and 1"]),
        ("stages.0.epochs=1e1", ["stages[0].epochs", "a whole number"]),
        ("stages.0.learning_rate=.inf", ["stages[0].learning_rate", "a number"]),
        ("stages.9.epochs=1", ["the index of one of 2 entries", "'9'"]),
        ("stages=[]", ["`stages`", "at least one"]),
        ("stages.0.epochs=21", ["controls[0].stages", "41", "Received: 40"]),
        ("teacher.file=none.keras", ["teacher: `file`", "a file that exists"]),
        ("teacher={file: none.keras}", ["a file that exists", "none.keras"]),
        ("teacher.stages.0.trainer.name=kd", ["needs no teacher", "kd"]),
        (
            "stages.1.trainer={name: fitnet, options: {representations: [section4]}}",
            ["FitNet", "`representations`", "section3. Received: section4"],
        ),
        ("finish.5.name=int8", ["`finish` must be of different names"]),
        ("finish=[{name: pruned_int8}]", ["after `pruned`"]),
        ("finish.4.options.sparsity=1.0", ["`sparsity` must be in (0, 1)"]),
        ("data.options.train_examples=5", ["`train_examples` must be at least 20"]),
        ("augmentation.flip=1", ["true or false", "1"]),
        ("augmentation.shift=8", ["`augmentation.shift`", "8 pixels", "Received: 8"]),
        ("augmentation.shift=-1", ["`shift` must be at least 0"]),
        ("teacher.sha256=ab", ["`sha256` must be absent without `file`"]),
        ("teacher={}", ["`network` must be given, or else `file`"]),
        ("teacher.stages=[]", ["teacher: `stages`", "at least one"]),
        ("stages.0.schedule=step", ["stages[0]: `decay_epochs` must be given with"]),
        ("stages.0.decay_epochs=[30]", ["between 0 and `epochs` = 20", "[30]"]),
        ("stages.0.momentum=1.0", ["`momentum` must be in [0, 1)"]),
        ("finish.4.options.rise=0", ["`rise` must be in (0, 1]"]),
        ("finish.3.options.epochs=0", ["finish[3].options: `epochs`", "at least 1"]),
        ("finish.0.options={a: 1}", ["finish[0].options: unknown key `a`"]),
        ("data.options.validation_fraction=1.0", ["between 0 and 1"]),
        ("data.options.test_fraction=0.0", ["`test_fraction` must be between"]),
        ("controls.0.name=teacher", ["neither teacher nor student"]),
        ("student.options.width=0", ["`width` must be at least 1"]),
        ("student.options.weight_decay=-1", ["`weight_decay` must be in [0, 1)"]),
        ("max_accuracy_drop=-1", ["`max_accuracy_drop` must be at least 0"]),
        ("nothing", ["expected a.b=c"]),
    ],
)
def test_an_error_in_an_override_is_one_helpful_line(override, words):
    message = error_of("lit_resnet.yaml", override)
    assert all(word in message for word in words)


def test_an_error_in_an_override_quotes_the_override():
    message = error_of("lit_resnet.yaml", "batch_size=few")
    assert message.startswith("--set batch_size=few: batch_size: ")


def test_numbers_and_booleans_are_read_by_the_type_of_the_option(write):
    text = (SHIPPED / "lit_resnet.yaml").read_text()
    run = config.load(write(text.replace("learning_rate: 0.02", "learning_rate: 1e-3")))
    assert run.stages[1].learning_rate == 1e-3
    run = config.load(write(text), ["augmentation.flip=no"])
    assert run.augmentation.flip is False


def test_an_unquoted_no_is_not_text(write):
    message = error_of("lit_resnet.yaml", "controls.0.name=no")
    assert "text (put it in quotes)" in message
    run = config.load("lit_resnet.yaml", ["controls.0.name='no'"])
    assert run.controls[0].name == "no"


def test_an_error_names_file_and_line(write):
    lines = (SHIPPED / "lit_resnet.yaml").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("batch_size"))
    lines[at] = "batch_size: few"
    message = error_of(write("\n".join(lines)))
    assert message.startswith(f"mine.yaml:{at + 1}: batch_size: ")


def test_a_key_given_twice_is_refused(write):
    text = (SHIPPED / "lit_resnet.yaml").read_text()
    message = error_of(write(f"{text}\nbatch_size: 3\n"))
    assert f"mine.yaml:{len(text.splitlines()) + 2}" in message
    assert "`batch_size` is given twice" in message


@pytest.mark.parametrize(
    "text", ["", "- a", "a: [1", "a: !!python/name:os.x 1", "\x00"]
)
def test_a_file_that_is_not_a_mapping_is_refused_with_a_line(text, write):
    assert error_of(write(text)).startswith("mine.yaml:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("_base_: mine.yaml", "mine.yaml:1: _base_: mine.yaml is based on itself"),
        ("_base_: [1]", "mine.yaml:1: _base_: expected a file. Received: a list"),
        ("_base_: lit_resnet.yaml\nseed: 1\nseed: 2", "mine.yaml:3: `seed` is given"),
        ("_base_: lit_resnet.yaml\n? [1]\n: 2", "mine.yaml:2: unknown key `a list`"),
        ("a: " + "[" * 5000, "mine.yaml: nested too deeply to be a config"),
    ],
)
def test_an_odd_structure_is_refused_in_one_line(text, message, write):
    assert message in error_of(write(text))
    with pytest.raises(ConfigError) as caught:  # As the commands read it.
        read_config(config.Run, write(text))
    assert message in str(caught.value)


def test_a_base_is_inherited_and_overridden(write):
    path = write(
        "_base_: lit_resnet.yaml\nbatch_size: 7\ndata: {name: mnist}\n"
        "augmentation: {flip: true}\n"
    )
    run, base = config.load(path), config.load("lit_resnet.yaml")
    assert run.batch_size == 7
    assert run.augmentation.flip
    assert run.augmentation.shift == base.augmentation.shift
    assert run.data.train_examples is None  # Another set starts from its defaults.
    assert run.stages == base.stages
    second = write("_base_: mine.yaml\nseed: 3\n", "second.yaml")
    assert config.load(second).batch_size == 7


def test_overrides_of_names_are_applied_first():
    options = ["data.options.train_examples=10000", "data.name=fashion_mnist"]
    assert config.load("lit_resnet.yaml", options).data.train_examples == 10_000


def test_a_random_error_is_reported_at_the_right_line(write):
    """Two hundred random errors, each in one place of a shipped config."""
    source = config.plain(config.load("lit_resnet.yaml"))
    rng = random.Random(0)
    for _ in range(200):
        tree = copy.deepcopy(source)
        keys, corrupted = corrupt(tree, rng)
        text = yaml.safe_dump(tree, sort_keys=False)
        message = error_of(write(text))
        line = next(i for i, row in enumerate(text.splitlines(), 1) if corrupted in row)
        assert message.startswith(f"mine.yaml:{line}: "), (keys, message)


def corrupt(tree, rng):
    """Misspells one key, or gives one value another type."""
    while True:
        node, keys = tree, []
        while (
            isinstance(node, dict | list) and node and (not keys or rng.random() < 0.8)
        ):
            parent = node
            key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
            keys.append(key)
            node = node[key]
        if isinstance(parent, list):
            continue
        if rng.random() < 0.5:
            # In place, since the order of keys decides the line.
            items = [(k + "_zz" if k == key else k, v) for k, v in parent.items()]
            parent.clear()
            parent.update(items)
            return keys, f"{key}_zz"
        if node is not None and not isinstance(node, dict | list):
            parent[key] = ["zz"] if isinstance(node, str) else "zz"
            return keys, "zz"


def misspell(word, rng):
    """A word with one letter removed, doubled or changed, or two letters swapped."""
    at = rng.randrange(len(word) - 1)
    return rng.choice(
        [
            word[:at] + word[at + 1 :],
            word[: at + 1] + word[at:],
            word[:at] + ("z" if word[at] != "z" else "q") + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        ]
    )


def test_a_misspelt_key_gets_the_right_suggestion(write):
    """Two hundred typos of one letter, in random keys of a shipped config."""
    lines = config.dump(config.load("lit_resnet.yaml")).splitlines()
    keyed = [i for i, line in enumerate(lines) if re.match(r"[ -]*\w{3,}:", line)]
    rng = random.Random(1)
    right = 0
    for _ in range(200):
        at = rng.choice(keyed)
        key = re.match(r"[ -]*(\w+):", lines[at])[1]
        typo = misspell(key, rng)
        if typo == key:
            typo = f"{key}s"
        corrupted = [*lines]
        corrupted[at] = lines[at].replace(key, typo, 1)
        message = error_of(write("\n".join(corrupted)))
        assert message.startswith(f"mine.yaml:{at + 1}: "), message
        right += f"Did you mean `{key}`?" in message
    assert right >= 190, right


@pytest.mark.parametrize(
    "corrupt_line",
    [
        lambda line: line + "\n" + line,  # Twice.
        lambda line: "\t" + line,
        lambda line: line + ": x",
        lambda line: line + " [",
        lambda line: "'" + line,
        lambda line: line.replace(":", "", 1),
    ],
    ids=["twice", "tab", "colon", "bracket", "quote", "no colon"],
)
def test_a_spoiled_line_is_refused_at_a_line(corrupt_line, write):
    lines = config.dump(config.load("lit_resnet.yaml")).splitlines()
    for at in range(len(lines)):
        corrupted = "\n".join([*lines[:at], corrupt_line(lines[at]), *lines[at + 1 :]])
        try:
            config.load(write(corrupted))
        except ConfigError as caught:
            message = str(caught)
            assert re.match(r"mine\.yaml:\d+: ", message), message
            assert "\n" not in message
        else:
            # Accepted only where the YAML still means the same.
            assert yaml.safe_load(corrupted) == yaml.safe_load("\n".join(lines))


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"data: \xff\xfe")
    assert error_of(path).startswith("mine.yaml:1: not a YAML text")


def test_loading_a_config_imports_no_tensorflow():
    code = (
        "import sys; from distill import config; config.load('lit_resnet.yaml')\n"
        "heavy = 'keras', 'tensorflow', 'tf_keras', 'jax', 'torch', 'sklearn'\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "text", ["\U0001f600/a b", 'quote " and \\ and \x7f', "\u00e9\n"]
)
def test_any_text_survives_as_yaml_on_one_line(text):
    written = yaml_tree.flow(text)
    assert written.isascii()
    assert yaml.safe_load(written) == text
