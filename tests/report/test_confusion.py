"""Confusions are counted by class, shown side by side, and in pairs where many."""

import re

import numpy as np
from reports import make, page

from distill.report import confusion

RNG = np.random.default_rng(0)


def logits(predicted, classes):
    return np.eye(classes)[predicted]


def test_counts_are_those_of_the_answers_and_nan_is_of_no_class():
    labels = np.array([0, 0, 1, 1, 2, 2])
    teacher, file = (logits(p, 3) for p in ([0, 1, 1, 1, 2, 0], [1, 1, 1, 0, 2, 2]))
    file[5] = np.nan
    found = confusion.record(labels, {"teacher": teacher, "student.int8": file}, 3)
    assert found["counts"] == [
        [[1, 1, 0], [0, 2, 0], [1, 0, 1]],
        [[0, 2, 0], [1, 1, 0], [0, 0, 1]],
    ]
    assert found["totals"] == [2, 2, 2]
    pairs = [tuple(pair.values()) for pair in found["pairs"]]
    assert pairs == [(0, 1, [1, 2]), (1, 0, [0, 1]), (2, 0, [1, 0])]


def test_of_many_classes_only_the_most_confused_pairs_stay():
    classes = confusion.LARGEST + 1
    labels = RNG.integers(0, classes, 2000)
    predicted = np.where(labels == 3, 7, labels)
    found = confusion.record(labels, {"student": logits(predicted, classes)}, classes)
    assert found["counts"] is None
    count = int((labels == 3).sum())
    assert found["pairs"] == [{"true": 3, "predicted": 7, "counts": [count]}]
    noisy = logits(RNG.integers(0, classes, 2000), classes)
    found = confusion.record(labels, {"student": noisy}, classes)
    worst = [pair["counts"][0] for pair in found["pairs"]]
    assert len(worst) == confusion.PAIRS and worst == sorted(worst, reverse=True)


def shown(classes, names):
    report = make(classes)
    report["data"]["class_names"] = [f"<{index}>" for index in range(classes)]
    labels = np.arange(400) % classes
    answers = {
        name: logits((labels + (labels < n)) % classes, classes) for n, name in names
    }
    report["confusion"] = confusion.record(labels, answers, classes)
    text = page(report)
    (part,) = re.findall(r"<h2>Which classes.*?</section>", text, re.DOTALL)
    return part


def test_the_page_shows_the_teacher_beside_the_file():
    part = shown(10, [(1, "teacher"), (2, "student.int8")])
    assert part.count("<table") == 2 and "<small>true class" in part
    assert part.index("teacher") < part.index("student.int8")
    # Of the class 0, all is taken for 1: the darkest shade. What is right has none.
    assert len(re.findall(r'class="e6" title="100 % of <0>">40<', part)) == 2
    assert len(re.findall(r'class="e6"', part)) == 3
    assert len(re.findall(r'class="e0 worst" title="100 %', part)) == 9 + 8
    many = shown(30, [(1, "teacher"), (2, "student.int8")])
    assert many.count("<table") == 1 and '<th scope="row"><1></th>' in many


def test_a_run_without_mistakes_and_an_older_report_have_a_page():
    assert "there was no mistake" in shown(30, [(0, "student")])
    assert "Which classes are taken" not in page(make())
