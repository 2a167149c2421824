"""Laws of the report: it says what was measured, and nothing gets out of it."""

import html.parser
import math
import re

import numpy as np
import pytest
from reports import TAKES, make, make_wrong, model, page, stage

from distill.report import console as report_console
from distill.report import page as report_page
from distill.report.card import model_card
from distill.report.charts import pareto
from distill.runtime import formats

NAMES = ["float32", "float16", "dynamic_int8", "int8", "pruned", "pruned_int8"]
TERMS = {
    "supervised": ["task_loss", "regularization_loss"],
    "kd": ["task_loss", "regularization_loss", "kd_loss"],
    "lit": [
        *["task_loss", "regularization_loss", "kd_loss"],
        *["section1_loss", "section2_loss", "section3_loss"],
    ],
}


def test_every_model_is_in_the_table_and_on_the_page():
    report = make()
    table, text = report_console.table(report), page(report)
    for each in report["models"]:
        row = next(line for line in table.splitlines() if f" {each['name']} " in line)
        assert f"{each['accuracy']:.2f}" in row
        assert f"{each['bytes'] / 1000:,.1f}" in row
        assert each["name"] in text
    assert max(map(len, table.splitlines())) <= 100


def test_examples_without_labels_are_counted_beside_the_others():
    report = make()
    for each in report["models"]:
        each |= {"takes": TAKES, "gives": [], "sha256": ""}
    alone = page(report), model_card.text(report)
    report["data"]["unlabelled"] = 8000
    count = f"{report['data']['train']:,} training (and 8,000 unlabelled beside them)"
    for without, text in zip(
        alone, (page(report), model_card.text(report)), strict=True
    ):
        assert "unlabelled" not in without
        assert count in text


def test_an_energy_is_shown_as_modelled_wherever_it_is_known():
    report = make()
    for each in report["models"]:
        each |= {"takes": TAKES, "gives": [], "sha256": ""}
    files = [each for each in report["models"] if each["file"].endswith(".tflite")]
    for number, each in enumerate(files):
        each["modelled_energy"] = 7_654_321.0 + number
    for text, shown in (
        (page(report), "7.65 M"),
        (model_card.text(report), "7,654,321"),
    ):
        assert shown in text
        assert "modelled for an accelerator like Eyeriss" in text
    card = model_card.text(report)
    rows = [line for line in card.splitlines() if line.startswith("| student")]
    cells = [row.split(" | ")[8] for row in rows]
    assert cells[0] == formats.NOTHING  # The network, of which no file is.
    assert cells[1:] == [f"{7_654_321 + number:,}" for number in range(1, len(files))]


def test_what_failed_is_named_and_never_chosen():
    report = make()
    assert pareto.smallest(report["models"])["name"] == "student.dynamic_int8"
    table = report_console.table(report)
    failed = next(line for line in table.splitlines() if "student.pruned_int8" in line)
    assert failed.startswith("x")
    assert "is 3.23 points below the student's" in table
    assert "is 3.23 points below the student's" in page(report)
    for each in report["models"]:
        each["failed"] = ["broken"]
    assert pareto.smallest(report["models"]) is None
    assert "smallest file that passes" not in report_console.table(report)


def test_a_keras_file_or_a_teacher_is_never_the_one_that_ships():
    models = [each for each in make()["models"] if "student." not in each["name"]]
    assert pareto.smallest(models) is None


def test_of_two_files_of_one_size_the_validation_split_chooses():
    pair = [model("student.a", 97.0, 5, 0.1), model("student.b", 98.0, 5, 0.1)]
    assert pareto.smallest(pair)["name"] == "student.b"
    pair[0]["validation_accuracy"] = 98.9  # Whatever the test split says.
    assert pareto.smallest(pair)["name"] == "student.a"


class Outside(html.parser.HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "link", "iframe", "object", "embed"):
            self.found.append(tag)
        for name, value in attrs:
            fetched = name in ("src", "href", "srcset", "data") and value
            if name.startswith("on") or (fetched and value[0] != "#"):
                self.found += [] if (value or "").startswith("data:") else [name]


def test_the_page_needs_nothing_from_outside_and_runs_nothing():
    report = make()
    report["data"]["class_names"][3] = "<script>alert(1)</script>"
    report["run"]["data"]["name"] = report["data"]["name"] = (
        "</style><img src=x onerror=y>"
    )
    wrong = [(image, "<b onclick=z>", *words) for image, _, *words in make_wrong()]
    text = report_page.html(report, wrong)
    outside = Outside()
    outside.feed(text)
    assert outside.found == []
    assert not re.search(r"url\((?!['\"]?data:)|@import", text)


def test_wrong_answers_are_shown_with_truth_and_answer():
    text = page(
        make(), [(np.zeros((8, 8, 1)), "true-class", "its-answer", "true-class")]
    )
    assert text.count("data:image/png;base64,") == 1
    assert "true-class" in text
    assert "its-answer" in text


def test_dominated_files_are_those_beaten_in_size_and_accuracy():
    rng = np.random.default_rng(0)
    size, accuracy = rng.integers(1, 9, 30), rng.integers(1, 9, 30).astype(float)
    expected = [
        any(
            (a <= b and c >= d and (a < b or c > d))
            for a, c in zip(size, accuracy, strict=True)
        )
        for b, d in zip(size, accuracy, strict=True)
    ]
    assert list(pareto.dominated(size, accuracy)) == expected


def one_epoch(report):
    report["stages"] = [stage("teacher", "supervised", 1), stage("student", "lit", 1)]


def no_files(report):
    report["models"] = report["models"][:3]


def nothing_measured(report):
    for each in report["models"]:
        each.update(latency_ms=None, agreement_with_teacher=None)
        each["per_class_accuracy"][0] = None


def not_a_number(report):
    report["stages"][0]["metrics"]["loss"][3] = math.nan
    report["stages"][1]["metrics"]["val_loss"] = [math.nan] * 8


def no_control(report):
    report["models"] = [each for each in report["models"] if each["name"] != "control"]


@pytest.mark.parametrize(
    "change", [one_epoch, no_files, nothing_measured, not_a_number, no_control]
)
def test_a_run_that_is_unlike_others_has_its_report_too(change):
    report = make()
    change(report)
    assert "nan" not in re.sub(
        r"<pre.*?</pre>", "", report_page.html(report, []), flags=re.S
    )
    assert "teacher" in report_console.table(report)


def test_the_health_of_a_game_has_charts_of_its_own():
    game = make()
    stage_ = game["stages"][1]
    stage_["metrics"] |= {
        "agreement": [0.5] * 8,
        "val_agreement": [0.25] * 8,
        "discriminator_accuracy_on_teacher": [0.625] * 8,
        "student_gradient_norm": [3.5] * 8,
    }
    page_text = page(game)
    assert "whom the discriminator recognises" in page_text
    assert re.search(r"discriminator_accuracy_on_teacher <b>62.50</b>", page_text)
    assert re.search(r"student_gradient_norm <b>3.5</b>", page_text)
    assert "val_agreement" not in page_text
    assert "recognises" not in page(make())


def test_stitched_networks_say_where_the_student_loses():
    report = make()
    console, whole = report_console.table(report), page(report)
    for row in report["stitched"]:
        line = next(x for x in console.splitlines() if x.startswith(row["section"]))
        for text in (f"{row['teacher_first']:.2f}", f"{row['student_first']:.2f}"):
            assert text in line
            assert f"<td>{text}</td>" in whole
    report["stitched"] = []
    assert "Where the student loses" not in page(report)
    assert "section1" not in report_console.table(report)


def test_a_hundred_classes_fit():
    assert "digits" in page(make(classes=100))


def test_numbers_are_written_for_people():
    assert formats.percent(97.456) == "97.46"
    assert formats.kilobytes(93_196) == "93.2"
    assert formats.whole(273754) == "273,754"
