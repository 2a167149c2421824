"""Files are whole or absent; a folder has one run and one process."""

import json
import subprocess
import sys

import pytest

from distill import config
from distill.config import finishing
from distill.run import folder
from distill.runtime import errors, files, hashes


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.keras"
    files.atomic_write(path, "old")

    def fail():
        with files.whole_file(path) as temporary:
            assert temporary.suffix == ".keras"
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    files.atomic_write(path, "new")
    assert path.read_text() == "new"


def test_a_second_process_is_kept_out_and_a_dead_one_forgotten(tmp_path):
    code = (
        "from distill.runtime import files; import pathlib, sys\n"
        "with files.lock(pathlib.Path(sys.argv[1])):\n"
        "    print('in', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert other.stdout.readline() == b"in\n"
        with (
            pytest.raises(errors.FolderBusy, match="in use"),
            files.lock(tmp_path),
        ):
            pass
    finally:
        other.kill()
        other.communicate()
    with files.lock(tmp_path):
        pass


def test_another_tracker_makes_no_other_run(tmp_path):
    folder.claim(tmp_path, config.load("lit_resnet.yaml"))
    begin(tmp_path)
    for name in ("mlflow", "wandb"):
        folder.claim(tmp_path, config.load("lit_resnet.yaml", [f"track={name}"]))
    with pytest.raises(errors.ConfigError, match="seed: 0 -> 1"):
        folder.claim(tmp_path, config.load("lit_resnet.yaml", ["seed=1"]))


def begin(folder):
    """Something is saved, which one would miss."""
    moment = files.checkpoints(folder) / "teacher.0.step1.ckpt"
    moment.parent.mkdir(exist_ok=True)
    moment.touch()


def test_a_folder_belongs_to_one_config(tmp_path):
    run = config.load("lit_resnet.yaml")
    folder.claim(tmp_path, run)
    folder.claim(tmp_path, run)
    changed = ["batch_size=7", "stages.0.trainer.options.temperature=2.0"]
    other = config.load("lit_resnet.yaml", changed)
    begin(tmp_path)
    with pytest.raises(errors.ConfigError) as excinfo:
        folder.claim(tmp_path, other)
    message = str(excinfo.value)
    assert "batch_size: 64 -> 7" in message
    assert "stages[0].trainer.options.temperature: 4.0 -> 2.0" in message
    assert message.count("->") == 2
    assert config.load(tmp_path / "run.yaml") == run


def test_a_run_that_was_refused_gives_way(tmp_path):
    run = config.load("lit_resnet.yaml")
    mended = config.load("lit_resnet.yaml", ["batch_size=32"])
    given = tmp_path / folder.GIVEN / "0f"
    given.mkdir(parents=True)
    (given / "train_x.npy").touch()  # Is no result.
    with files.lock(tmp_path):
        folder.claim(tmp_path, run)
        folder.check_ground(tmp_path, {"data": "3f"})
        with pytest.raises(errors.ConfigError, match="64 -> 32"):
            folder.claim(tmp_path, mended, yields=False)
        assert config.load(tmp_path / "run.yaml") == run
        with pytest.raises(errors.ConfigError, match="3f -> 4a"):
            folder.check_ground(tmp_path, {"data": "4a"}, yields=False)
        folder.claim(tmp_path, mended)
        folder.check_ground(tmp_path, {"data": "4a"})
    assert config.load(tmp_path / "run.yaml") == mended


def test_no_run_is_written_into_the_folder_of_a_comparison(tmp_path, tmp_path_factory):
    run = config.load("lit_resnet.yaml")
    given = tmp_path_factory.mktemp("given")
    (given / "x.keras").touch()
    options = {"model": f"{given}/x.keras", "budget": {"max_kb": 9, "trials": 3}}
    options = {"data": {"name": "digits"}, **options, "finish": []}
    (given / "search.yaml").write_text(json.dumps(options))
    searching = config.read(finishing.Finishing, given / "search.yaml")
    folder.check_ground(tmp_path, {"keras": "3.15.1"})
    inner = tmp_path / "lit_resnet,seed=0"
    inner.mkdir()
    folder.claim(inner, run)
    folder.check_ground(inner, {"data": "3f", "keras": "3.15.1"})
    begin(inner)
    before = set(tmp_path.rglob("*"))
    for claim in (
        lambda: folder.claim(tmp_path, run),
        lambda: folder.claim_finish(tmp_path, searching),
    ):
        with pytest.raises(errors.ConfigError, match="holds a comparison"):
            claim()
    assert set(tmp_path.rglob("*")) == before
    folder.claim(inner, run)  # Where it is one's own run, as before.


def test_fingerprints_keep_their_pieces_apart():
    assert hashes.fingerprint("ab", "c") != hashes.fingerprint("a", "bc")
    assert hashes.fingerprint("ab", "c") == hashes.fingerprint("ab", "c")


def test_a_run_stays_on_the_ground_it_began_on(tmp_path):
    ground = {"data": "3f", "keras": "3.15.1"}
    folder.check_ground(tmp_path, ground)
    begin(tmp_path)
    folder.check_ground(tmp_path, ground)
    with pytest.raises(
        errors.ConfigError, match=r"keras: 3\.15\.1 -> 3\.16\.0"
    ) as excinfo:
        folder.check_ground(tmp_path, {**ground, "keras": "3.16.0"})
    assert "--out" in str(excinfo.value)
    with pytest.raises(errors.ConfigError, match="teacher file: None -> 9a"):
        folder.check_ground(tmp_path, {**ground, "teacher file": "9a"})


@pytest.mark.parametrize("content", ["", '{"data": "3', "\0\0\0"])
def test_a_damaged_file_is_named_with_the_cure(content, tmp_path):
    folder.check_ground(tmp_path, {"data": "3f"})
    (path,) = files.checkpoints(tmp_path).iterdir()
    path.write_text(content)
    with pytest.raises(errors.CheckpointError, match=f"{path} is damaged.*delete it"):
        folder.check_ground(tmp_path, {"data": "3f"})


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(errors.WriteError, match="--out"),
        files.lock(tmp_path / "file" / "run"),
    ):
        pass


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    left = files.checkpoints(tmp_path) / ".unfinished-x.ckpt"
    left.parent.mkdir()
    left.write_text("half")
    with files.lock(tmp_path):
        assert not left.exists()
