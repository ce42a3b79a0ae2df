import numpy as np
import pytest
import scipy.linalg

from gans.scores import frechet


def features_of(mean, cov, count, seed=0):
    """Samples whose mean and unbiased covariance are exactly these."""
    raw = np.random.default_rng(seed).standard_normal((count, len(mean)))
    raw -= raw.mean(0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(raw, rowvar=False)))).T
    return white @ np.linalg.cholesky(cov).T + mean


def covariance(size, seed):
    root = np.random.default_rng(seed).standard_normal((size, size))
    return root @ root.T + 0.1 * np.eye(size)


def test_mean_and_covariance_are_numpys():
    features = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32)
    mean, cov = frechet.gaussian(features)
    assert mean.dtype == cov.dtype == np.float64
    np.testing.assert_allclose(mean, features.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(cov, np.cov(features.astype(np.float64), rowvar=False), atol=1e-13)


def test_gaussians_with_diagonal_covariances():
    m1, m2 = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, 0.5])
    s1, s2 = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 0.25])
    expected = ((m1 - m2) ** 2).sum() + ((np.sqrt(s1) - np.sqrt(s2)) ** 2).sum()
    assert frechet.distance(m1, np.diag(s1), m2, np.diag(s2)) == pytest.approx(expected, rel=1e-12)


def test_samples_of_known_gaussians():
    m1, m2 = np.zeros(3), np.array([1.0, 2.0, -1.0])
    a, b = features_of(m1, np.eye(3), 40), features_of(m2, 4 * np.eye(3), 30, seed=1)
    assert frechet.frechet_distance(a, b) == pytest.approx(6 + 3 * (2 - 1) ** 2, rel=1e-10)


def test_one_feature_is_a_one_dimensional_gaussian():
    a, b = features_of([0.0], [[4.0]], 20), features_of([3.0], [[1.0]], 20, seed=1)
    assert frechet.frechet_distance(a, b) == pytest.approx(9 + 1, rel=1e-10)


@pytest.mark.parametrize("size", [2, 5, 20])
def test_covariances_that_do_not_commute_agree_with_the_matrix_root(size):
    m1, m2 = np.random.default_rng(size).standard_normal((2, size))
    c1, c2 = covariance(size, 1), covariance(size, 2)
    root = scipy.linalg.sqrtm(c1 @ c2).real
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * root)
    assert frechet.distance(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-9)
    assert frechet.distance(m2, c2, m1, c1) == pytest.approx(expected, rel=1e-9)


def test_singular_covariances_have_a_real_distance():
    rank_one = np.outer([1.0, 2.0, 0.0], [1.0, 2.0, 0.0])
    other = np.outer([0.0, 0.0, 3.0], [0.0, 0.0, 3.0])
    assert frechet.distance(np.zeros(3), rank_one, np.zeros(3), other) == pytest.approx(5 + 9, abs=1e-6)
    assert frechet.distance(np.zeros(3), rank_one, np.zeros(3), rank_one) == pytest.approx(0, abs=1e-6)


def test_a_set_against_itself_and_the_order_of_samples():
    generator = np.random.default_rng(0)
    a, b = generator.standard_normal((60, 8)), 1 + generator.standard_normal((70, 8))
    assert 0 <= frechet.frechet_distance(a, a) < 1e-9
    shuffled = generator.permutation(a)
    assert frechet.frechet_distance(shuffled, b) == pytest.approx(frechet.frechet_distance(a, b), rel=1e-10)


def test_a_collapsed_set():
    a = features_of(np.zeros(4), np.eye(4), 50)
    collapsed = np.tile([1.0, 0.0, 0.0, 0.0], (50, 1))
    assert frechet.frechet_distance(a, collapsed) == pytest.approx(1 + 4, rel=1e-9)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((1, 3)), "at least 2 samples, not 1"),
        (np.zeros((0, 3)), "at least 2 samples, not 0"),
        (np.zeros((3, 3)), "at least 4 are needed, or few=True"),
        (np.zeros(3), r"\[n, d\]"),
        (np.full((5, 2), np.nan), "not finite"),
    ],
)
def test_features_that_have_no_gaussian(features, message):
    with pytest.raises(ValueError, match=message):
        frechet.frechet_distance(features, np.random.default_rng(0).standard_normal((9, 3)))


def test_few_samples_are_taken_when_asked_for():
    few = np.random.default_rng(0).standard_normal((3, 8))
    assert frechet.frechet_distance(few, few, few=True) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="at least 2"):
        frechet.gaussian(few[:1], few=True)


def test_gaussians_of_different_sizes_do_not_compare():
    with pytest.raises(ValueError, match="covariances"):
        frechet.distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))
