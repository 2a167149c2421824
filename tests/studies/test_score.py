"""Scores of made examples: the formulas by hand, and one small run of the command."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from scipy import linalg

from distill import config, data, score
from distill.data.synthetic import sources
from distill.measure import quality
from distill.run.folder import claim
from distill.runtime import errors, files
from distill.runtime.resume import resume
from distill.studies.score import plan, report
from distill.studies.score import score as score_score

RNG = np.random.default_rng(0)
SHORT = [
    "teacher.network.options.depth=8",
    "teacher.stages.0.epochs=6",
    "stages.0.learning_rate=0.05",
    "stages.0.task_weight=0.5",
    "student.options.width=8",
]


def test_the_score_subtracts_the_most_frequent_class_which_the_public_code_forgets():
    assert quality.tsc_score(44.6, 53.2, 10.0) == pytest.approx(34.6 / 43.2)
    assert quality.tsc_score(44.6, 53.2, 10.0) != pytest.approx(44.6 / 53.2)


def test_a_student_of_real_data_scores_1_and_one_that_says_one_class_0():
    assert quality.tsc_score(53.2, 53.2, 10.0) == 1
    assert quality.tsc_score(10.0, 53.2, 10.0) == 0
    assert quality.tsc_score(60.0, 53.2, 10.0) > 1


@pytest.mark.parametrize("real", [10.0, 9.0])
def test_there_is_no_score_where_real_data_taught_nothing(real):
    with pytest.raises(ValueError, match="`real_accuracy` must be above"):
        quality.tsc_score(30.0, real, 10.0)


def test_the_most_frequent_class_is_that_of_training_measured_on_test():
    train, test = np.array([0, 2, 2, 1, 2]), np.array([0, 0, 0, 1, 2, 1, 1, 1])
    assert quality.mode_accuracy(train, test) == 100 / 8


def test_sure_answers_of_all_classes_score_their_number_and_one_answer_1():
    confident = 1e4 * np.eye(7)
    assert quality.classifier_scores(np.tile(confident, (3, 1))) == pytest.approx([7])
    assert quality.classifier_scores(np.tile(confident[:1], (9, 1))) == pytest.approx(
        [1]
    )
    assert quality.classifier_scores(np.zeros((9, 7))) == pytest.approx([1])


def test_the_classifier_score_is_the_papers():
    logits = RNG.normal(size=(12, 4))
    expected = []
    for part in (logits[:6], logits[6:]):
        p = np.exp(part) / np.exp(part).sum(1, keepdims=True)
        expected.append(np.exp(np.mean((p * np.log(p / p.mean(0))).sum(1))))
    np.testing.assert_allclose(quality.classifier_scores(logits, 2), expected)


def test_the_distance_of_a_set_from_itself_is_0_and_from_a_shifted_one_the_shift():
    features, shift = RNG.normal(size=(50, 6)), np.arange(6.0)
    assert quality.frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    distance = quality.frechet_distance(features, features[::-1] + shift)
    assert distance == pytest.approx(shift @ shift)


@pytest.mark.parametrize("count", [4, 50])  # 4: of less than full rank.
def test_the_distance_from_a_scaled_set_is_in_closed_form(count):
    features = RNG.normal(size=(count, 6))
    features -= features.mean(0)
    expected = np.trace(np.cov(features, rowvar=False)) * (3 - 1) ** 2
    assert quality.frechet_distance(features, 3 * features) == pytest.approx(expected)


def test_the_distance_of_any_two_sets_is_the_papers():
    real, generated = RNG.normal(size=(40, 5)), RNG.normal(size=(30, 5))
    generated = generated @ RNG.normal(size=(5, 5)) + 1
    one, two = (np.cov(features, rowvar=False) for features in (real, generated))
    shift = real.mean(0) - generated.mean(0)
    root = linalg.sqrtm(one @ two).real
    expected = shift @ shift + np.trace(one + two - 2 * root)
    assert quality.frechet_distance(real, generated) == pytest.approx(expected)
    assert quality.frechet_distance(generated, real) == pytest.approx(expected)


def test_the_distance_takes_a_single_feature():
    line = np.array([[0.0], [2.0]])
    assert quality.frechet_distance(line, 2 * line) == pytest.approx(1 + 2)


def slow_neighbourhoods(real, generated, k):
    def distances(a, b):
        return np.array([[np.linalg.norm(x - y) for y in b] for x in a])

    radii_real = np.sort(distances(real, real))[:, k]
    radii_made = np.sort(distances(generated, generated))[:, k]
    is_inside = distances(real, generated) <= radii_real[:, None]
    return {
        "precision": is_inside.any(0).mean(),
        "recall": (distances(generated, real) <= radii_made[:, None]).any(0).mean(),
        "density": is_inside.sum() / (k * len(generated)),
        "coverage": is_inside.any(1).mean(),
    }


@pytest.mark.parametrize("k", [1, 3])
def test_neighbourhoods_are_the_papers(k):
    real, generated = RNG.normal(size=(30, 2)), 0.5 * RNG.normal(size=(20, 2)) + 0.7
    actual = quality.neighbourhoods(real, generated, k)
    assert actual == pytest.approx(slow_neighbourhoods(real, generated, k))


def test_neighbourhoods_tell_copies_strangers_and_a_single_mode_apart():
    real = RNG.normal(size=(40, 3))
    whole = dict.fromkeys(("precision", "recall", "coverage"), 1.0)
    assert whole.items() <= quality.neighbourhoods(real, real + 1e-9).items()
    assert set(quality.neighbourhoods(real, real + 100).values()) == {0.0}
    # Tight around what most others are near to.
    collapsed = quality.neighbourhoods(real, 1e-3 * real)
    assert collapsed["precision"] == 1
    assert collapsed["recall"] < 0.1
    assert collapsed["coverage"] < 0.8


@pytest.mark.parametrize("k", [0, 6])
def test_neighbours_must_be_fewer_than_the_examples(k):
    with pytest.raises(ValueError, match=f"`neighbours` must .* Received: {k}"):
        quality.neighbourhoods(RNG.normal(size=(9, 2)), RNG.normal(size=(6, 2)), k)


def the_run(*overrides):
    return config.load("gan_tsc_resnet.yaml", [*SHORT, *overrides])


def test_rows_differ_in_their_examples_alone():
    run = the_run("controls.1.stages.0.synthetic.options.swap_probability=0.3")
    rows = {row.name: row for row in plan.plan(run, [10, 3])}
    assert list(rows) == ["real", "gan_10", "gan_3", "munge", "mixup"]
    assert rows["real"].source is None
    assert rows["munge"].source == sources.Munge(p_fake=1.0, swap_probability=0.3)
    assert rows["mixup"].source == sources.Mixup(p_fake=1.0)
    for name, row in rows.items():
        epochs = {"gan_10": 10, "gan_3": 3}.get(name, run.generator.epochs)
        assert row.run.generator == dataclasses.replace(run.generator, epochs=epochs)
        (stage,) = row.run.stages
        alone = dataclasses.replace(stage, synthetic=None)
        assert alone == rows["real"].run.stages[0]
        assert row.run.uses_generator == name.startswith("gan")
    (stage,) = rows["real"].run.stages
    assert stage.trainer == run.stages[0].trainer
    assert stage.learning_rate == run.stages[0].learning_rate
    assert (stage.task_weight, stage.schedule) == (0, "cosine")


def test_a_source_makes_everything_even_where_the_run_filters():
    expected = "stages.0.synthetic.options.min_confidence=0.5"
    (row,) = [row for row in plan.plan(the_run(expected)) if row.name == "gan_400"]
    assert row.source == sources.Gan(p_fake=1.0)


def test_a_stage_after_another_and_with_steps_can_be_scored_without_a_generator():
    steps = ["stages.1.schedule=step", "stages.1.decay_epochs=[2]"]
    run = config.load("lit_resnet.yaml", steps)
    rows = plan.plan(run)
    assert [row.name for row in rows] == ["real", "munge", "mixup"]
    assert rows[0].run.stages[0].trainer == run.stages[1].trainer


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds=0"], "--seeds must be at least 1"),
        (["--examples=63"], "--examples must be at least a batch, `batch_size` = 64"),
        (["--generator-epochs", "3", "0"], "--generator-epochs must be different"),
        (["--generator-epochs", "3", "3"], "--generator-epochs must be different"),
        (["--config=gan_resnet.yaml"], "`stages` must have one whose trainer is kd"),
        (
            ["--config=lit_resnet.yaml", "--generator-epochs=3"],
            "--generator-epochs needs a `generator`",
        ),
    ],
)
def test_bad_input_is_one_line_and_a_2_before_anything(
    flags, message, tmp_path, capsys
):
    out = tmp_path / "scores"
    assert score.main(["--config=gan_tsc_resnet.yaml", f"--out={out}", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not out.exists()


class Conditions:
    """A generator that makes its classes visible."""

    input = {"noise": np.zeros((1, 3))}  # noqa: RUF012

    def predict_on_batch(self, inputs):
        return (inputs["noise"][:, :1] * 0 + inputs["label"][:, None])[..., None, None]


def test_drawn_examples_are_the_sources_and_have_the_shares_of_the_classes():
    from distill.studies.score import scorer

    labels = np.repeat([0, 1, 2], [300, 200, 100])
    images = RNG.integers(0, 255, (600, 1, 1, 1)).astype(np.uint8)
    split = data.Split(images, labels)
    real = scorer.draw(None, split, None, RNG)
    np.testing.assert_array_equal(np.sort(real, 0), np.sort(split.floats(), 0))
    generated = scorer.draw(sources.Gan(p_fake=1.0), split, Conditions(), RNG)
    assert np.bincount(generated.ravel().astype(int)).tolist() == [300, 200, 100]


@pytest.fixture(scope="module")
def scored_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "scores"
    return folder, scores_in(folder)


def scores_in(folder, seeds=1, examples=3000):
    """Real examples beside those of a generator that has learned next to nothing."""
    run = the_run()
    rows = plan.plan(run, [1])[:2]
    with files.lock(folder):
        claim(folder, run)
        return score_score.score(run, rows, seeds, examples, folder)


def rows_of(result):
    return {row["name"]: row for row in result["rows"]}


def test_noise_scores_below_real_data(scored_folder):
    _, result = scored_folder
    real, noise = rows_of(result)["real"], rows_of(result)["gan_1"]
    assert real["tsc_score"]["values"] == [1]
    assert noise["tsc_score"]["mean"] < 0.8
    for name in ("precision", "recall", "coverage", "classifier_score"):
        assert noise[name]["mean"] < real[name]["mean"]
    assert noise["frechet_distance"]["mean"] > 3 * real["frechet_distance"]["mean"]
    assert result["steps"] * 64 == result["examples"]
    assert abs(result["examples"] - 3000) < 4 * 64


def test_scores_are_kept_and_drawn_alike_again(scored_folder, monkeypatch):
    folder, result = scored_folder
    monkeypatch.setattr(resume, "fit", None)
    assert scores_in(folder) == result
    (folder / "seed=0" / "gan_1.json").unlink()
    assert scores_in(folder) == result
    assert json.loads((folder / "score.json").read_text()) == result


def test_another_length_is_refused(scored_folder):
    folder, _ = scored_folder
    with pytest.raises(errors.ConfigError, match="examples: 3000 -> 6000"):
        scores_in(folder, examples=6000)


@pytest.fixture
def second(scored_folder, tmp_path, monkeypatch):
    """The scores with a second seed of given accuracies, by hand."""
    folder, _ = scored_folder
    shutil.copytree(folder.parent, tmp_path / "runs")
    copy = tmp_path / "runs" / folder.name
    shutil.copytree(copy / "seed=0", copy / "seed=1")
    monkeypatch.setattr(resume, "fit", None)

    def result(**accuracies):
        for name, accuracy in accuracies.items():
            path = copy / "seed=1" / f"{name}.json"
            results = json.loads(path.read_text())
            path.write_text(json.dumps({**results, "accuracy": accuracy}))
        return scores_in(copy, seeds=2)

    return result


def test_seeds_are_paired_with_the_real_row_of_their_own(scored_folder, second):
    before, after = rows_of(scored_folder[1]), second(real=70.0, gan_1=40.0)
    real, noise = rows_of(after)["real"], rows_of(after)["gan_1"]
    first = [before[name]["accuracy"]["mean"] for name in ("real", "gan_1")]
    mode = after["mode_accuracy"]
    scores = [(first[1] - mode) / (first[0] - mode), (40 - mode) / (70 - mode)]
    assert noise["tsc_score"]["values"] == pytest.approx(scores)
    assert noise["to_real"]["values"] == pytest.approx([first[1] - first[0], -30])
    assert noise["to_real"]["low"] < noise["to_real"]["mean"]
    assert real["tsc_score"]["sd"] == 0
    text = report.table(after)
    assert max(map(len, text.splitlines())) <= 100
    page = report.html(after)
    for row in after["rows"]:
        assert f"{row['accuracy']['mean']:.2f}" in text
        assert f"<td>{row['accuracy']['mean']:.2f}</td>" in page


def test_a_student_that_learned_nothing_is_a_warning_and_no_score(second):
    result = second(real=5.0)
    assert [row["tsc_score"] for row in result["rows"]] == [None, None]
    (line,) = result["warnings"]
    assert line.startswith("Seed 1: from real data the student reached 5.00 %")
    assert "generator, 1 epoch " in report.table(result)
    assert line.split("(")[0] in report.html(result)


def test_students_never_see_a_label(scored_folder, tmp_path):
    from distill.runtime.trust import loader
    from distill.studies.score import scorer

    folder, result = scored_folder
    run = the_run()
    splits = run.data.load()
    wrong = data.Split(splits.train.inputs, splits.train.labels[::-1].copy())
    bench = scorer.Scorer(
        dataclasses.replace(splits, train=wrong),
        loader.open_own(folder / "teacher.keras"),
        tmp_path,
    )
    row = plan.plan(run)[0]
    epochs = scorer.epochs(splits.train, run.batch_size, 3000)
    stage = dataclasses.replace(row.run.stages[0], epochs=epochs)
    row = row._replace(run=dataclasses.replace(row.run, stages=(stage,)))
    accuracy = rows_of(result)["real"]["accuracy"]["mean"]
    assert bench.measure(row, 0, None)["accuracy"] == accuracy
