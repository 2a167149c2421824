"""Foreign presets of keras-hub: nothing reaches out of them."""

import json
import shutil

import pytest

from distill.runtime import errors
from distill.runtime.trust import limits, scan_hub
from distill.teach.answering import answerer

pytest.importorskip("keras_hub", reason="keras-hub is not installed: the extra `hub`")
import hub_presets


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "bert"
    hub_presets.bert().save_to_preset(folder)
    return folder


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
    shutil.copytree(bert, tmp_path / "preset")
    change(tmp_path / "preset")
    (tmp_path / "copy").mkdir()
    with pytest.raises(limits.Refused, match=said):
        scan_hub.copy(tmp_path / "preset", tmp_path / "copy")


def test_a_refused_preset_is_untrusted(bert, tmp_path):
    shutil.copytree(bert, tmp_path / "preset")
    changed(config={"backbone": LAMBDA})(tmp_path / "preset")
    csv = hub_presets.save_csv(tmp_path / "films.csv")
    with pytest.raises(errors.Untrusted, match="Lambda"):
        answerer.open_answerer(hub_presets.run_of(csv, tmp_path / "preset"))
