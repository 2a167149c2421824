"""A teacher in the user's own Python: asked if allowed; its mistakes are one line."""

import answering
import numpy as np
import pytest

from distill import compare, train
from distill.runtime import errors
from distill.runtime.trust import own_python
from distill.teach.answering import answerer

CODE = """
import pathlib
import helper

print("not among the answers")


def answer(images):
    assert images.dtype == "float32" and images.flags.writeable
    pathlib.Path(__file__).with_name("asked").touch()
    return images.reshape(len(images), -1)[:, : helper.CLASSES]


def both(images):
    return {"section1": images[..., :1], "logits": answer(images).tolist()}


def dividing(images):
    return answer(images) / images.mean((1, 2))


def unnamed(images):
    return {"a": images, "b": images}


def failing(images):
    return images.nothing


def short(images):
    return answer(images)[:1]


def words(images):
    return ["no number"] * len(images)


def endless(images):
    return answer(images) * float("inf")


def growing(images):
    answers = answer(images)
    return {"logits": answers, "section1": images[:, : len(images)]}


def leaving(images):
    raise SystemExit(0)
"""
IMAGES = np.random.default_rng(0).uniform(1, 2, size=(3, 8, 8, 1)).astype("float32")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setitem(own_python._state, "allowed", True)
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "helper.py").write_text("CLASSES = 10")
    return tmp_path / "mine.py"


def ask(source, name, *more):
    run = answering.run("python", f"{source}:{name}", *more)
    opened = answerer.open_answerer(run)
    with opened.ready():
        return opened.answer("train", np.arange(3), IMAGES)


def test_it_answers_with_logits_and_representations(source):
    expected = IMAGES.reshape(3, -1)[:, :10]
    found = ask(source, "both", "teacher.input={range: [0, 255]}")
    np.testing.assert_allclose(found["logits"], 255 * expected, rtol=1e-6)
    np.testing.assert_allclose(found["section1"], 255 * IMAGES, rtol=1e-6)


def test_only_real_examples_need_finite_answers(source):
    """A teacher may divide by what is 0 in a blank image."""
    ask(source, "dividing")


def test_nothing_runs_that_is_not_allowed(source):
    ask(source, "answer")  # What has been opened before does not count.
    (source.parent / "asked").unlink()
    own_python.allow(False)
    with pytest.raises(errors.ConfigError, match="--allow-python"):
        ask(source, "answer")
    assert not (source.parent / "asked").exists()


@pytest.mark.parametrize("command", [train, compare])
def test_a_run_that_is_refused_for_it_leaves_nothing(command, source, capsys, tmp_path):
    teacher = f"teacher={{python: '{source}:answer'}}"
    flags = [f"--set={option}" for option in (*answering.SMALL, teacher)]
    flags.append(f"--config{'s' * (command is compare)}=lit_resnet.yaml")
    there = tmp_path / "there"
    there.mkdir()
    for out in (tmp_path / "new", there):
        assert command.main([*flags, f"--out={out}"]) == 2
        assert "--allow-python" in capsys.readouterr().err
    assert not (tmp_path / "new").exists() and not [*there.iterdir()]
    assert not (tmp_path / "asked").exists()


def test_a_changed_file_is_another_teacher(source):
    one = answerer.open_answerer(answering.run("python", f"{source}:answer")).identity
    source.write_text(CODE + "\n")
    other = answerer.open_answerer(answering.run("python", f"{source}:answer")).identity
    assert one != other


WRONG = {
    "failing": r"line \d+, `return images.nothing`: AttributeError",
    "short": r"python.*one `logits` for each of 2 examples.*\(1, 10\)",
    "words": "numbers.*Received: list",
    "unnamed": "name one of them `logits`. Received: a, b",
    "endless": "finite numbers",
    "growing": "all examples in one shape",
    "leaving": "leaving: line .*SystemExit",
    "absent": "no function `absent`",
}


@pytest.mark.parametrize("name", WRONG)
def test_its_mistakes_are_one_line(name, source):
    with pytest.raises(errors.ConfigError, match=WRONG[name]) as found:
        ask(source, name)
    assert "\n" not in str(found.value)
