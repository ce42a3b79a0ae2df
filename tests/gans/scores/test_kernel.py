import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from gans.scores import kernel


def features(count, size=6, seed=0, shift=0.0):
    return np.random.default_rng(seed).standard_normal((count, size)) + shift


def reference(a, b):
    aa, bb, ab = (polynomial_kernel(x, y, degree=3, gamma=None, coef0=1) for x, y in ((a, a), (b, b), (a, b)))
    n, m = len(a), len(b)
    within_a = sum(aa[i, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_b = sum(bb[i, j] for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_a + within_b - 2 * ab.mean()


@pytest.mark.parametrize("counts", [(30, 30), (20, 35)])
def test_the_estimate_agrees_with_plain_sums(counts):
    a, b = features(counts[0]), features(counts[1], seed=1, shift=0.5)
    assert kernel.squared_mmd(a, b) == pytest.approx(reference(a, b), rel=1e-10)
    assert kernel.squared_mmd(b, a) == pytest.approx(kernel.squared_mmd(a, b), rel=1e-10)


def test_one_feature_by_hand():
    a, b = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    # (x y + 1)^3: within a 1, within b 7^3, across 1, 1, 3^3, 4^3
    assert kernel.squared_mmd(a, b) == pytest.approx(1 + 343 - 2 * (1 + 1 + 27 + 64) / 4)


def test_the_order_of_samples_does_not_matter():
    a, b = features(40), features(40, seed=1)
    shuffled = np.random.default_rng(2).permutation(a)
    assert kernel.squared_mmd(shuffled, b) == pytest.approx(kernel.squared_mmd(a, b), rel=1e-9, abs=1e-12)


def test_it_is_unbiased_for_equal_distributions_and_grows_with_a_shift():
    values = [kernel.squared_mmd(features(20, seed=2 * i), features(20, seed=2 * i + 1)) for i in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0
    near, far = (kernel.squared_mmd(features(200), features(200, seed=1, shift=shift)) for shift in (0.3, 1.0))
    assert 0 < near < far


def test_subsets_come_from_the_seed():
    a, b = features(60), features(50, seed=1, shift=0.5)
    first = kernel.kernel_distance(a, b, subsets=5, subset_size=20, seed=3)
    assert first == kernel.kernel_distance(a, b, subsets=5, subset_size=20, seed=3)
    assert first != kernel.kernel_distance(a, b, subsets=5, subset_size=20, seed=4)
    assert first[1] > 0


def test_whole_sets_as_subsets_are_the_plain_estimate():
    a, b = features(25), features(25, seed=1, shift=0.5)
    mean, deviation = kernel.kernel_distance(a, b, subsets=3, subset_size=25)
    assert mean == pytest.approx(kernel.squared_mmd(a, b), rel=1e-9)
    assert deviation == pytest.approx(0, abs=1e-9)


def test_sets_that_do_not_compare():
    with pytest.raises(ValueError, match=r"\[n, d\]"):
        kernel.squared_mmd(features(5, 3), features(5, 4))
    with pytest.raises(ValueError, match="at least 2"):
        kernel.squared_mmd(features(1), features(5))
    with pytest.raises(ValueError, match="100 subsets of 1000 from 30 and 40"):
        kernel.kernel_distance(features(30), features(40))
    with pytest.raises(ValueError, match="0 subsets"):
        kernel.kernel_distance(features(30), features(40), subsets=0, subset_size=10)
