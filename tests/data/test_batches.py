"""A batch is a pure function of (seed, step)."""

import gc
import itertools
import threading
import time
import weakref

import keras
import numpy as np
import pytest

from distill import data
from distill.data import augmentation, batches
from distill.runtime import errors
from distill.teach.hardware import feeding

RNG = np.random.default_rng(0)
COUNT = 23
SPLIT = data.Split(
    RNG.integers(0, 256, (COUNT, 6, 5, 1), dtype=np.uint8), np.arange(COUNT)
)


def make(seed=0, size=4, **changes):
    return batches.Batches(
        SPLIT,
        batch_size=size,
        seed=seed,
        augmentation=augmentation.Augmentation(**changes),
    )


def test_a_batch_does_not_depend_on_what_came_before():
    changes = {"shift": 2, "flip": True}
    streamed = list(itertools.islice(make(**changes).stream(), 20))
    for step in (19, 0, 7):
        for a, b in zip(streamed[step], make(**changes).batch(step), strict=True):
            np.testing.assert_array_equal(a, b)
    resumed = next(make(**changes).stream(start=7))
    np.testing.assert_array_equal(resumed[0], streamed[7][0])


def test_prefetched_batches_are_the_same_in_the_same_order():
    stream, requested = make().stream(3), []

    def record_labels():
        for batch in stream:
            requested.append(batch[1])
            yield batch

    early = batches.prefetch(record_labels())
    others = set(threading.enumerate())
    read = [next(early)[1] for _ in range(9)]
    (reader,) = set(threading.enumerate()) - others
    np.testing.assert_array_equal(read, [make().batch(n)[1] for n in range(3, 12)])
    patience = time.monotonic() + 10
    while len(requested) == len(read) and time.monotonic() < patience:
        time.sleep(0.01)  # The thread is about to ask for the next one.
    early.close()
    reader.join(10)
    assert not reader.is_alive()
    assert len(read) < len(requested) < len(read) + 4, "a few ahead, not all"


def test_a_prefetching_thread_may_garbage_collect_its_own_stream():
    """After an error `fit` leaves a cycle, which any thread may be the one to end."""
    left, readers, ended = threading.Event(), [], []

    def collect_garbage():
        yield 0
        readers.append(threading.current_thread())
        left.wait(10)
        for _ in range(100):
            if not ended:  # While another thread collects, this does nothing.
                gc.collect()
        yield from itertools.count()

    gc.collect()  # What other tests have left is not this thread's to end.
    gc.disable()
    try:
        early = batches.prefetch(collect_garbage())
        assert next(early) == 0
        weakref.finalize(early, ended.append, True)
        cycle = [early]
        cycle.append(cycle)
        del early, cycle
        left.set()
        while not readers:
            time.sleep(0.01)
        readers[0].join(60)
        assert ended and not readers[0].is_alive()
    finally:
        gc.enable()


def test_an_error_in_a_batch_is_raised_in_the_consumer():
    def fail_after_one():
        yield 0
        raise errors.DataError("a file is gone")

    early = batches.prefetch(fail_after_one())
    assert next(early) == 0
    with pytest.raises(errors.DataError, match="a file is gone"):
        next(early)


def test_batches_are_prefetched_where_keras_does_not(monkeypatch):
    plain, mixed = make(), make()
    mixed.mixture = lambda images, labels, chosen, rng: (images, labels)
    read = []
    monkeypatch.setattr(batches, "prefetch", lambda stream: read.append(1) or stream)
    for backend, expected in (("tensorflow", 0), ("jax", 1), ("torch", 2)):
        monkeypatch.setattr(keras.backend, "backend", lambda name=backend: name)
        for source in (plain, mixed):
            actual = next(feeding.read_ahead(source).stream(5))
            np.testing.assert_array_equal(actual[1], source.batch(5)[1])
        assert len(read) == expected, "never what may ask a network"


def test_every_example_comes_once_in_each_epoch_in_a_new_order():
    order = np.concatenate([make().batch(step)[1] for step in range(COUNT)])
    epochs = order[: 4 * COUNT].reshape(4, COUNT)
    for epoch in epochs:
        assert sorted(epoch) == list(range(COUNT))
    assert len({tuple(epoch) for epoch in epochs}) == 4
    other = np.concatenate([make(seed=1).batch(step)[1] for step in range(5)])
    assert list(other) != list(order[:20])


def test_images_stay_with_their_labels_and_lie_between_0_and_1():
    images, labels = make().batch(3)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, SPLIT.inputs[labels] / 255, rtol=1e-6)


def test_a_batch_may_be_larger_than_the_set():
    images, labels = make(size=50).batch(1)
    assert len(images) == len(labels) == 50
    assert make(size=50).steps_per_epoch == 1


def test_augmentation_changes_bytes_and_floats_alike():
    """Mirrored first, then moved down and right by what is left of the shift."""
    draws = np.array([[0, 1, 0, 1], [0, 4, 1, 3], [2, 0, 4, 3]])
    images = SPLIT.inputs[:4]
    shifted = augmentation.Augmentation(shift=2, flip=True)(images, draws)
    assert shifted.dtype == np.uint8
    margin = ((2, 2), (2, 2), (0, 0))
    for image, (mirrored, top, left), actual in zip(
        images, draws.T, shifted, strict=True
    ):
        padded = np.pad(image[:, ::-1] if mirrored else image, margin)
        np.testing.assert_array_equal(actual, padded[top : top + 6, left : left + 5])
    floats = augmentation.Augmentation(shift=2, flip=True)(data.floats(images), draws)
    np.testing.assert_array_equal(floats, data.floats(shifted))


def test_flip_mirrors_some_images_and_no_others():
    images, labels = make(size=COUNT, flip=True).batch(0)
    plain = SPLIT.inputs[labels] / np.float32(255)
    same = [np.array_equal(a, b) for a, b in zip(images, plain, strict=True)]
    turned = [np.array_equal(a, b[:, ::-1]) for a, b in zip(images, plain, strict=True)]
    assert all(a or b for a, b in zip(same, turned, strict=True))
    assert 0 < sum(turned) < COUNT


def test_a_shift_moves_each_image_whole_by_at_most_its_size():
    images, labels = make(size=COUNT, shift=1).batch(0)
    moves = set()
    for image, label in zip(images, labels, strict=True):
        padded = np.pad(SPLIT.inputs[label] / np.float32(255), ((1, 1), (1, 1), (0, 0)))
        places = [
            (top, left)
            for top in range(3)
            for left in range(3)
            if np.array_equal(image, padded[top : top + 6, left : left + 5])
        ]
        assert len(places) == 1
        moves.update(places)
    assert len(moves) > 4


def test_variants_are_used_in_turn_one_in_each_epoch():
    """The same in every run, of each image its own, also where two epochs meet."""
    images_by_variant = {}
    for seed, size in ((0, 4), (9, 7)):
        source = make(seed=seed, size=size, shift=2, flip=True, variants=3)
        for step in range(140 // size):
            epochs, chosen = source.places(step)
            images, labels = source.batch(step)
            np.testing.assert_array_equal(labels, SPLIT.labels[chosen])
            for epoch, index, image in zip(epochs, chosen, images, strict=True):
                first = images_by_variant.setdefault((epoch % 3, index), image)
                np.testing.assert_array_equal(image, first)
    assert len(images_by_variant) == 3 * COUNT
    same = [
        np.array_equal(images_by_variant[0, index], images_by_variant[variant, index])
        for index in range(COUNT)
        for variant in (1, 2)
    ]
    assert sum(same) < len(same) / 4
    moves = make(shift=2, variants=3).augmentation.variant(0, COUNT)[1:]
    assert len(np.unique(moves.T, axis=0)) > 10


def test_a_negative_shift_is_refused():
    with pytest.raises(ValueError, match="`shift` must be at least 0"):
        augmentation.Augmentation(shift=-1)
