"""Data sets of Grain are read as other examples are; skipped where it is not there."""

import sys

import numpy as np
import pytest

from distill.data import given
from distill.runtime import errors

grain = pytest.importorskip("grain")

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 6, 5, 3), np.uint8)
LABELS = np.arange(40) % 4


class Source:
    """A data source of Grain, which is any object with these two."""

    def __len__(self):
        return len(LABELS)

    def __getitem__(self, index):
        return IMAGES[index], LABELS[index]


def mapped():
    return grain.MapDataset.source(Source())


def loader(*operations):
    order = grain.samplers.IndexSampler(40, shuffle=True, seed=1, num_epochs=1)
    return grain.DataLoader(data_source=Source(), sampler=order, operations=operations)


@pytest.mark.parametrize(
    "examples",
    [
        Source,
        mapped,
        lambda: mapped().shuffle(seed=1),
        lambda: mapped().batch(7),
        lambda: mapped().to_iter_dataset().batch(7),
        loader,
        lambda: loader(grain.transforms.Batch(7)),
    ],
)
def test_the_same_rows_are_the_same_data(examples, tmp_path):
    assert given.save(examples(), tmp_path) == given.save((IMAGES, LABELS), tmp_path)


def test_what_is_filtered_is_left_out(tmp_path):
    kept = LABELS < 3
    wanted = given.save((IMAGES[kept], LABELS[kept]), tmp_path)
    for data in (mapped(), mapped().to_iter_dataset()):
        assert given.save(data.filter(lambda pair: pair[1] < 3), tmp_path) == wanted


def test_an_endless_one_and_one_of_dicts_are_refused(tmp_path):
    assert len(mapped().repeat()) == sys.maxsize
    with pytest.raises(errors.DataError, match="must end"):
        given.save(mapped().repeat(), tmp_path)
    named = mapped().map(lambda pair: {"x": pair[0], "y": pair[1]})
    with pytest.raises(errors.DataError, match="must give pairs"):
        given.save(named, tmp_path)
