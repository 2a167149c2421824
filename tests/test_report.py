"""Laws of the report: it says what was measured, and nothing gets out of it."""

import html as markup
import html.parser
import math
import re

import numpy as np
import pytest

from distill.report import console as report_console
from distill.report import page as report_page
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


def curve(first, last, epochs):
    """A decay with a little noise, one value an epoch."""
    rng = np.random.default_rng(round(1000 * first))
    share = np.linspace(1, 0, epochs) ** 2
    return [
        float(last + (first - last) * s + 0.02 * last * n)
        for s, n in zip(share, rng.normal(size=epochs), strict=True)
    ]


def stage(model, name, epochs, finisher=None):
    """A record of training, as `distill.teach.stages` and `distill.finish` make it."""
    terms = TERMS[name]
    metrics = {"accuracy": curve(0.5, 0.985, epochs), "loss": curve(2.1, 0.06, epochs)}
    metrics |= {
        t: curve(0.9 / (i + 1), 0.02 / (i + 1), epochs) for i, t in enumerate(terms)
    }
    metrics |= {f"val_{name}": values for name, values in metrics.items()}
    metrics["val_accuracy"] = curve(0.42, 0.972, epochs)
    metrics["learning_rate"] = list(np.cos(np.linspace(0, np.pi, epochs)) * 0.05 + 0.05)
    metrics["examples_per_second"] = curve(900, 5200, epochs)
    return {
        "model": model,
        "name": finisher or name,
        "epochs": epochs,
        "seconds": 1.7 * epochs,
        "examples_per_second": 4321.0,
        "metrics": metrics,
    }


def model(name, accuracy, size, latency=None, failed=(), classes=10, zeros=0.0):
    """A model as `distill.run.gather` measures it."""
    teacher = name.startswith("teacher")
    rng = np.random.default_rng(size)
    return {
        "name": name,
        "file": name + (".keras" if latency is None else ".tflite"),
        "parameters": 175_258 if teacher else 40_826,
        "macs": 2_617_472 if teacher else 546_944,
        "test_examples": 360,
        "accuracy": accuracy,
        "agreement_with_teacher": 100.0 if teacher else accuracy - 0.31,
        "per_class_accuracy": [
            float(v) for v in np.clip(accuracy + rng.normal(0, 2, classes), 0, 100)
        ],
        "bytes": size,
        "gzip_bytes": int(size * 0.88),
        "latency_ms": latency
        and {
            "median": latency,
            "p90": latency * 1.2,
            "threads": 1,
            "runs": 200,
            "machine": "Some CPU, 2 cores, Linux",
        },
        "latency_all_threads_ms": None,
        "sparsity": zeros,
        "failed": list(failed),
    }


def make(classes=10):
    """A run with a teacher, three stages, a control, six variants, one failed."""
    why = "accuracy 95.10 % is 3.23 points below the student's"
    zeros = {"pruned": 0.801, "pruned_int8": 0.8}
    variants = [
        (98.33, 168_204, 0.061, ()),
        (98.33, 90_412, 0.063, ()),
        (98.06, 57_800, 0.052, ()),
        (97.78, 58_648, 0.034, ()),
        (97.50, 71_112, 0.055, ()),
        (95.10, 41_960, 0.035, [why]),
    ]
    models = [
        model("teacher", 98.89, 812_345, classes=classes),
        model("student", 98.33, 240_112, classes=classes),
        model("control", 96.94, 240_160, classes=classes),
        model("teacher.float32", 98.89, 712_345, 0.213, classes=classes),
        *(
            model(f"student.{name}", a, b, c, failed, classes, zeros.get(name, 0.0))
            for name, (a, b, c, failed) in zip(NAMES, variants, strict=True)
        ),
    ]
    return {
        "run": {
            "data": {"name": "digits", "options": {"train_examples": None}},
            "augmentation": {"shift": 1, "flip": False},
            "batch_size": 32,
            "seed": 0,
            "student": {"name": "resnet", "options": {"depth": 8, "width": 16}},
            "stages": [
                {"trainer": {"name": name, "options": {}}, "epochs": epochs}
                for name, epochs in (("lit", 8), ("kd", 12), ("supervised", 4))
            ],
            "controls": [{"name": "control", "stages": []}],
            "finish": [{"name": name, "options": {}} for name in NAMES],
            "max_accuracy_drop": 1.0,
        },
        "versions": {"distill": "0.1.0", "keras": "3.15.1", "tensorflow": "2.21.0"},
        "machine": "Some CPU, 2 cores, Linux",
        "peak_memory_bytes": {"training": 1_500_000_000, "finishing": 900_000_000},
        "data": {
            "name": "digits",
            "class_names": [str(index) for index in range(classes)],
            "train": 1293,
            "validation": 144,
            "test": 360,
            "fingerprint": "0f" * 32,
            "kind": "images",
            "input_shape": [8, 8, 1],
        },
        "models": models,
        "stitched": [
            {"section": "section1", "teacher_first": 91.25, "student_first": 97.5},
            {"section": "section2", "teacher_first": 96.75, "student_first": 88.5},
        ],
        "stages": [
            stage("teacher", "supervised", 30),
            stage("student", "lit", 8),
            stage("student", "kd", 12),
            stage("student", "supervised", 4),
            stage("control", "supervised", 24),
            {
                **stage("student.float32", "kd", 1),
                **{"name": "float32", "epochs": 0, "seconds": 2.1, "metrics": {}},
            },
            stage("student.int8", "kd", 4, "int8"),
            stage("student.pruned", "kd", 10, "pruned"),
            stage("student.pruned_int8", "kd", 4, "pruned_int8"),
        ],
        "warnings": ["The student is no better than control: here it brought nothing"],
        "failures": [f"student.pruned_int8: {why}"],
    }


def make_wrong(count=7):
    """What `distill.run.gather` says of the images that were missed."""
    images = np.random.default_rng(0).random((count, 8, 8, 1))
    return [(image, "3", "8", "3") for image in images]


def page(report_, wrong=()):
    return markup.unescape(report_page.html(report_, wrong))


def test_every_model_is_in_the_table_and_on_the_page():
    made = make()
    table, text = report_console.table(made), page(made)
    for each in made["models"]:
        row = next(line for line in table.splitlines() if f" {each['name']} " in line)
        assert f"{each['accuracy']:.2f}" in row
        assert f"{each['bytes'] / 1000:,.1f}" in row
        assert each["name"] in text
    assert max(map(len, table.splitlines())) <= 100


def test_what_failed_is_named_and_never_chosen():
    made = make()
    assert pareto.smallest(made["models"])["name"] == "student.dynamic_int8"
    table = report_console.table(made)
    failed = next(line for line in table.splitlines() if "student.pruned_int8" in line)
    assert failed.startswith("x")
    assert "is 3.23 points below the student's" in table
    assert "is 3.23 points below the student's" in page(made)
    for each in made["models"]:
        each["failed"] = ["broken"]
    assert pareto.smallest(made["models"]) is None
    assert "smallest file that passes" not in report_console.table(made)


def test_a_keras_file_or_a_teacher_is_never_the_one_that_ships():
    models = [each for each in make()["models"] if "student." not in each["name"]]
    assert pareto.smallest(models) is None


def test_of_two_files_of_one_size_the_more_accurate_is_chosen():
    pair = [model("student.a", 97.0, 5, 0.1), model("student.b", 98.0, 5, 0.1)]
    assert pareto.smallest(pair)["name"] == "student.b"


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
    made = make()
    made["data"]["class_names"][3] = "<script>alert(1)</script>"
    made["run"]["data"]["name"] = made["data"]["name"] = "</style><img src=x onerror=y>"
    wrong = [(image, "<b onclick=z>", *words) for image, _, *words in make_wrong()]
    text = report_page.html(made, wrong)
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
    wanted = [
        any(
            (a <= b and c >= d and (a < b or c > d))
            for a, c in zip(size, accuracy, strict=True)
        )
        for b, d in zip(size, accuracy, strict=True)
    ]
    assert list(pareto.dominated(size, accuracy)) == wanted


def one_epoch(made):
    made["stages"] = [stage("teacher", "supervised", 1), stage("student", "lit", 1)]


def no_files(made):
    made["models"] = made["models"][:3]


def nothing_measured(made):
    for each in made["models"]:
        each.update(latency_ms=None, agreement_with_teacher=None)
        each["per_class_accuracy"][0] = None


def not_a_number(made):
    made["stages"][0]["metrics"]["loss"][3] = math.nan
    made["stages"][1]["metrics"]["val_loss"] = [math.nan] * 8


def no_control(made):
    made["models"] = [each for each in made["models"] if each["name"] != "control"]


@pytest.mark.parametrize(
    "change", [one_epoch, no_files, nothing_measured, not_a_number, no_control]
)
def test_a_run_that_is_unlike_others_has_its_report_too(change):
    made = make()
    change(made)
    assert "nan" not in re.sub(
        r"<pre.*?</pre>", "", report_page.html(made, []), flags=re.S
    )
    assert "teacher" in report_console.table(made)


def test_the_health_of_a_game_has_charts_of_its_own():
    played = make()
    stage_ = played["stages"][1]
    stage_["metrics"] |= {
        "agreement": [0.5] * 8,
        "val_agreement": [0.25] * 8,
        "discriminator_accuracy_on_teacher": [0.625] * 8,
        "student_gradient_norm": [3.5] * 8,
    }
    shown = page(played)
    assert "whom the discriminator recognises" in shown
    assert re.search(r"discriminator_accuracy_on_teacher <b>62.50</b>", shown)
    assert re.search(r"student_gradient_norm <b>3.5</b>", shown)
    assert "val_agreement" not in shown
    assert "recognises" not in page(make())


def test_stitched_networks_say_where_the_student_loses():
    made = make()
    console, whole = report_console.table(made), page(made)
    for row in made["stitched"]:
        line = next(x for x in console.splitlines() if x.startswith(row["section"]))
        for text in (f"{row['teacher_first']:.2f}", f"{row['student_first']:.2f}"):
            assert text in line
            assert f"<td>{text}</td>" in whole
    made["stitched"] = []
    assert "Where the student loses" not in page(made)
    assert "section1" not in report_console.table(made)


def test_a_hundred_classes_fit():
    assert "digits" in page(make(classes=100))


def test_numbers_are_written_for_people():
    assert formats.percent(97.456) == "97.46"
    assert formats.kilobytes(93_196) == "93.2"
    assert formats.whole(273754) == "273,754"
