import tracemalloc

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from gans.scores.nearest import nearest, squared_distances


def test_the_nearest_pictures_are_scikit_learns():
    generator = np.random.default_rng(0)
    training = generator.uniform(-1, 1, (90, 4, 4, 3)).astype(np.float32)
    samples = generator.uniform(-1, 1, (25, 4, 4, 3)).astype(np.float32)
    model = NearestNeighbors(n_neighbors=1).fit(training.reshape(90, -1).astype(np.float64))
    distances, indices = (array[:, 0] for array in model.kneighbors(samples.reshape(25, -1).astype(np.float64)))
    for chunk in (1, 7, 1000):
        found = nearest(samples, training, chunk)
        np.testing.assert_array_equal(found.indices, indices)
        np.testing.assert_allclose(found.distances, distances, rtol=1e-12)


def test_a_remembered_picture_is_at_distance_zero():
    training = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), np.uint8)
    found = nearest(training[[4, 17]], training)
    np.testing.assert_array_equal(found.indices, [4, 17])
    np.testing.assert_array_equal(found.distances, [0, 0])


def test_bytes_do_not_wrap_around():
    found = nearest(np.full((1, 2), 255, np.uint8), np.zeros((1, 2), np.uint8))
    assert found.distances[0] == pytest.approx(255 * np.sqrt(2))


def test_no_samples_have_no_neighbours():
    found = nearest(np.zeros((0, 3)), np.zeros((2, 3)))
    assert found.indices.shape == found.distances.shape == (0,)


def test_only_a_chunk_of_the_training_pictures_is_held_in_float64():
    training = np.random.default_rng(0).integers(0, 256, (20_000, 64), np.uint8)
    tracemalloc.start()
    nearest(training[:10], training, chunk=100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < training.nbytes


def test_pictures_that_do_not_compare():
    with pytest.raises(ValueError, match="do not compare"):
        nearest(np.zeros((2, 4)), np.zeros((2, 5)))
    with pytest.raises(ValueError, match="do not compare"):
        nearest(np.zeros((2, 4)), np.zeros((0, 4)))


def test_chunks_tell_their_rows_and_are_never_negative():
    points = np.random.default_rng(0).standard_normal((10, 3)) + 1e4
    blocks = list(squared_distances(points, points, 4))
    assert [rows for rows, _ in blocks] == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert all((squared >= 0).all() for _, squared in blocks)
