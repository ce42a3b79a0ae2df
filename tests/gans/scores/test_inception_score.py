import numpy as np
import pytest
from scipy.special import softmax

from gans.scores.inception_score import inception_score, mode_score


def probabilities(count, classes=6, seed=0):
    return softmax(np.random.default_rng(seed).standard_normal((count, classes)) * 2, -1)


def entropy(p):
    return -(p * np.log(p)).sum(-1)


def test_it_is_the_exponential_of_the_mutual_information():
    rows = probabilities(50)
    expected = np.exp(entropy(rows.mean(0)) - entropy(rows).mean())
    mean, deviation = inception_score(rows, splits=1)
    assert mean == pytest.approx(expected, rel=1e-12)
    assert deviation == 0


def test_splits_are_consecutive_parts():
    rows = probabilities(40)
    parts = [inception_score(rows[start : start + 10], 1)[0] for start in range(0, 40, 10)]
    assert inception_score(rows, splits=4) == pytest.approx((np.mean(parts), np.std(parts)), rel=1e-12)


def test_its_bounds():
    sure = np.eye(5)[np.arange(20) % 5]
    assert inception_score(sure, 2) == pytest.approx((5, 0))
    assert inception_score(np.full((20, 5), 0.2), 2) == pytest.approx((1, 0))
    collapsed = np.eye(5)[np.zeros(20, int)]
    assert inception_score(collapsed, 2) == pytest.approx((1, 0))


def test_probabilities_in_float32_are_taken():
    rows = probabilities(30, classes=1000).astype(np.float32)
    assert inception_score(rows, 1)[0] == pytest.approx(inception_score(rows.astype(np.float64), 1)[0], rel=1e-6)


def test_the_mode_score_by_its_formula():
    rows, data = probabilities(50), probabilities(70, seed=1) ** 2
    data /= data.sum(-1, keepdims=True)
    own, true = rows.mean(0), data.mean(0)
    first = np.mean([(p * np.log(p / own)).sum() for p in rows])
    second = (own * np.log(own / true)).sum()
    assert mode_score(rows, data) == pytest.approx(np.exp(first - second), rel=1e-12)
    assert mode_score(rows, data) < inception_score(rows, 1)[0]
    assert mode_score(rows, rows) == pytest.approx(inception_score(rows, 1)[0], rel=1e-12)


def test_the_mode_score_of_missing_modes():
    data = np.eye(4)[np.arange(40) % 4]
    assert mode_score(data, data) == pytest.approx(4)
    assert mode_score(data[::2], data) == pytest.approx(2 / 2)  # two modes of four: log 2 - log 2
    assert mode_score(data, data[::2]) == 0  # classes that the data lack


@pytest.mark.parametrize(
    ("rows", "splits", "message"),
    [
        (np.full((4, 2), 0.4), 1, "sum to 1"),
        (np.array([[1.5, -0.5]]), 1, "at least 0"),
        (np.array([[np.nan, 1.0]]), 1, "at least 0"),
        (np.array([0.5, 0.5]), 1, r"\[n, classes\]"),
        (np.zeros((0, 2)), 1, r"\[n, classes\]"),
        (np.full((4, 2), 0.5), 5, "cannot split 4 samples into 5"),
        (np.full((4, 2), 0.5), 0, "into 0"),
    ],
)
def test_what_has_no_score(rows, splits, message):
    with pytest.raises(ValueError, match=message):
        inception_score(rows, splits)


def test_different_classes_do_not_compare():
    with pytest.raises(ValueError, match="6 and 5 classes"):
        mode_score(probabilities(4), probabilities(4, classes=5))
