"""Loads the templates of web pages, with escaping of every value."""

import base64

import jinja2
import numpy as np

from distill.measure import latency
from distill.report import images, references
from distill.report.charts import scores
from distill.runtime import formats


def template(name: str) -> jinja2.Template:
    """Loads a page of `templates/`.

    Every value is escaped, and a missing value is an error when the page is rendered.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("distill.report"),
        autoescape=True,
        # By default, Jinja prints a missing value as an empty text.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["points"] = _points
    environment.globals["formats"] = formats
    environment.globals["differ"] = latency.differ
    environment.globals["reference_lines"] = references.lines
    environment.globals["scores"] = scores
    environment.globals["share"] = _share
    return environment.get_template(name)


def data_uri(image: np.ndarray) -> str:
    """A `data:` URI that embeds an image in a page; see `images.png` for its form."""
    return "data:image/png;base64," + base64.b64encode(images.png(image)).decode()


def _share(value):
    """Formats a fraction in percent, to three digits."""
    return formats.plain(None if value is None else 100 * value)


def _points(piece):
    """Formats the points of a line for SVG's `points`."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in piece)
