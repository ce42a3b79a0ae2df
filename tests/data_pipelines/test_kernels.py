import math

import numpy as np
import pytest
from scipy import ndimage

from data_pipelines import kernels

SIZE = 31


def rng(seed=0):
    return np.random.Generator(np.random.Philox(seed))


def moments(kernel):
    """Mean and covariance, x to the right and y up."""
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    x, y, kernel = x.ravel(), -y.ravel(), kernel.astype(float).ravel()
    mean = np.array([kernel @ x, kernel @ y])
    return mean, np.array([[kernel @ x**2, kernel @ (x * y)], [kernel @ (x * y), kernel @ y**2]]) - np.outer(mean, mean)


EVERY = {
    "point": lambda: kernels.disc(0.001, SIZE),
    "disc": lambda: kernels.disc(6.3, SIZE),
    "largest disc": lambda: kernels.disc(SIZE / 2, SIZE),
    "gaussian": lambda: kernels.gaussian(3.1, SIZE),
    "narrow gaussian": lambda: kernels.gaussian(0.01, SIZE),
    "line": lambda: kernels.line(17.4, 0.7, SIZE),
    "longest line": lambda: kernels.line(SIZE - 1, math.pi / 2, SIZE),
    "trajectory": lambda: kernels.trajectory(rng(), 29.9, SIZE),
    "longest trajectory": lambda: kernels.trajectory(rng(), SIZE - 1, SIZE, anxiety=0),
    "wild trajectory": lambda: kernels.trajectory(rng(), 30, SIZE, anxiety=0.1),
}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_kernels_are_centred_and_keep_the_light(make):
    kernel = make()
    assert (kernel.shape, kernel.dtype) == ((SIZE, SIZE), np.float32)
    assert kernel.min() >= 0
    assert abs(kernel.sum(dtype=float) - 1) < 1e-6
    np.testing.assert_allclose(moments(kernel)[0], 0, atol=2e-5)


@pytest.mark.parametrize("radius", [0.8, 1, 2.5, 6.3, 15.5])
def test_disc_covers_its_area(radius):
    kernel = kernels.disc(radius, SIZE)
    # The disc covers the whole of its middle pixel.
    assert 1 / kernel.max() == pytest.approx(math.pi * radius**2, rel=2e-3)
    # Each pixel against counting points in it.
    points = (np.arange(SIZE * 64) + 0.5) / 64 - SIZE / 2
    inside = points[:, None] ** 2 + points**2 <= radius**2
    counted = inside.reshape(SIZE, 64, SIZE, 64).mean((1, 3))
    np.testing.assert_allclose(kernel / kernel.max(), counted, atol=3e-3)


def test_half_covered_pixels_weigh_half():
    row = kernels.disc(10, SIZE)[SIZE // 2]
    assert row[5] / row[15] == pytest.approx(0.49, abs=0.01)
    assert row[4] == 0


@pytest.mark.parametrize("angle", [0, 0.3, math.pi / 4, 1.2, math.pi / 2, 2.5])
@pytest.mark.parametrize("length", [3, 11.5, 30])
def test_line_has_its_length_and_angle(length, angle):
    mean, covariance = moments(kernels.line(length, angle, SIZE))
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    along = np.array([math.cos(angle), math.sin(angle)])
    expected = length**2 / 12 * np.outer(along, along)
    # Sharing between two pixels adds at most a quarter to the spread along each axis, and nothing across.
    added = covariance - expected
    assert -0.01 < added[0, 0] < 0.26
    assert -0.01 < added[1, 1] < 0.26
    assert abs(added[0, 1]) < 0.02


def test_level_line_is_one_row():
    kernel = kernels.line(10, 0, SIZE)
    assert set(np.flatnonzero(kernel.any(1))) == {SIZE // 2}
    np.testing.assert_allclose(kernel[SIZE // 2, 11:20], 0.1, rtol=0.03)


@pytest.mark.parametrize("sigma", [0.5, 2, 5])
def test_gaussian_is_scipys(sigma):
    point = np.zeros((SIZE, SIZE))
    point[SIZE // 2, SIZE // 2] = 1
    expected = ndimage.gaussian_filter(point, sigma, radius=SIZE // 2)
    np.testing.assert_allclose(kernels.gaussian(sigma, SIZE), expected, atol=1e-6)


def test_trajectories_are_reproducible_and_differ():
    one, again, other = (kernels.trajectory(rng(seed), 20, SIZE) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert abs(one - other).sum() > 0.5


def test_a_calm_hand_moves_in_a_line():
    for seed in range(5):
        _, covariance = moments(kernels.trajectory(rng(seed), 24, SIZE, anxiety=0))
        small, large = np.linalg.eigvalsh(covariance)
        assert large == pytest.approx(24**2 / 12, abs=0.3)
        assert small < 0.26


def test_a_trajectory_is_as_long_as_told_and_bends_with_anxiety():
    def spread(anxiety):
        found = [np.trace(moments(kernels.trajectory(rng(seed), 28, SIZE, anxiety))[1]) for seed in range(20)]
        return np.mean(found)

    # No path of a length is spread as widely as the straight one.
    assert spread(0.02) < 0.6 * spread(0.004) < 0.6 * spread(0.0005) < 0.6 * (28**2 / 12 + 0.5)


def test_every_trajectory_stays_within_its_kernel():
    # Were anything cut off, the mean would leave the middle.
    for seed in range(30):
        kernel = kernels.trajectory(rng(seed), 8, 9, anxiety=0.0005 * seed)
        np.testing.assert_allclose(moments(kernel)[0], 0, atol=2e-5)
