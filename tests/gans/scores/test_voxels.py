import numpy as np
import pytest
from scipy.spatial import cKDTree

from gans.scores import voxels

RANDOM = np.random.default_rng(0)
SIDE = 8


def some(count, density=0.2, seed=0):
    return (np.random.default_rng(seed).random((count, SIDE, SIDE, SIDE, 1)) < density).astype(np.uint8)


def point(*place):
    volume = np.zeros((1, SIDE, SIDE, SIDE), np.uint8)
    volume[(0, *place)] = 1
    return volume


def test_iou_is_that_of_every_pair(monkeypatch):
    a, b = some(5), some(3, seed=1)
    monkeypatch.setattr(voxels, "CHUNK", 100)
    found = voxels.iou_distances(a, b)
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            assert found[i, j] == pytest.approx(1 - (one & other).sum() / (one | other).sum())
    assert (np.diag(voxels.iou_distances(a, a)) == 0).all()
    empty = np.zeros_like(a[:1])
    assert voxels.iou_distances(empty, np.concatenate([empty, a])).tolist() == [[0, 1, 1, 1, 1, 1]]


def test_surfaces_are_what_the_outside_touches():
    block = np.zeros((1, 6, 6, 6), np.uint8)
    block[0, :5, 1:5, 1:5] = 1  # at the grid's edge in x
    expected = block.copy()
    expected[0, 1:4, 2:4, 2:4] = 0
    np.testing.assert_array_equal(voxels.surfaces(block), expected)
    assert voxels.surfaces(np.ones((1, 4, 4, 4))).sum() == 64 - 8


def test_chamfer_distance_of_two_points_is_twice_their_squared_distance():
    found = voxels.chamfer_distances(point(1, 2, 3), np.concatenate([point(1, 2, 3), point(4, 2, 7)]))
    np.testing.assert_allclose(found, [[0, 2 * 25 / SIDE**2]])
    # One way the mean of 0 and 25, the other 0.
    both = point(1, 2, 3) | point(4, 2, 7)
    np.testing.assert_allclose(voxels.chamfer_distances(both, point(1, 2, 3)), [[12.5 / SIDE**2]])


@pytest.mark.parametrize("density", [0.05, 0.9])
def test_chamfer_distances_are_those_of_nearest_neighbours(density):
    a, b = some(4, density), some(3, density, seed=1)
    found = voxels.chamfer_distances(a, b)
    clouds = [[np.argwhere(one) / SIDE for one in voxels.surfaces(side)] for side in (a, b)]
    for i, one in enumerate(clouds[0]):
        for j, other in enumerate(clouds[1]):
            there, back = cKDTree(other).query(one)[0], cKDTree(one).query(other)[0]
            assert found[i, j] == pytest.approx((there**2).mean() + (back**2).mean(), rel=1e-6)
    own = voxels.chamfer_distances(a, a)
    np.testing.assert_allclose(own, voxels.chamfer_distances(a, a.copy()), rtol=1e-6)
    np.testing.assert_array_equal(own, own.T)
    assert (np.diag(own) == 0).all()


def test_an_empty_volume_is_as_far_as_can_be():
    empty = np.zeros((1, SIDE, SIDE, SIDE, 1), np.uint8)
    found = voxels.chamfer_distances(np.concatenate([empty, some(1)]), np.concatenate([empty, some(1)]))
    np.testing.assert_array_equal(found, [[0, 6], [6, 0]])
    corners = voxels.chamfer_distances(point(0, 0, 0), point(SIDE - 1, SIDE - 1, SIDE - 1))
    assert corners[0, 0] < 6


def within(distances, a):
    return distances(a, a)


@pytest.mark.parametrize("distances", [voxels.iou_distances, voxels.chamfer_distances])
def test_copies_match_and_cover_everything_and_are_told_by_the_classifier(distances):
    real = some(6)
    between = distances(real, real)
    assert voxels.minimum_matching_distance(between) == 0
    assert voxels.coverage(between) == 1
    # Each one's nearest is its copy in the other set.
    assert voxels.nearest_neighbour_accuracy(between, between, between) == 0


@pytest.mark.parametrize("distances", [voxels.iou_distances, voxels.chamfer_distances])
def test_a_collapsed_generator_covers_one_and_is_told_apart(distances):
    real = some(6)
    fallen = np.repeat(point(0, 0, 0)[..., None], 6, 0)
    between = distances(fallen, real)
    assert voxels.coverage(between) == 1 / 6
    assert voxels.minimum_matching_distance(between) == pytest.approx(between[0].mean())
    accuracy = voxels.nearest_neighbour_accuracy(within(distances, fallen), between, within(distances, real))
    assert accuracy == 1


def test_coverage_and_matching_by_hand():
    between = np.array([[1.0, 2, 9], [3, 1, 9], [0.5, 4, 9]])
    assert voxels.coverage(between) == 2 / 3
    assert voxels.minimum_matching_distance(between) == pytest.approx((0.5 + 1 + 9) / 3)


def test_accuracy_by_hand_with_neighbours_equally_near():
    # On a line: g at 0, r at 1, r at 2, g at 3. The outer two have one neighbour, of the other kind; the inner two have
    # two, one of either kind.
    places, own = np.array([0.0, 3, 1, 2]), 2
    distances = np.abs(places[:, None] - places[None])
    found = voxels.nearest_neighbour_accuracy(distances[:own, :own], distances[:own, own:], distances[own:, own:])
    assert found == (0 + 0 + 0.5 + 0.5) / 4


def test_sets_from_one_distribution_cannot_be_told_apart():
    values = RANDOM.standard_normal((400, 3))
    distances = np.linalg.norm(values[:, None] - values[None], axis=2)
    found = voxels.nearest_neighbour_accuracy(distances[:200, :200], distances[:200, 200:], distances[200:, 200:])
    assert 0.4 < found < 0.6


def test_occupancy_and_components():
    volumes = np.zeros((4, SIDE, SIDE, SIDE), np.float32)
    volumes[1, 0, 0, 0] = volumes[1, 1, 1, 1] = 0.5  # they touch by a corner
    volumes[2, :2, :2, :3] = 1
    volumes[2, 5, 5, 5] = 0.7
    volumes[2, 7, 7, 7] = 0.49
    volumes[3] = 1
    assert (voxels.occupancy(volumes) * SIDE**3).tolist() == [0, 2, 13, SIDE**3]
    found = voxels.components(volumes[..., None])
    assert found.counts.tolist() == [0, 1, 2, 1]
    assert found.largest.tolist() == [0, 1, 12 / 13, 1]


def test_what_does_not_compare():
    with pytest.raises(ValueError, match=r"must be \[n, r, r, r\]"):
        voxels.occupancy(np.zeros((2, 4, 4, 5)))
    with pytest.raises(ValueError, match=r"must be \[n, r, r, r\]"):
        voxels.components(np.zeros((0, 4, 4, 4)))
    for distances in (voxels.iou_distances, voxels.chamfer_distances):
        with pytest.raises(ValueError, match="do not compare"):
            distances(some(1), np.zeros((1, 4, 4, 4)))
    with pytest.raises(ValueError, match=r"must be \[n, n\]"):
        voxels.nearest_neighbour_accuracy(np.zeros((2, 2)), np.zeros((3, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"must be \[generated, real\]"):
        voxels.coverage(np.zeros((0, 2)))
