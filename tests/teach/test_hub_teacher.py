"""A classifier of keras-hub teaches as itself: with its own `predict`."""

import functools
import json
import pathlib
import re

import answering
import numpy as np
import pytest

from distill import train
from distill.data import kept
from distill.runtime import errors
from distill.runtime.trust import serving
from distill.teach import incoming, stages, teacher
from distill.teach.answering import answerer, presets
from distill.teach.workspace import Workspace

pytest.importorskip("keras_hub", reason="keras-hub is not installed: the extra `hub`")
import hub_presets
from hub_presets import run_of

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "teachers.md"
open_once = functools.cache(presets.open_preset)


class Here:
    """As `serving.Server`, in this process: another one imports for many seconds."""

    def __init__(self, path, arguments, trusted=False):
        self._path = path

    def ask(self, inputs):
        return {"logits": np.asarray(open_once(self._path)(inputs), np.float32)}

    def close(self):
        """Nothing has to be freed."""


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(serving, "Server", Here)
    answerer._open.cache_clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def bert(folder):
    """A classifier and its preset."""
    classifier = hub_presets.bert()
    classifier.save_to_preset(folder / "bert")
    return classifier, folder / "bert"


@pytest.fixture(scope="module")
def csv(folder):
    return hub_presets.save_csv(folder / "films.csv")


def predicted(classifier, run, split):
    """What its own `predict` answers to the texts of the data set's file."""
    names = run.data._examples().train
    text_of = dict(zip(names.names, names.inputs, strict=True))
    return classifier.predict([text_of[name] for name in split.names], verbose=0)


def test_the_student_learns_from_what_predict_gives_for_whole_texts(
    here, bert, csv, tmp_path
):
    classifier, preset = bert
    run = run_of(csv, preset)
    splits = run.data.load()
    assert max(map(len, splits.train.texts)) > run.data.tokenizer.length
    incoming.check(run, splits)
    work = Workspace(run, splits, tmp_path / "run")
    work.folder.mkdir()
    network, _ = teacher.obtain(work)
    student, _ = stages.train("student", run.stages, work, teacher=network)
    for name, found in kept.read(work.folder / kept.FILE).items():
        wanted = predicted(classifier, run, splits.by_name()[name])
        np.testing.assert_allclose(found[0], wanted, atol=1e-3)
    assert student.output["logits"].shape[-1] == 2


def test_the_config_of_the_page_alone_trains_a_student(bert, tmp_path, capfd):
    """The only run here that asks another process, as every user's does."""
    for file, count in (("train.tsv", 120), ("dev.tsv", 24)):
        hub_presets.save_sst2(tmp_path / "sst2" / file, count)
    config_file = tmp_path / "hub.yaml"
    config_file.write_text(
        re.search(r"<!-- hub -->\n```yaml\n(.*?)```", PAGE.read_text(), re.S)[1]
    )
    small = (
        "data.options={folder: HERE, tokenizer: {name: characters, options: "
        "{length: 16}}}",
        "student.options={depth: 9, width: 4, units: 8, k: 2}",
        f"teacher.hub={bert[1]}",
        "finish=[]",
    )
    flags = [f"--set={text.replace('HERE', str(tmp_path))}" for text in small]
    out = tmp_path / "run"
    code = train.main([f"--config={config_file}", f"--out={out}", *flags])
    assert code == 0, capfd.readouterr().err
    (taught, student) = json.loads((out / "report.json").read_text())["models"]
    assert taught["name"] == "teacher" and taught["accuracy"] > 90
    assert student["agreement_with_teacher"] is not None
    assert (out / "student.keras").is_file()


def test_a_softmax_is_left_out(here, bert, csv, folder):
    """It answers with the logits that are before it."""
    classifier = hub_presets.bert(activation="softmax")
    classifier.save_to_preset(folder / "soft")
    run = run_of(csv, folder / "soft")
    splits = run.data.load()
    found = ask(run, splits, "test")
    probabilities = predicted(classifier, run, splits.test)
    odds = np.exp(found) / np.exp(found).sum(-1, keepdims=True)
    np.testing.assert_allclose(odds, probabilities, atol=1e-3)
    incoming.check(run, splits)


def ask(run, splits, name):
    opened = answerer.open_answerer(run)
    opened.check(splits)
    split = splits.by_name()[name]
    with opened.ready():
        indices = np.arange(len(split.labels))
        return opened.answer(name, indices, split.floats())["logits"]


def test_other_texts_have_other_answers(here, bert, csv, folder):
    """Also where the student's ids, which are cut, are the same."""
    run = run_of(csv, bert[1])
    identities = []
    for word in ("good", "bad"):
        splits = run.data.load()
        splits.train.texts[0] += f" {word}"
        opened = answerer.open_answerer(run)
        opened.check(splits)
        identities.append(opened.identity)
    assert len(set(identities)) == 2


def test_classes_in_another_order_are_matched_by_name(here, bert, csv):
    run = run_of(csv, bert[1])
    splits = run.data.load()
    plain = ask(run, splits, "test")
    turned = run_of(csv, bert[1], "teacher.class_names=[good, bad]")
    np.testing.assert_array_equal(ask(turned, splits, "test"), plain[:, ::-1])


@pytest.fixture(scope="module")
def vit(folder):
    classifier = hub_presets.vit()
    classifier.save_to_preset(folder / "vit")
    return classifier, folder / "vit"


def test_images_reach_its_own_preprocessing_as_bytes(here, vit):
    classifier, preset = vit
    run = answering.run("hub", preset)
    splits = run.data.load()
    wanted = classifier.predict(255 * splits.test.floats(), verbose=0)
    np.testing.assert_allclose(ask(run, splits, "test"), wanted, atol=1e-3)


def test_what_does_not_fit_is_one_line(here, bert, vit, csv, folder):
    hub_presets.vit(classes=7).save_to_preset(folder / "seven")
    hub_presets.vit(channels=3).save_to_preset(folder / "colour")
    with pytest.raises(errors.ConfigError, match=r"10 logits.*class_names"):
        answerer.open_answerer(answering.run("hub", folder / "seven"))
    with pytest.raises(errors.ConfigError, match=r"takes images \(16, 16, 3\)"):
        answerer.open_answerer(answering.run("hub", folder / "colour"))
    with pytest.raises(errors.ConfigError, match=r"images need.*BertTextClassifier"):
        answerer.open_answerer(answering.run("hub", bert[1]))
    with pytest.raises(errors.ConfigError, match=r"texts need.*ViTImageClassifier"):
        answerer.open_answerer(run_of(csv, vit[1]))
    with pytest.raises(
        errors.ConfigError, match=r"a preset that keras-hub has.*: bort"
    ):
        answerer.open_answerer(run_of(csv, "bort"))


def test_a_preset_that_is_named_is_downloaded_once(here, bert, csv, monkeypatch):
    asked = []

    def download(handle):
        asked.append(handle)
        return str(bert[1])

    monkeypatch.setattr("kagglehub.model_download", download)
    presets._download.cache_clear()
    run = run_of(csv, "kaggle://me/bert/keras/films/2")
    assert ask(run, run.data.load(), "test").shape[1] == 2
    presets._download.cache_clear()
    assert presets.find("bert_tiny_en_uncased_sst2") == bert[1]
    assert asked[0] == "me/bert/keras/films/2"
    assert asked[1].startswith("keras/bert/keras/bert_tiny_en_uncased_sst2")
    assert len(asked) == 2
    presets._download.cache_clear()


def failing(handle):
    raise OSError("no\nnetwork")


def test_a_download_that_fails_is_one_line(monkeypatch):
    monkeypatch.setattr("kagglehub.model_download", failing)
    with pytest.raises(errors.ConfigError, match="cannot be downloaded: no network"):
        presets.find("kaggle://me/bert/keras/films")
