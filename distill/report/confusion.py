"""Which classes are taken for which others: the teacher beside the file that ships."""

from collections.abc import Mapping

import numpy as np

from distill.measure import accuracy
from distill.report import layer_errors

LARGEST = 20  # Classes of the largest matrix: one of more cannot be read.
PAIRS = 12  # The most pairs that are listed.


def record(labels: np.ndarray, answers: Mapping[str, np.ndarray], classes: int) -> dict:
    """Counts which classes are taken for which others, for `report.json`.

    Args:
        labels: The true classes, `(n,)`.
        answers: Name of each model to its logits, `(n, classes)`, on the same examples.
        classes: Number of classes.

    Returns:
        `models`, their names; `counts`, for each the number of examples by true class
        (rows) and predicted class, or None beyond `LARGEST` classes; and `pairs`, the
        most frequent mistakes of any of them, `true`, `predicted` and the `counts` of
        each model; and `totals`, the examples of each class. An answer of NaN is of no
        class and is not counted.
    """
    matrices = [_matrix(labels, logits, classes) for logits in answers.values()]
    wrong = np.array(matrices) * (1 - np.eye(classes, dtype=int))
    # A stable order: of pairs that are as frequent, the first classes come first.
    order = np.argsort(-wrong.max(0), axis=None, kind="stable")[:PAIRS]
    places = [divmod(int(place), classes) for place in order]
    return {
        "models": list(answers),
        "totals": np.bincount(labels, minlength=classes).tolist(),
        "counts": [matrix.tolist() for matrix in matrices]
        if classes <= LARGEST
        else None,
        "pairs": [
            {"true": true, "predicted": predicted, "counts": counts}
            for true, predicted in places
            if any(counts := wrong[:, true, predicted].tolist())
        ],
    }


def table(report: Mapping) -> dict | None:
    """The counts as the page shows them; None in a report that has none.

    Args:
        report: The content of `report.json`.

    Returns:
        `models`, and the `names` of the classes; `matrices`, for each model a list of
        rows, `name` and `cells`; or `pairs`, `true`, `predicted` and `cells`. A cell is
        a `count`, its `share` of the true class, and the `shade` of a mistake.
    """
    found = report.get("confusion")
    if found is None:
        return None
    names, totals = report["data"]["class_names"], found["totals"]
    matrices = [
        [
            {"name": names[true], "cells": _row(counts, totals[true], right=true)}
            for true, counts in enumerate(matrix)
        ]
        for matrix in found["counts"] or ()
    ]
    pairs = [
        {
            "true": names[pair["true"]],
            "predicted": names[pair["predicted"]],
            "cells": _row(pair["counts"], totals[pair["true"]], right=None),
        }
        for pair in found["pairs"]
        if not matrices
    ]
    models = found["models"]
    return {"models": models, "names": names, "matrices": matrices, "pairs": pairs}


def _matrix(labels, logits, classes):
    predicted = accuracy.classes(logits)
    known = predicted >= 0
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (labels[known], predicted[known]), 1)
    return matrix


def _row(counts, total, right):
    """The cells of some counts, of which that at the index `right` is no mistake."""
    shares = [count / total if total else 0.0 for count in counts]
    return [
        {
            "count": count,
            "share": share,
            "right": index == right,
            "shade": 0 if index == right else layer_errors.shade(share),
        }
        for index, (count, share) in enumerate(zip(counts, shares, strict=True))
    ]
