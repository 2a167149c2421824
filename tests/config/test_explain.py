"""Every option is explained by its docstring, and docs/options.md is up to date."""

import pathlib

import pytest

from distill import check
from distill.config import explain
from distill.runtime.errors import ConfigError

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "options.md"


def test_the_page_is_up_to_date():
    page = explain.format_page(check.ROOTS)
    assert PAGE.read_text() == page, (
        "python -m distill.check --explain > docs/options.md"
    )


def test_every_option_has_an_explanation():
    lines = [
        line
        for line in explain.format_page(check.ROOTS).splitlines()
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
        ("model", ["required"]),
        ("budget.max_packed_kb", ["absent by default", "transfer and storage"]),
        ("transfers.gan", ["Rows from a generator", "- `copies`"]),
        ("stages.momentun", ["Did you mean `momentum`?"]),
        ("stages.optimizer.sgd", ["no option `sgd`"]),
        ("co_teachers.onnx", ["no option `onnx`"]),
        ("nothing.at.all", ["no option `nothing`", "Expected one of: data"]),
    ],
)
def test_a_path_is_explained_or_refused_with_a_suggestion(path, words):
    try:
        message = explain.explain(check.ROOTS, path)
    except ConfigError as error:
        message = str(error)
        assert "\n" not in message
    assert all(word in message for word in words), message


def test_the_command_exits_with_0_or_2(capsys):
    with pytest.raises(SystemExit) as exit:
        check.main(["--explain", "stages.momentum"])
    assert exit.value.code == 0
    assert capsys.readouterr().out.startswith("- `momentum`")
    with pytest.raises(SystemExit) as exit:
        check.main(["--explain", "stages.momentun"])
    assert exit.value.code == 2
