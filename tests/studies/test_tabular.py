"""A forest teaches on rows of numbers: who sees what, and how it is scored."""

import json
import os
import pathlib
import re

import numpy as np
import pytest

from distill import config, tabular
from distill.runtime import errors, seeds
from distill.runtime.errors import DataError
from distill.studies import intervals
from distill.studies.tabular import conductor, learners, report, speed, tables, transfer
from distill.studies.tabular import rows as table_rows
from distill.studies.tabular.study import Study
from gan.conditional import DenseClassifier
from trainers.generators.acgan import ACGAN

CORES = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
SEED = 3
SHIPPED = pathlib.Path(__file__).parents[2] / "configs"
SMALL = [
    "teacher.options.trees=12",
    "students=[{name: trees, options: {trees: 1}}]",
    "transfers=[{name: alone}, {name: train}, "
    "{name: munge, options: {copies: 2, pooled: true}}]",
    "seeds=2",
    "speed_rows=300",
]


def study(*overrides, name="tabular_breast_cancer.yaml"):
    return config.read(Study, name, [*SMALL, *overrides])


def mistake(*overrides):
    with pytest.raises(errors.ConfigError) as excinfo:
        study(*overrides)
    assert "\n" not in str(excinfo.value)
    return str(excinfo.value)


@pytest.fixture
def rows():
    """Rows that name themselves: the first feature is the row's number."""
    labels = np.arange(60) % 3
    features = np.stack([np.arange(60.0), labels + 0.5], axis=1)
    return table_rows.Rows(features, labels, ("a", "b", "c"))


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "mine.csv"
        path.write_text(text)
        return path

    return write


def ids(split):
    return set(split.features[:, 0])


def test_splits_are_disjoint_whole_seeded_and_by_class(rows):
    table = tables.Wine(train_rows=30)
    train, test = table.split(rows, 0, "test")
    assert len(ids(train)) == 30
    assert ids(train) | ids(test) == set(range(60))
    assert not ids(train) & ids(test)
    assert list(np.bincount(train.labels)) == [10, 10, 10]
    assert ids(table.split(rows, 0, "test")[0]) == ids(train)
    assert ids(table.split(rows, 1, "test")[0]) != ids(train)


def test_validation_is_carved_from_the_training_rows(rows):
    table = tables.Wine(train_rows=30, validation_fraction=0.2)
    train, test = table.split(rows, 0, "test")
    remaining, validation = table.split(rows, 0, "validation")
    assert len(ids(validation)) == 6
    assert ids(remaining) | ids(validation) == ids(train)
    assert not ids(validation) & (ids(remaining) | ids(test))


def test_too_few_rows_are_said(rows):
    with pytest.raises(DataError, match=r"`data\.options\.train_rows` = 60 cannot"):
        tables.Wine(train_rows=60).split(rows, 0, "test")


def test_a_csv_is_read_with_its_label_anywhere(write):
    path = write("a,kind,b\n" + "1,yes,2.5\n" * 4 + "\n3,no,-4e1\n" * 4)
    actual = table_rows.read_csv(path, "kind")
    assert actual.class_names == ("no", "yes")
    assert actual.labels.tolist()[:1] + actual.labels.tolist()[-1:] == [1, 0]
    assert actual.features[0].tolist() == [1, 2.5]
    assert actual.features[-1].tolist() == [3, -40]


def test_rows_that_are_the_same_are_counted(write):
    path = write("a,kind,b\n" + "1,yes,2\n1,no,3\n2,yes,3\n1,no,2\n" * 3)
    (line,) = table_rows.read_csv(path, "kind").warnings()
    assert line.startswith("9 of 12 rows are copies of another")
    path = write("a,kind\n" + "".join(f"{i},{i % 2}\n" for i in range(12)))
    assert not table_rows.read_csv(path, "kind").warnings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n",
            "mine.csv:1: the header must name the column `kind`. Received: a, b",
        ),
        ("kind,kind,a\n1,2,3\n", "once"),
        ("kind\n1\n", "and another"),
        ("", "the column `kind`"),
        ("a,kind\n1,x\n2,y,z\n", "mine.csv:3: has 3 fields, the header 2"),
        ("a,kind\n1,x\n\n?,y\n", "mine.csv:4: column `a` must be a finite number. "),
        ("a,kind\n1,x\nnan,y\n", "Received: 'nan'"),
        ("a,kind\n1,x\n2,x\n", "at least 2 classes. Received: x"),
        ("a,kind\n1,0.1\n2,0.2\n3,0.3\n4,0.4\n", "4 classes in 4 rows"),
        ("a;kind\n1;x\n", "set apart by commas, not semicolons"),
        ("a,a,kind\n1,2,x\n", "give each column its own name"),
        (",a,kind\n0,1,x\n", "an index column must be removed"),
        ("a,kind\n1,x\n2, \n", "mine.csv:3: empty label"),
        ("a,kind\n1,x\n2,X\n3,y\n", "'X' and 'x', different only in blanks, case"),
        ("a,kind\n1,x\n2_0,y\n", "Received: '2_0'"),
        ("a,kind\n1,x\n2\0,y\n", "mine.csv:3: has a NUL byte"),
        ('a,kind\n"1,x\n', "mine.csv:2: unexpected end of data"),
    ],
)
def test_a_mistake_in_a_csv_is_one_line_that_helps(text, message, write):
    with pytest.raises(DataError) as excinfo:
        table_rows.read_csv(write(text), "kind")
    assert message in str(excinfo.value)
    assert "\n" not in str(excinfo.value)


def test_magic_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.delenv("DISTILL_DATA", raising=False)
    with pytest.raises(DataError, match=r"no folder is named.*DISTILL_DATA"):
        tables.Magic().load()
    with pytest.raises(DataError, match=f"is not in {tmp_path}"):
        tables.Magic(folder=str(tmp_path)).load()


def test_magic_is_read():
    folder = os.environ.get("DISTILL_DATA")
    if not folder or not (pathlib.Path(folder) / tables.Magic.file).is_file():
        pytest.skip("DISTILL_DATA names no folder with magic04.csv")
    actual = tables.Magic().load()
    assert actual.features.shape == (19_020, 10)
    assert np.bincount(actual.labels).tolist() == [12_332, 6_688]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seeds=0", "`seeds` must be at least 1"),
        ("seed=-1", "`seed` must be at least 0"),
        ("scaling=log", "one of quantile, standard"),
        ("transfers=[{name: alone}]", "`transfers` must include `train`"),
        ("transfers=[{name: train}, {name: train}]", "must be all different"),
        ("students=[]", "`students` must be at least one"),
        ("teacher.options.trees=0", "`trees` must be at least 1"),
        ("transfers.2.options.swap_probability=2", "`swap_probability` must be in"),
        ("transfers.2.options.copies=0", "`copies` must be at least 1"),
        ("data={name: csv, options: {path: no.csv, label: a}}", "a file that exists"),
        ("data.options.validation_fraction=1.0", "between 0 and 1"),
        ("data.options.train_rows=3", "at least 4"),
        ("data.name=magick", "Did you mean `magic`?"),
    ],
)
def test_a_mistake_in_a_config_is_one_line_that_helps(override, message):
    assert message in mistake(override)


def test_auc_counts_the_pairs_in_the_right_order():
    labels = np.array([0, 0, 1, 1, 1])
    second = np.array([0.1, 0.5, 0.5, 0.4, 0.9])
    # Six pairs: .1 below all three; .5 ties with .5, is above .4, below .9.
    answers = np.stack([1 - second, second], axis=1)
    assert learners.auc(labels, answers) == pytest.approx((3 + 0.5 + 0 + 1) / 6)


def test_auc_of_several_classes_is_the_mean_of_one_against_the_rest():
    from sklearn import metrics

    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(60) % 3)
    answers = rng.dirichlet(np.ones(3), 60)
    expected = metrics.roc_auc_score(labels, answers, multi_class="ovr")
    assert learners.auc(labels, answers) == pytest.approx(expected)


class Spy(learners.Student):
    """Notes what it is given, and answers at random."""

    def __init__(self):
        self.seen = []

    def fit(self, features, targets, seed):
        self.seen.append((features, targets))
        return lambda asked: np.full((len(asked), 2), 0.5)

    label = "spy"


class SpyTeacher(learners.Forest):
    """Notes what it learns from and what it is asked."""

    def fit(self, features, labels, seed):
        self.learned, self.asked = (features, labels), []
        answer = super().fit(features, labels, seed)

        def record_features(features):
            self.asked.append(features)
            return answer(features)

        return record_features


@pytest.fixture
def spied_study():
    """A study of `SEED`, its teacher and student watched: train, test, both."""
    done, teacher, spy = study(), object.__new__(SpyTeacher), Spy()
    teacher.__dict__.update(trees=12)
    for name, value in (("teacher", teacher), ("students", (spy,))):
        done.__dict__[name] = value
    table = done.data.load()
    conductor.run_seed(done, table, SEED)
    splits = conductor.scale(done, *done.data.split(table, SEED, "test"))
    return *splits, teacher, spy


def test_the_teacher_learns_from_the_training_rows_alone(spied_study):
    train, test, teacher, _ = spied_study
    np.testing.assert_array_equal(teacher.learned[0], train.features)
    np.testing.assert_array_equal(teacher.learned[1], train.labels)
    learned_rows = {row.tobytes() for row in teacher.learned[0]}
    assert not learned_rows & {row.tobytes() for row in test.features}


def test_alone_has_the_labels_and_never_the_teacher(spied_study):
    train, _, _, spy = spied_study
    features, targets = spy.seen[0]
    np.testing.assert_array_equal(features, train.features)
    np.testing.assert_array_equal(targets, train.labels)


def test_taught_students_have_the_teachers_probabilities(spied_study):
    train, test, teacher, spy = spied_study
    forest = learners.Forest(trees=12).fit(
        *teacher.learned, seeds.seed_of(SEED, "teacher")
    )
    tested = {row.tobytes() for row in test.features}
    for features, targets in spy.seen[1:]:
        np.testing.assert_allclose(targets, forest(features))
        assert not tested & {row.tobytes() for row in features}
    np.testing.assert_array_equal(spy.seen[1][0], train.features)


def test_pooled_rows_are_the_training_rows_and_those_made(spied_study):
    train, _, teacher, spy = spied_study
    pooled = spy.seen[2][0]
    count = len(train.labels)
    assert len(pooled) == 3 * count
    np.testing.assert_array_equal(pooled[:count], train.features)
    assert np.abs(pooled[count : 2 * count] - train.features).max() > 0
    # Each row that learns is answered once: training rows, rows made, test rows.
    assert [len(rows_asked) for rows_asked in teacher.asked[:2]] == [count, 2 * count]


def test_what_two_transfer_sets_share_is_made_and_asked_once(rows):
    calls = []

    def teacher(features):
        calls.append(len(features))
        return np.eye(3)[np.zeros(len(features), int)]

    sets = conductor._TransferSets(rows, teacher, 0)
    apart, _ = sets.build(transfer.Bootstrap(copies=2))
    pooled, targets = sets.build(transfer.Bootstrap(copies=2, pooled=True))
    np.testing.assert_array_equal(pooled, np.concatenate([rows.features, apart]))
    assert calls == [120, 60]
    assert targets.shape == (180, 3)


def test_jitter_is_noise_of_that_deviation(rows):
    generated = transfer.Jitter(copies=50, deviation=0.2).rows(rows, 0)
    noise = generated - np.tile(rows.features, (50, 1))
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(noise.std(axis=0), 0.2, atol=0.01)


def test_a_generator_learns_where_each_class_is():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [300, 100])
    features = np.stack([8.0 * labels - 2, np.zeros(400)], axis=1)
    train = table_rows.Rows(
        features + 0.1 * rng.normal(size=(400, 2)), labels, ("a", "b")
    )
    part = transfer.Gan(
        copies=2,
        epochs=30,
        batch_size=20,
        discriminator=DenseClassifier(units=(16,)),
        method=ACGAN(
            generator_learning_rate=0.01, discriminator_learning_rate=0.005, average=0.9
        ),
    )
    generated = part.rows(train, 0)
    assert generated.shape == (800, 2)
    # The classes lie at -2 and 6, and a quarter of the rows is of the second.
    assert 0.2 < (generated[:, 0] > 2).mean() < 0.3
    assert np.abs(np.median(generated[generated[:, 0] < 2, 0]) + 2) < 1


@pytest.mark.parametrize("scaling", ["standard", "quantile"])
def test_scaling_is_fitted_on_the_training_rows(scaling, rows):
    train, other = rows.take(np.arange(40)), rows.take(np.arange(40, 60))
    actual = study(f"scaling={scaling}")
    mine, theirs = conductor.scale(actual, train, other)
    np.testing.assert_allclose(mine.features[:, 0].mean(), 0, atol=1e-9)
    assert theirs.features[:, 0].min() >= mine.features[:, 0].max() - 1e-9


def test_a_tree_learns_probabilities_of_any_number_of_classes(rows):
    targets = np.random.default_rng(0).dirichlet(np.ones(3), 60)
    for expected in (targets, np.stack([targets[:, 0], 1 - targets[:, 0]], axis=1)):
        answer = learners.Trees(trees=30).fit(rows.features, expected, 0)
        actual = answer(rows.features)
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual.sum(axis=1), 1)
        assert np.abs(actual - expected).mean() < 0.15


def test_a_small_network_learns_labels_and_probabilities_alike():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 2))
    labels = (features[:, 0] > 0).astype(np.int64)
    student = learners.Dense(units=4, steps=150, batch_size=32, learning_rate=0.02)
    by_label = student.fit(features, labels, 0)(features)
    assert learners.auc(labels, by_label) > 0.99
    soft = np.stack([0.7 - 0.4 * labels, 0.3 + 0.4 * labels], axis=1)
    by_teacher = student.fit(features, soft, 0)(features)
    assert np.abs(by_teacher - soft).mean() < 0.1


def test_bootstrap_draws_training_rows(rows):
    rows_drawn = transfer.Bootstrap(copies=3).rows(rows, 0)
    assert len(rows_drawn) == 180
    assert set(rows_drawn[:, 0]) <= ids(rows)
    assert not np.array_equal(rows_drawn, np.tile(rows.features, (3, 1)))


def test_speed_is_rows_over_the_fastest_turn(monkeypatch):
    clock = iter([0, 5, 5, 6, 6, 8, 8, 18, 18, 21, 21, 25])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    models = dict.fromkeys(["one", "other"], lambda calls: calls)
    rates = speed.rows_per_second(models, np.zeros((10, 1)), 3)
    assert rates == {"one": 10 / 2, "other": 10 / 1}


@pytest.mark.skipif(CORES is None, reason="the system cannot hold a process to a core")
def test_one_core_is_one_and_given_back():
    with speed.one_core():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == CORES


def test_a_study_ends_in_a_report_and_goes_on(tmp_path, capsys, monkeypatch):
    flags = ["--config=tabular_breast_cancer.yaml", f"--out={tmp_path}"]
    flags += [f"--set={text}" for text in SMALL if not text.startswith("seeds")]
    assert tabular.main([*flags, "--seeds=2"]) == 0
    table = capsys.readouterr().out
    assert all(len(line) <= 100 for line in table.splitlines())
    result = json.loads((tmp_path / "report.json").read_text())
    by_name = {model["transfer"]: model for model in result["students"]}
    for model in by_name.values():
        difference = intervals.paired_difference(
            model["auc"]["values"],
            by_name["train"]["auc"]["values"],
            test_to_train=result["data"]["measured"] / result["data"]["train"],
        )
        assert model["over_train"] == difference
        assert f"{model['auc']['mean']:.2f}" in table
    assert by_name["munge+train"]["rows"] == 3 * by_name["alone"]["rows"]
    page = (tmp_path / "report.html").read_text()
    assert "munge+train" in page
    assert all("corrected resampled t" in text for text in (table, page))
    assert not re.search(r"<(script|link|img)|https?:", page)
    (tmp_path / "checkpoint" / "seed.1.json").unlink()
    calls = []
    done = conductor.run_seed
    monkeypatch.setattr(
        conductor,
        "run_seed",
        lambda *arguments: calls.append(arguments[-1]) or done(*arguments),
    )
    assert tabular.main([*flags, "--seeds=2"]) == 0
    assert calls == [1]
    again = json.loads((tmp_path / "report.json").read_text())
    assert again["students"][0]["auc"] == result["students"][0]["auc"]
    assert tabular.main([*flags, "--seeds=3"]) == 0  # More of the same study.
    assert calls == [1, 2]
    assert tabular.main([*flags, "--set=scaling=quantile"]) == 2  # Another study.


def test_a_single_seed_has_no_interval():
    assert report.format_difference({"mean": 1.234, "low": None}) == "+1.23"
    assert report.format_difference({"mean": 1, "low": -0.5, "high": 2.5}) == (
        "+1.00 [-0.50, +2.50]"
    )
    assert report.format_difference(None) == ""


@pytest.mark.parametrize(
    "path", sorted(SHIPPED.glob("tabular_*")), ids=lambda p: p.name
)
def test_every_shipped_study_loads_and_reads_back_equal(path, tmp_path):
    actual = config.read(Study, path)
    copy = tmp_path / "copy.yaml"
    copy.write_text(config.dump(actual))
    assert config.read(Study, copy) == actual
