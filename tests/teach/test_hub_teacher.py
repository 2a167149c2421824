"""A classifier of keras-hub teaches as itself: with its own `predict`."""

import json
import shutil

import answering
import numpy as np
import pytest

from distill import config, train
from distill.data import kept
from distill.runtime import errors
from distill.runtime.trust import limits, scan_hub
from distill.teach import incoming, stages, teacher
from distill.teach.answering import answerer, presets
from distill.teach.workspace import Workspace

pytest.importorskip("keras_hub", reason="keras-hub is not installed: the extra `hub`")
import hub_presets

CONFIG = """
data:
  name: text_file
  options: {{train: {csv}, tokenizer: {{name: characters, options: {{length: 16}}}}}}
batch_size: 16
teacher: {{hub: {preset}}}
student: {{name: vdcnn, options: {{depth: 9, width: 4, units: 8, k: 2}}}}
stages: [{{trainer: {{name: kd}}, epochs: 1, learning_rate: 0.001}}]
finish: []
"""


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


def run_of(csv, preset, *more):
    path = csv.with_name("run.yaml")
    path.write_text(CONFIG.format(csv=csv, preset=preset))
    return config.load(str(path), more)


def predicted(classifier, run, split):
    """What its own `predict` answers to the texts of the data set's file."""
    names = run.data._examples().train
    text_of = dict(zip(names.names, names.inputs, strict=True))
    return classifier.predict([text_of[name] for name in split.names], verbose=0)


def test_the_student_learns_from_what_predict_gives_for_whole_texts(
    bert, csv, tmp_path
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


def test_a_config_alone_trains_a_student(bert, csv, tmp_path, capfd):
    run_of(csv, bert[1])
    out = tmp_path / "run"
    code = train.main([f"--config={csv.with_name('run.yaml')}", f"--out={out}"])
    assert code == 0, capfd.readouterr().err
    assert (out / "student.keras").is_file()
    assert (out / kept.FILE).is_file()


def test_a_softmax_is_left_out(bert, csv, folder):
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


def test_other_texts_have_other_answers(bert, csv, folder):
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


def test_classes_in_another_order_are_matched_by_name(bert, csv):
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


def test_images_reach_its_own_preprocessing_as_bytes(vit):
    classifier, preset = vit
    run = answering.run("hub", preset)
    splits = run.data.load()
    wanted = classifier.predict(255 * splits.test.floats(), verbose=0)
    np.testing.assert_allclose(ask(run, splits, "test"), wanted, atol=1e-3)


def test_what_does_not_fit_is_one_line(bert, vit, csv, folder):
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


def test_a_preset_that_is_named_is_downloaded_once(bert, csv, monkeypatch):
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


def changed(**options):
    """A change of what a task's config says of the classifier."""

    def change(folder):
        path = folder / "task.json"
        task = json.loads(path.read_text())
        task["config"] |= options.pop("config", {})
        path.write_text(json.dumps(task | options))

    return change


def link(folder):
    path = folder / "assets" / "tokenizer" / "vocabulary.txt"
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")


LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {}}
HOSTILE = {
    "a lambda": (changed(config={"backbone": LAMBDA}), "keras.layers.Lambda"),
    "a class of another package": (changed(module="os", class_name="X"), "os.X"),
    "a name that is registered": (
        changed(registered_name="builtins>eval"),
        "builtins>eval",
    ),
    "a file": (changed(config={"vocabulary": "/etc/passwd"}), "any file"),
    "no config": (lambda folder: (folder / "task.json").write_text("["), "cannot be"),
    "no weights": (lambda folder: (folder / "model.weights.h5").unlink(), "weights.h5"),
    "a link": (link, "a link"),
    "no classifier": (lambda folder: (folder / "task.json").unlink(), "task.json"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_reaches_out_of_a_preset_is_refused(name, bert, tmp_path):
    change, said = HOSTILE[name]
    shutil.copytree(bert[1], tmp_path / "preset")
    change(tmp_path / "preset")
    (tmp_path / "copy").mkdir()
    with pytest.raises(limits.Refused, match=said):
        scan_hub.copy(tmp_path / "preset", tmp_path / "copy")


def test_a_refused_preset_is_untrusted(bert, csv, tmp_path):
    shutil.copytree(bert[1], tmp_path / "preset")
    changed(config={"backbone": LAMBDA})(tmp_path / "preset")
    with pytest.raises(errors.Untrusted, match="Lambda"):
        answerer.open_answerer(run_of(csv, tmp_path / "preset"))
