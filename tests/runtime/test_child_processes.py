"""A process that is started imports this distill, and nothing out of its folder."""

import pathlib
import subprocess

import distill
from distill.runtime.process import python

OURS = pathlib.Path(distill.__file__).parent


def test_a_process_imports_this_distill_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "others"))
    (tmp_path / "others").mkdir()
    shown = "import sys, distill; print(distill.__file__, sys.argv[1:], sys.path)"
    (tmp_path / "others" / "shows.py").write_text(shown)
    for name in ("distill", "json"):  # What hides a library.
        (tmp_path / f"{name}.py").write_text("raise SystemExit(1)")
    done = subprocess.run(
        python.command("shows", 1, tmp_path),
        cwd=tmp_path,
        env=python.environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(f"{OURS / '__init__.py'} ['1', '{tmp_path}']")


def test_every_process_of_ours_is_started_so():
    found = [
        str(path.relative_to(OURS))
        for path in OURS.rglob("*.py")
        if "sys.executable" in path.read_text()
    ]
    assert found == ["runtime/process/python.py"]
