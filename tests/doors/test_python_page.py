"""The notebook runs as it stands, and the page's example is a cell of it."""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "notebook.py"
END = """
assert all(path.is_file() for path in [*result.files.values(), *files.values()])
assert set(result.files) == {"int8_calibrated"} and set(files) == {"float16"}
assert files.report["models"][0]["name"] == "student"
assert "<iframe" in result.report._repr_html_()
assert result.report["models"][-1]["accuracy"] > 80
"""


def cells():
    """The code of each cell, without its markdown cells."""
    parts = re.split(r"^# %%", NOTEBOOK.read_text(), flags=re.M)[1:]
    return [part for part in parts if not part.startswith(" [markdown]")]


def test_the_notebook_runs_as_it_stands(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "".join(cells()) + END],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_pages_example_is_a_cell_of_at_most_12_lines():
    page = (ROOT / "docs" / "python.md").read_text()
    (lines,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", page, re.DOTALL)
    assert len(lines.strip().splitlines()) <= 12
    assert lines.strip() in [cell.strip() for cell in cells()]
