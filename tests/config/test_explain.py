"""Every option is explained, by its own docstring, and the page is the code's."""

import pathlib

import pytest

from distill import check
from distill.config import explain
from distill.runtime.errors import ConfigError

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "options.md"


def test_the_page_is_what_the_command_says():
    made = explain.page(check.ROOTS)
    assert PAGE.read_text() == made, (
        "python -m distill.check --explain > docs/options.md"
    )


def test_every_option_says_what_it_means():
    lines = [
        line
        for line in explain.page(check.ROOTS).splitlines()
        if line.startswith("- `")
    ]
    assert len(lines) > 200
    assert [line for line in lines if len(line.rpartition(": ")[2]) < 5] == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("stages.trainer", ["- `trainer`", "`lit_parallel`: LIT without", "`merge`"]),
        ("stages.0.trainer.options.temperature", ["no option `temperature`"]),
        ("stages.trainer.kd.temperature", ["`4.0` by default", "`match: softened`"]),
        ("stages.momentum", ["a number; `0.9` by default", "with `optimizer: sgd`"]),
        ("teacher.cache", ["`true`, or options", "- `top_k`"]),
        ("teacher.file", ["counts only without `network`"]),
        ("budget.max_kb", ["required"]),
        ("transfers.gan", ["Rows from a generator", "- `copies`"]),
        ("stages.momentun", ["Did you mean `momentum`?"]),
        ("stages.optimizer.sgd", ["no option `sgd`"]),
        ("nothing.at.all", ["no option `nothing`", "Expected one of: data"]),
    ],
)
def test_a_path_is_explained_or_refused_with_what_is_near(path, words):
    try:
        said = explain.explain(check.ROOTS, path)
    except ConfigError as mistake:
        said = str(mistake)
        assert "\n" not in said
    assert all(word in said for word in words), said


def test_the_command_answers_and_ends(capsys):
    with pytest.raises(SystemExit) as ended:
        check.main(["--explain", "stages.momentum"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("- `momentum`")
    with pytest.raises(SystemExit) as ended:
        check.main(["--explain", "stages.momentun"])
    assert ended.value.code == 2
