"""What is asked of examples again and again is found out once."""

import hashlib

import numpy as np
import pytest

from distill import data
from distill.data import checks, splits
from distill.runtime import errors

IMAGES = np.zeros((4, 2, 2, 1), np.uint8)


class Counted(np.ndarray):
    """Labels that count how often they are compared."""

    def __ne__(self, other):
        Counted.times += 1
        return super().__ne__(other)


def split(*labels):
    return data.Split(IMAGES, np.array(labels).view(Counted))


@pytest.mark.parametrize(
    ("labels", "known"), [((1, 0, 1, 0), True), ((-1, -1, -1, -1), False)]
)
def test_labels_are_looked_for_once(labels, known):
    Counted.times, part = 0, split(*labels)
    assert part.has_labels is part.has_labels is known
    assert Counted.times == 1
    assert not part.without_labels().has_labels


def test_one_label_that_is_missing_is_an_error_and_no_split_without_labels():
    part = split(1, 0, -1, 0)
    assert part.has_labels
    with pytest.raises(errors.DataError, match=r"0 to 1\. Received: -1 to 1"):
        checks.check({"train": part}, "ab")


def test_examples_are_hashed_once(monkeypatch):
    made, sha256 = [], hashlib.sha256
    monkeypatch.setattr(splits.hashlib, "sha256", lambda: made.append(1) or sha256())
    one = data.Splits(*3 * [split(1, 0, 1, 0)])
    assert one.fingerprint() == one.fingerprint()
    assert len(made) == 1
    other = data.Splits(*3 * [split(1, 0, 1, 1)])
    assert other.fingerprint() != one.fingerprint()
