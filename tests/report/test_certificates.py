"""A certificate is told on console, page and card, also that there is none."""

import pytest
from reports import TAKES, make, page

from distill.report import certificates, console
from distill.report.card import model_card
from distill.run.evaluation import warn

FOUND = {
    "bound": 14.5,
    "training_error": 4.375,
    "guessing": 90.0,
    "examples": 60_000,
    "bits": 4_655,
    "files_tried": 1,
    "vacuous": False,
    "allowed_bytes": 20_000,
}


def certified(**changed):
    """A report whose `student.int8` has a certificate."""
    made = make()
    chosen = next(one for one in made["models"] if one["name"] == "student.int8")
    chosen["certificate"] = FOUND | changed
    for one in made["models"]:
        one |= {"takes": TAKES, "gives": [], "sha256": "0" * 64}
    return made, chosen


def on_one_line(text):
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "with 95 % certainty at most 14.50 % wrong on new examples like these"),
        ({}, "4.38 % of 60,000 training examples wrong, described in 582 bytes"),
        ({"vacuous": True}, "certificate of student.int8: none, only at most 14.50 %"),
        ({"vacuous": True}, "always one class: 90.00 %"),
        ({"vacuous": True}, "a bound would need at most 20,000 bytes"),
        ({"vacuous": True, "allowed_bytes": 0}, "no file of that error would have a"),
    ],
)
def test_console_page_and_card_tell_the_certificate(changed, words):
    made, _ = certified(**changed)
    for text in (console.table(made), page(made), model_card.text(made)):
        assert words in on_one_line(text)


def test_a_file_without_a_certificate_is_not_mentioned():
    made = make()
    assert certificates.lines(made["models"]) == []
    assert "certificate" not in console.table(made) + page(made)


def test_more_errors_than_the_certificate_allows_are_a_warning():
    made, chosen = certified()
    assert warn.certificates(made["models"]) == []
    chosen["accuracy"] = 85.4
    (line,) = warn.certificates(made["models"])
    assert "student.int8 errs on 14.60 % of the test examples" in line
