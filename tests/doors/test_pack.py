"""A packed file unpacks to the same bytes; a mistake is one line and leaves nothing."""

import pathlib
import shlex
import subprocess
import sys

import numpy as np
import pytest

from distill import pack, unpack

MODEL = b"\x1c\0\0\0TFL3" + bytes(3000)  # The identifier alone, and no model.


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "student.int8.tflite").write_bytes(MODEL)
    return tmp_path


def files(folder):
    return {path.name for path in folder.iterdir()}


def test_the_commands_restore_the_file(folder):
    """In processes, as from a shell: with the limits for foreign files."""
    path = folder / "student.int8.tflite"
    content = path.read_bytes()
    code = "import sys; from distill import cli; sys.exit(cli.main(sys.argv[1:]))"
    root = str(pathlib.Path(__file__).parents[2])

    def distill(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=folder,
            env={"PYTHONPATH": ":".join([root, *sys.path]), "PATH": ""},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr

    status, out, _ = distill("pack", path.name)
    assert status == 0
    assert "bytes, packed" in out and "for transfer and storage" in out
    path.unlink()
    status, out, _ = distill("unpack", "student.int8.tflz")
    assert (status, path.read_bytes()) == (0, content)
    packed = bytearray((folder / "student.int8.tflz").read_bytes())
    packed[99] ^= 1
    (folder / "bad.tflz").write_bytes(packed)
    status, out, stderr = distill("unpack", "bad.tflz")
    assert (status, out, stderr.count("\n")) == (3, "", 1)
    assert stderr.startswith("error: bad.tflz: a damaged container: its CRC-32")
    assert files(folder) == {path.name, "student.int8.tflz", "bad.tflz"}


def test_the_command_that_is_printed_can_be_pasted(folder, capsys):
    source, container = folder / "student.int8.tflite", folder / "it is.tflz"
    pack.main([str(source), "--out", str(container)], limited=True)
    line = capsys.readouterr().out.splitlines()[-1]
    assert shlex.split(line) == ["python", "-m", "distill.unpack", str(container)]


def test_a_packed_file_is_smaller_and_may_have_another_name(folder):
    source, container = folder / "student.int8.tflite", folder / "sent.tflz"
    assert pack.main([str(source), "--out", str(container)], limited=True) == 0
    assert container.stat().st_size < source.stat().st_size
    again = folder / "again.tflite"
    assert unpack.main([str(container), "--out", str(again)], limited=True) == 0
    assert again.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("door", "arguments", "status", "words"),
    [
        (pack, ["none.tflite"], 2, "no such file: none.tflite"),
        (pack, ["noise.tflite"], 2, "noise.tflite is not a TFLite file"),
        (pack, ["empty.tflite"], 2, "empty.tflite is not a TFLite file"),
        (pack, ["noise.tflz"], 3, "is not a .tflite file. `python -m distill.export`"),
        (pack, ["."], 3, "is a folder"),
        (pack, ["student.int8.tflite", "--out=x.tflite"], 2, "must be a .tflz file"),
        (pack, ["student.int8.tflite", "--out=no/x.tflz"], 2, "no such folder: no"),
        (unpack, ["none.tflz"], 2, "no such file: none.tflz"),
        (unpack, ["student.int8.tflite"], 2, "is not a .tflz file, which python -m"),
        (unpack, ["noise.tflz"], 3, "does not begin with TFLZ"),
        (unpack, ["empty.tflz"], 3, "does not begin with TFLZ"),
        (unpack, ["good.tflz", "--out=noise.tflite"], 2, "exists with another content"),
        (unpack, ["good.tflz", "--out=good.tflz"], 2, "must be a .tflite file"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    door, arguments, status, words, folder, monkeypatch, capsys
):
    monkeypatch.chdir(folder)
    noise = np.random.default_rng(0).bytes(500)
    for name, content in {"noise": noise, "empty": b""}.items():
        for kind in ("tflite", "tflz"):
            (folder / f"{name}.{kind}").write_bytes(content)
    assert pack.main(["student.int8.tflite", "--out=good.tflz"], limited=True) == 0
    before = {path: path.read_bytes() for path in folder.iterdir()}
    capsys.readouterr()
    assert door.main(arguments, limited=True) == status
    out, stderr = capsys.readouterr()
    assert (out, stderr.count("\n")) == ("", 1)
    assert words in stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
