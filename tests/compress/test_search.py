"""Laws of a search: what it finds keeps the budget, and no trial is made twice."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from distill import config, data, finish
from distill.compress import finishers
from distill.compress.base import shares
from distill.compress.finishers import pruned, quantized
from distill.compress.search import budget, choices, search
from distill.config import finishing
from distill.measure import cost, energy
from distill.report import compress_tables
from distill.run.evaluation import gather, models
from distill.runtime import errors
from distill.runtime.trust import provenance

QUANTIZE = [f"quantize{scheme}" for scheme in quantized.SCHEMES]
FOUND = {
    "twin": {},
    "layers": [],
    "whole": dict.fromkeys(("prune", "cluster", "narrow", *QUANTIZE)),
    "least_macs": 0.35,
}


def dense(*shape):
    """A network of one dense layer."""
    uses = (energy.Use(shape, 1, *shape),)
    return {"dense": energy.Layer(kernels=(shape,), uses=uses)}


COST = cost.Cost(
    parameters=80_000,
    macs=800_000,
    kernels=77_000,
    tables=0,
    channels=300,
    layers=10,
    activations=5_000,
    by_layer=dense(770, 100),
)


def the_run(tmp_path, **options):
    """A config with a budget; its model is never opened."""
    given = tmp_path / "given.keras"
    given.touch()
    own = options.pop("finish", ())
    return finishing.Finishing(
        model=str(given),
        data=data.DATASETS["digits"](),
        finish=own,
        budget=budget.Budget(**{"max_kb": 60.0, **options}),
    )


class Finished:
    """Stands for short finishes: what is smaller is less accurate, without training.

    Attributes:
        made: Label of each choice, in order.
    """

    def __init__(self, dies_at=None):
        self.made = []
        self.places = []
        self._dies_at = dies_at

    def __call__(self, choice, place):
        if len(self.made) == self._dies_at:
            raise KeyboardInterrupt
        self.made.append(choice.label)
        self.places.append(place)
        size = choice.predicted_bytes(COST)
        packed = size * (1 - choice.options.get("sparsity", 0))
        packed *= choice.options.get("clusters", 64) / 64
        wrong = 20_000 / size + 3 * choice.options.get("sparsity", 0)
        return {
            "bytes": size,
            "gzip_bytes": round(packed),
            "macs": choice.predicted_costs(COST)["macs"],
            "packed_bytes": choice.predicted_costs(COST)["packed_bytes"],
            "accuracy": 98.0 - wrong,
            "failed": [],
        }


def searched(run, tmp_path, finished=None):
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    return search.search(
        run, FOUND, COST, 98.0, folder=folder, make=finished or Finished()
    )


def labels(found):
    return [row["label"] for row in found["trials"]]


@pytest.mark.parametrize(("counts", "kb"), [("file", 100), ("gzip", 60)])
def test_the_winner_keeps_the_budget_and_is_the_best_that_does(tmp_path, counts, kb):
    run = the_run(tmp_path, counts=counts, max_kb=float(kb), trials=16)
    finished = Finished()
    found = searched(run, tmp_path, finished)
    assert labels(found) == finished.made
    assert len(set(labels(found))) == 16
    rows = {row["label"]: row for row in found["trials"]}
    for row in rows.values():
        assert row["fits"] == (row["size"] <= 1000 * kb and row["drop"] <= 1)
        assert row["drop"] == pytest.approx(98 - row["accuracy"])
    fitting = [row for row in rows.values() if row["fits"]]
    assert rows[found["winner"]]["drop"] == min(row["drop"] for row in fitting)
    wins = choices.build(
        run, rows[found["winner"]]["finisher"], rows[found["winner"]]["options"]
    )
    made = Finished()(wins, None)
    assert made["bytes" if counts == "file" else "gzip_bytes"] <= 1000 * kb
    assert json.loads((tmp_path / "run" / "search.json").read_text()) == found


def test_a_packed_size_is_predicted_and_kept(tmp_path):
    names = ("int8", "pruned_int8", "pruned_clustered_int8")
    options = {"among": names, "max_drop": 9.0, "max_kb": None, "trials": 20}
    run = the_run(tmp_path, max_packed_kb=30.0, **options)
    found = searched(run, tmp_path)
    assert "int8" not in {row["finisher"] for row in found["trials"]}  # Too large.
    for row in found["trials"]:
        assert row["fits"] == (row["size"] <= 30_000 and row["drop"] <= 9)
    (tmp_path / "both").mkdir()
    both = the_run(tmp_path, **{**options, "max_kb": 20.0}, max_packed_kb=30.0)
    words = r"of 20\.0 kB and 30\.0 kB packed and 9\.0 points: the nearest .* bytes\."
    with pytest.raises(errors.FinishError, match=words):
        searched(both, tmp_path / "both")


def test_multiply_accumulates_are_predicted_and_kept(tmp_path):
    options = {"max_kb": None, "max_macs": 420_000, "max_drop": 9.0, "trials": 20}
    found = searched(the_run(tmp_path, **options), tmp_path)
    tried = {row["finisher"]: row["options"] for row in found["trials"]}
    assert set(tried) == {"narrowed", "narrowed_int8"}
    assert all(row["options"]["macs"] <= 0.6 for row in found["trials"])
    for row in found["trials"]:
        assert row["fits"] == (row["options"]["macs"] < 0.6 and row["drop"] <= 9)


def test_zeros_and_clusters_gain_through_gzip_alone(tmp_path):
    names = ("int8", "pruned_int8", "pruned_clustered_int8")
    options = {"among": names, "max_drop": 9.0, "trials": 20}
    with pytest.raises(errors.FinishError, match="the nearest is int8, predicted"):
        searched(the_run(tmp_path, **options), tmp_path)
    found = searched(the_run(tmp_path, counts="gzip", **options), tmp_path)
    fits = {row["finisher"]: row["fits"] for row in found["trials"]}
    assert fits["int8"] is False
    assert "sparsity" in found["winner"]


def test_the_same_seed_draws_the_same(tmp_path):
    run = the_run(tmp_path, counts="gzip", trials=12)
    one, other, more = (tmp_path / name for name in ("one", "other", "more"))
    for folder in (one, other, more):
        folder.mkdir()
    first = searched(run, one)
    assert first == searched(run, other)
    another = searched(dataclasses.replace(run, seed=1), more)
    assert labels(another) != labels(first)


@pytest.mark.parametrize("after", [1, 7, 11])
def test_a_search_that_was_killed_goes_on_and_ends_like_one_that_was_not(
    tmp_path, after
):
    run = the_run(tmp_path, counts="gzip", trials=12)
    (tmp_path / "whole").mkdir()
    whole = searched(run, tmp_path / "whole")
    killed, again = Finished(dies_at=after), Finished()
    with pytest.raises(KeyboardInterrupt):
        searched(run, tmp_path, killed)
    assert searched(run, tmp_path, again) == whole
    assert len(killed.made) == after
    assert [*killed.made, *again.made] == labels(whole)
    assert searched(run, tmp_path, Finished(dies_at=0)) == whole


def test_the_sampler_learns_where_the_budget_is_kept(tmp_path):
    found = searched(the_run(tmp_path, counts="gzip", trials=40), tmp_path)
    fits = [row["fits"] for row in found["trials"]]
    assert sum(fits[20:]) > sum(fits[:20])


def test_what_was_measured_decides_what_is_drawn(tmp_path):
    class Reversed(Finished):
        def __call__(self, choice, place):
            made = super().__call__(choice, place)
            return {**made, "accuracy": 190.0 - made["accuracy"]}

    run = the_run(tmp_path, counts="gzip", max_drop=99.0, trials=24)
    one, other = Finished(), Reversed()
    for number, finished in enumerate((one, other)):
        (tmp_path / f"{number}").mkdir()
        searched(run, tmp_path / f"{number}", finished)
    assert one.made[:8] == other.made[:8]  # Nothing is known yet.
    assert one.made != other.made


def test_none_that_fits_is_one_line_with_the_nearest(tmp_path):
    run = the_run(tmp_path, max_drop=0.1, trials=6)
    finished = Finished()
    with pytest.raises(errors.FinishError) as caught:
        searched(run, tmp_path, finished)
    assert "no file keeps the budget of 60.0 kB and 0.1 points" in str(caught.value)
    kept = json.loads((tmp_path / "run" / "search.json").read_text())
    assert kept["winner"] is None
    nearest = min(kept["trials"], key=lambda row: row["shortage"])
    assert f"the nearest is {nearest['label']}: " in str(caught.value)
    assert labels(kept) == finished.made
    assert "Allow more, or raise `budget.trials` or `budget.part`" in str(caught.value)
    one = the_run(tmp_path, max_kb=99.0, max_drop=0.1, trials=6, among=("int8",))
    (tmp_path / "one").mkdir()
    with pytest.raises(errors.FinishError, match=r"more, or raise `budget\.part`"):
        searched(one, tmp_path / "one")


def test_what_is_predicted_too_large_is_never_made(tmp_path):
    finished = Finished()
    searched(the_run(tmp_path, max_drop=9.0, trials=99), tmp_path, finished)
    made = {label.split()[0] for label in finished.made}
    assert {"dynamic_int4", "narrowed_int8", "pruned"} <= made
    assert not made & {"float32", "float16", "int8", "clustered"}
    untouched = Finished(dies_at=0)
    with pytest.raises(errors.FinishError, match=r"nearest is .*, predicted [\d,]+ by"):
        searched(the_run(tmp_path, max_kb=0.5), tmp_path, untouched)


def test_a_file_that_breaks_its_own_promise_never_wins(tmp_path):
    class Broken(Finished):
        def __call__(self, choice, place):
            made = super().__call__(choice, place)
            broken = choice.name != "narrowed_int8"
            return {**made, "failed": ["float ops left"] if broken else []}

    run = the_run(tmp_path, max_drop=9.0, trials=20)
    found = searched(run, tmp_path, Broken())
    assert found["winner"].startswith("narrowed_int8")
    assert any("float ops left" in row["failed"] for row in found["trials"])


def every(run, layers=COST.by_layer, **found):
    made = choices.all_choices(run, {**FOUND, **found}, layers)
    return {x.label: x for x in made}


def test_what_a_finisher_starts_from_comes_along_in_order(tmp_path):
    made = every(the_run(tmp_path))["pruned_clustered_int8 sparsity=0.8 clusters=8"]
    assert list(made.parts) == ["pruned", "pruned_clustered", "pruned_clustered_int8"]
    assert made.parts["pruned"].sparsity == 0.8
    assert made.parts["pruned_clustered"].clusters == 8
    dataclasses.replace(the_run(tmp_path), finish=made.steps)  # Is accepted.


def test_what_cannot_be_made_is_not_chosen(tmp_path):
    shares = {
        x.options["macs"]
        for x in every(the_run(tmp_path)).values()
        if "macs" in x.options
    }
    assert shares == {0.4, 0.5, 0.6, 0.75}  # 0.35 is the least.
    # Each output channel keeps one weight of its six.
    made = every(the_run(tmp_path, among=("pruned_int8",)), dense(6, 100))
    assert made and all(x.options["sparsity"] <= 5 / 6 for x in made.values())
    whole = {**FOUND["whole"], **dict.fromkeys(QUANTIZE, "for some reason")}
    names = {x.name for x in every(the_run(tmp_path), whole=whole).values()}
    assert "int8" not in names and "narrowed_int8" not in names
    assert {"pruned", "int8_calibrated", "narrowed"} <= names
    assert {x.name for x in every(the_run(tmp_path, among=("float16",))).values()} == {
        "float16"
    }


def test_the_other_options_are_the_configs(tmp_path):
    own = (finishers.FINISHERS["pruned"](epochs=50, learning_rate=0.3),)
    made = every(the_run(tmp_path, finish=own))["pruned_int8 sparsity=0.9"]
    assert made.parts["pruned"].learning_rate == 0.3
    short = made.short(0.2)
    assert [part.epochs for part in short.steps] == [10, 2]
    assert short.label == made.label
    assert [part.epochs for part in made.short(0.01).steps] == [1, 1]
    fours = (finishers.FINISHERS["pruned"](sparsity=0.5, pattern="2_of_4"),)
    names = every(the_run(tmp_path, finish=fours, trials=6))
    assert "pruned" in names and "pruned sparsity=0.6" not in names


def test_a_budget_of_pruning_is_not_searched_over(tmp_path):
    own = (pruned.Pruned(scope="network", budget=shares.Budget(keep=0.3)),)
    made = every(the_run(tmp_path, finish=own))
    names = [name for name in made if name.startswith("pruned ") or name == "pruned"]
    assert names == ["pruned"]
    assert made["pruned_int8"].parts["pruned"] == own[0]
    # How many weights that leaves is open: no file is left out for it.
    costs = {
        name: made[name].predicted_costs(COST) for name in ("pruned", "pruned_int8")
    }
    assert costs["pruned"]["bytes"] is costs["pruned"]["packed_bytes"] is None
    assert costs["pruned_int8"]["bytes"] and not costs["pruned_int8"]["packed_bytes"]


@pytest.mark.parametrize("name", finishers.FINISHERS)
def test_what_is_searched_is_an_option_with_values_that_it_takes(name):
    kind = finishers.FINISHERS[name]
    for option, values in kind.searched.items():
        assert list(values) == sorted(set(values))
        assert all(kind(**{option: value}) for value in values)


def test_a_prediction_knows_what_was_chosen_before(tmp_path):
    made = every(the_run(tmp_path))
    for name in ("narrowed_int8 macs=", "narrowed macs="):
        small, large = (made[f"{name}{x}"].predicted_bytes(COST) for x in (0.4, 0.75))
        assert 1.4 * small < large
    dense, sparse = (
        made[f"pruned_clustered sparsity={x} clusters=16"].predicted_bytes(COST)
        for x in (0.5, 0.9)
    )
    assert 3 * sparse < dense


def test_a_broken_budget_is_said_in_words():
    limits = budget.Budget(max_kb=60.0, max_drop=1.0)
    model = {"bytes": 60_000, "gzip_bytes": 60_001, "packed_bytes": 59_001}
    assert limits.breaches(model, 1.0) == []
    (line,) = dataclasses.replace(limits, counts="gzip").breaches(model, 1.0)
    assert line == "60,001 bytes through gzip, more than budget.max_kb = 60.0"
    packed = dataclasses.replace(limits, max_packed_kb=59.0)
    (line,) = packed.breaches(model, 1.0)
    assert line == "59,001 bytes packed, more than budget.max_packed_kb = 59.0"
    assert packed.shortage(model, 0.5) == pytest.approx(0.5 + 100 / 59_000)
    assert len(packed.breaches({**model, "bytes": 60_001}, 1.0)) == 2
    assert dataclasses.replace(packed, max_kb=None).size(model) == 59_001
    device = budget.Limits(max_arena_kb=20.0, max_macs=500_000)
    model |= {"arena_bytes": 20_000, "macs": 500_000, "uncounted": []}
    assert device.breaches(model, 1.0) == []
    arena, macs = device.breaches({**model, "arena_bytes": 20_016, "macs": 500_001}, 1)
    assert arena == "20,016 bytes of arena, more than budget.max_arena_kb = 20.0"
    assert macs == "500,001 multiply-accumulates, more than budget.max_macs = 500000"
    (line,) = device.breaches({**model, "uncounted": ["GELU"]}, 1.0)
    assert "the multiply-accumulates of GELU are not known" in line
    assert device.shortage({**model, "macs": 550_000}, 0.5) == pytest.approx(10.5)
    assert device.size(model) == 60_000
    (line,) = limits.breaches(model, 1.01)
    assert "on the validation split is 1.01 points below the student's" in line
    (line,) = limits.breaches(model, float("nan"), 0.3)
    assert line.endswith("on the test split 0.30 points")


def test_the_table_begins_with_the_winner(tmp_path):
    found = searched(the_run(tmp_path, counts="gzip", trials=16), tmp_path)
    rows = compress_tables.rows(found)
    marks = [row[""] for row in rows]
    assert marks == sorted(marks, key=["*", "", "x"].index)
    assert {"*", "x"} <= set(marks)
    assert found["winner"].startswith(f"{rows[0]['finisher']} ")
    assert sorted(row["finisher"] for row in rows) == sorted(
        row["finisher"] for row in found["trials"]
    )
    for row in rows:
        assert ("more than budget" in row["why not"]) == (row[""] == "x")
    assert compress_tables.table(found).splitlines()[2].startswith("*")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("max_kb=0", "`max_kb` must be positive"),
        ("max_drop=-1", "`max_drop` must be at least 0"),
        ("trials=-1", "`trials` must be at least 0"),
        ("part=0", r"`part` must be in \(0, 1\]"),
        ("among=[int8, int7]", r"`among\[1\]` must be one of float32, .*'int7'"),
        ("counts=zip", "one of file, gzip"),
        ("max_kb=null", "`max_kb` must be given, or `max_packed_kb`"),
        ("max_packed_kb=0", "`max_packed_kb` must be positive"),
        ("max_macs=0", "`max_macs` must be positive"),
        ("max_arena_kb=9", "`budget.max_arena_kb` must be left out without `target: m"),
    ],
)
def test_mistakes_of_a_budget_are_named(tmp_path, change, words):
    (tmp_path / "finish.yaml").write_text("data: {name: digits}\nmodel: finish.yaml")
    changes = [f"model={tmp_path / 'finish.yaml'}", "budget.max_kb=9"]
    with pytest.raises(errors.ConfigError, match=words):
        path = tmp_path / "finish.yaml"
        config.read(finishing.Finishing, path, [*changes, f"budget.{change}"])


def test_without_a_search_there_must_be_something_to_make(tmp_path):
    run = the_run(tmp_path)
    with pytest.raises(ValueError, match="`finish` must be a list of at least one"):
        dataclasses.replace(run, budget=None)
    with pytest.raises(ValueError, match="`finish` must be a list of at least one"):
        dataclasses.replace(run, budget=budget.Budget(max_kb=1.0, trials=0))


LINES = """
data: {name: digits, options: {train_examples: 256}}
batch_size: 16
budget: {max_drop: 100, trials: 1, part: 0.5, among: [narrowed_int8]}
finish:
  - {name: narrowed, options: {epochs: 4, learning_rate: 0.1}}
  - {name: narrowed_int8, options: {epochs: 2}}
"""


# Three processes in one, and not in this one: TF-MOT turns `tf.keras` into Keras 2.
CHILD = """
import contextlib
import json
import pathlib
import sys

import keras

from distill import data, finish
from distill.compress import answers
from distill.run import child, parent
from distill.runtime.process import worker
from distill.runtime.trust import loader

sys.path.append("tests")
from taught import taught

folder = pathlib.Path(sys.argv[1])
layers = keras.layers


def network(seed, width):
    keras.utils.set_random_seed(seed)
    kernel = layers.Conv2D(width, 3, 2, activation="relu")
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(kernel(inputs))))


network(0, 64).save(folder / "given.keras")
digits = data.DATASETS["digits"](train_examples=256).load()
taught(network(1, 8), digits.train).save(folder / "wise.keras")
asked, tasks, predict = [], [], answers.Answers._predict
answers.Answers._predict = lambda self, x: asked.append(len(x)) or predict(self, x)
loader.open_foreign = lambda path, sha256: loader.open_own(path)
worker.wait_for_parent = lambda: None


@contextlib.contextmanager
def started(task, path):
    def end(meanwhile=lambda: None):
        tasks.append(task)
        child._TASKS[task](path)
        return meanwhile()

    yield end


parent._started = started
out = f"--out={folder / 'run'}"
flags = [f"--model={folder / 'given.keras'}", f"--teacher={folder / 'wise.keras'}", out]
flags += [f"--config={folder / 'finish.yaml'}"]


def whole():
    return {x.name: x.read_bytes() for x in (folder / "run").glob("*.tflite")}


said = {"first": finish.main([*flags, "--max-kb=20"]), "asked": sum(asked)}
before = whole()
said["again"] = finish.main([*flags, "--max-kb=20"])
said["own"] = finish.main([f"--config={folder / 'run' / 'run.yaml'}", out])
said["same"] = whole() == before
said["other"] = finish.main([*flags, "--max-kb=19"])
said["longer"] = finish.main([*flags, "--max-kb=20", "--set=budget.trials=99"])
said["tasks"] = tasks
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The run folder of a search, and what its process said."""
    folder, root = tmp_path_factory.mktemp("search"), pathlib.Path(__file__).parents[2]
    (folder / "finish.yaml").write_text(LINES)
    command = [sys.executable, "-c", CHILD, str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["first"] == 0, done.stderr[-2000:]
    return folder / "run", said, done.stderr


def test_the_winner_is_finished_in_the_ordinary_way(made):
    folder, *_ = made
    report = json.loads((folder / "report.json").read_text())
    found = json.loads((folder / "search.json").read_text())
    assert report["search"] == found
    assert found["winner"].startswith("narrowed_int8 macs=")
    names = [model["name"] for model in report["models"]]
    assert names[-2:] == ["student.narrowed", "student.narrowed_int8"]
    assert report["models"][-1]["bytes"] <= 20_000
    epochs = {s["name"]: s["epochs"] for s in report["stages"]}
    assert epochs == {"narrowed": 4, "narrowed_int8": 2}  # At full length.
    assert (folder / "MODEL_CARD.md").exists() and (folder / "front.json").exists()
    assert "What was tried for the budget" in (folder / "report.html").read_text()
    assert list((folder / "search").glob("*/")) == []


def test_what_was_tried_is_what_the_files_held(made):
    folder, *_ = made
    found = json.loads((folder / "search.json").read_text())
    origin = provenance.read(folder / "student.narrowed_int8.tflite")
    assert origin["config"]["budget"]["trials"] == 0
    won = next(x for x in found["trials"] if x["label"] == found["winner"])
    final = (folder / "student.narrowed_int8.tflite").stat().st_size
    assert won["size"] == pytest.approx(final, abs=200)


def test_the_same_command_again_or_its_own_config_makes_nothing(made):
    _, said, errors = made
    assert said["tasks"] == ["search", "finish"]
    assert said["same"] and said["again"] == said["own"] == 0
    assert said["other"] == said["longer"] == 2
    assert "budget.max_kb: 20.0 -> 19.0" in errors
    assert "-> 99" in errors


def test_the_teacher_is_asked_once_about_each_example_by_each_process(made):
    folder, said, _ = made
    run = config.read(finishing.Finishing, folder / "run.yaml")
    splits = run.data.load()
    examples = len(splits.train.labels) + len(splits.validation.labels)
    assert said["asked"] == 2 * examples


def test_a_budget_that_the_file_breaks_fails_the_run_and_its_steps_do_not(made):
    folder, *_ = made
    run = config.read(finishing.Finishing, folder / "run.yaml")
    stages = json.loads((folder / "finish.json").read_text())
    splits = run.data.load()
    own = models.measure_networks(run, splits, folder)
    sizes = [file.stat().st_size for file in folder.glob("student.narrowed*.tflite")]
    assert min(sizes) == (folder / "student.narrowed_int8.tflite").stat().st_size

    def gathered(most):
        limits = dataclasses.replace(run.budget, max_kb=most / 1000)
        changed = dataclasses.replace(run, budget=limits)
        made = gather.gather(changed, splits, folder, stages, own)
        return made, {model["name"]: model["failed"] for model in made["models"]}

    report, failed = gathered(min(sizes))
    assert "more than budget.max_kb" in failed["student.narrowed"][0]
    assert failed["student.narrowed_int8"] == report["failures"] == []
    report, failed = gathered(min(sizes) - 1)
    assert report["failures"] == [
        f"student.narrowed_int8: {failed['student.narrowed_int8'][0]}"
    ]


def test_a_folder_of_a_run_without_a_search_is_refused(tmp_path, capfd):
    (tmp_path / "finish.yaml").write_text(LINES)
    (tmp_path / "run.yaml").write_text("")
    (tmp_path / "given.keras").write_text("")
    flags = [f"--model={tmp_path / 'given.keras'}", f"--out={tmp_path}", "--max-kb=9"]
    assert finish.main([*flags, f"--config={tmp_path / 'finish.yaml'}"]) == 2
    assert "holds a run without a search" in capfd.readouterr().err
