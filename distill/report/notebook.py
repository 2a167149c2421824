"""The report of a run in a notebook."""

import html
import pathlib
from collections.abc import Mapping
from typing import Any


class Report(dict):
    """The content of `report.json`; a notebook shows `report.html` in its place."""

    def __init__(self, content: Mapping[str, Any], page: pathlib.Path):
        super().__init__(content)
        self._page = page

    def _repr_html_(self) -> str:
        page = html.escape(self._page.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" width="100%" height="800"></iframe>'
