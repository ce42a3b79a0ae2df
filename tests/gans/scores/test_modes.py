import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats

from gans.scores import modes


def distributions(count, classes=7, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), count)


def test_divergences_are_scipys():
    for p, q in zip(distributions(5), distributions(5, seed=1), strict=True):
        assert modes.kl_divergence(p, q) == pytest.approx(scipy.stats.entropy(p, q), rel=1e-12)
        assert modes.js_divergence(p, q) == pytest.approx(scipy.spatial.distance.jensenshannon(p, q) ** 2, rel=1e-10)


def test_leading_axes_broadcast():
    p, q = distributions(6), distributions(1, seed=1)[0]
    found = modes.kl_divergence(p, q)
    np.testing.assert_allclose(found, [modes.kl_divergence(row, q) for row in p], rtol=1e-12)


def test_zeros():
    assert modes.kl_divergence([0.0, 1.0], [0.5, 0.5]) == pytest.approx(np.log(2))
    assert modes.kl_divergence([0.5, 0.5], [0.0, 1.0]) == np.inf
    assert modes.kl_divergence([0.0, 1.0], [0.0, 1.0]) == 0
    assert modes.js_divergence([1.0, 0.0], [0.0, 1.0]) == pytest.approx(np.log(2))


def test_divergences_are_zero_for_equals_only_and_js_is_symmetric():
    p, q = distributions(2)
    assert modes.kl_divergence(p, p) == modes.js_divergence(p, p) == 0
    assert modes.kl_divergence(p, q) > 0
    assert modes.js_divergence(p, q) == pytest.approx(modes.js_divergence(q, p), rel=1e-12)


@pytest.mark.parametrize("divergence", [modes.kl_divergence, modes.js_divergence])
@pytest.mark.parametrize(
    ("p", "q", "message"),
    [
        ([1.5, -0.5], [0.5, 0.5], "at least 0"),
        ([0.5, 0.5], [0.5, 0.4], "sum to 1"),
        ([3, 4], [0.5, 0.5], "sum to 1"),
        ([np.nan, 1], [0.5, 0.5], "at least 0"),
        ([np.inf, 1], [0.5, 0.5], "sum to 1"),
        ([0.5, 0.5], [1.0], "2 and 1 classes"),
        (1.0, [1.0], "classes"),
        ([], [], "classes"),
    ],
)
def test_what_is_no_distribution(divergence, p, q, message):
    with pytest.raises(ValueError, match=message):
        divergence(p, q)


def test_modes_are_the_classes_that_occur():
    assert modes.modes(np.array([3, 3, 0, 7]), 10) == 3
    assert modes.modes(np.arange(1000, dtype=np.uint16), 1000) == 1000
    np.testing.assert_array_equal(modes.label_counts(np.array([3, 3, 0]), 5), [1, 0, 0, 2, 0])


def test_labels_against_labels_and_against_a_distribution():
    labels, data = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 0, 2, 3])
    expected = 0.75 * np.log(0.75 * 3) + 0.25 * np.log(0.25 * 3)
    assert modes.kl_of_labels(labels, data, 4) == pytest.approx(expected, rel=1e-12)
    assert modes.kl_of_labels(labels, np.array([2, 2, 1, 1]) / 6, 4) == pytest.approx(expected, rel=1e-12)
    assert modes.kl_of_labels(data, labels, 4) == np.inf
    assert modes.kl_of_labels(labels[::-1], labels, 4) == 0


def test_a_collapsed_generator_on_stacked_mnist():
    uniform = np.full(1000, 1e-3)
    assert modes.kl_of_labels(np.full(50, 123), uniform, 1000) == pytest.approx(np.log(1000))
    assert modes.kl_of_labels(np.arange(1000), uniform, 1000) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 4]), r"0\.\.3, not in 0\.\.4"),
        (np.array([-1, 0]), r"-1\.\.0"),
        (np.array([0.0, 1.0]), "integers"),
        (np.array([], int), "integers"),
        (np.zeros((2, 2), int), "integers"),
    ],
)
def test_what_is_no_label(labels, message):
    with pytest.raises(ValueError, match=message):
        modes.modes(labels, 4)
    with pytest.raises(ValueError, match=message):
        modes.kl_of_labels(labels, np.full(4, 0.25), 4)


def test_a_distribution_over_other_classes_does_not_compare():
    with pytest.raises(ValueError, match="4 and 3 classes"):
        modes.kl_of_labels(np.array([0, 1]), np.full(3, 1 / 3), 4)
