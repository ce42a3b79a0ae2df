import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from gans.scores.coverage import manifold_scores


def features(count, seed=0, shift=0.0, size=5):
    return np.random.default_rng(seed).standard_normal((count, size)) + shift


def radii(points, k):
    return NearestNeighbors(n_neighbors=k).fit(points).kneighbors()[0][:, -1]  # without the point itself


def reference(real, generated, k):
    distances = pairwise_distances(real, generated)
    real_radii, generated_radii = radii(real, k)[:, None], radii(generated, k)[None]
    return (
        (distances <= real_radii).any(0).mean(),
        (distances <= generated_radii).any(1).mean(),
        (distances < real_radii).sum() / (k * len(generated)),
        (distances < real_radii).any(1).mean(),
    )


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 0.7, 2.0])
def test_all_four_agree_with_whole_tables_of_distances(k, shift):
    real, generated = features(80), features(60, seed=1, shift=shift)
    expected = reference(real, generated, k)
    assert expected[0] < 1
    for chunk in (7, 1000):
        assert manifold_scores(real, generated, k, chunk) == pytest.approx(expected, abs=1e-12)


def test_a_set_against_itself():
    real = features(50)
    assert manifold_scores(real, real) == pytest.approx((1, 1, 1, 1), abs=1e-12)


def test_the_order_of_samples_does_not_matter():
    real, generated = features(50), features(40, seed=1, shift=0.5)
    generator = np.random.default_rng(2)
    shuffled = manifold_scores(generator.permutation(real), generator.permutation(generated))
    assert shuffled == pytest.approx(manifold_scores(real, generated), abs=1e-12)


def test_sets_far_apart_share_nothing():
    assert manifold_scores(features(30), features(30, seed=1, shift=100.0)) == (0, 0, 0, 0)


def test_a_generator_that_collapsed_is_precise_and_recalls_nothing():
    real = features(200)
    centre = real.mean(0)
    scores = manifold_scores(real, np.tile(centre, (50, 1)))
    assert scores.precision == 1
    assert scores.recall == 0
    assert scores.coverage < 0.2


def test_half_of_two_modes():
    left, right = features(100), features(100, seed=1, shift=50.0)
    scores = manifold_scores(np.concatenate([left, right]), features(150, seed=2))
    assert scores.precision > 0.7
    assert 0.3 < scores.recall <= 0.5
    assert 0.4 < scores.coverage <= 0.5


def test_only_a_chunk_of_the_distances_is_held():
    real, generated = features(3000), features(3000, seed=1)
    tracemalloc.start()
    manifold_scores(real, generated, chunk=100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * 100 * 3000 * 8


def test_sets_that_do_not_compare():
    with pytest.raises(ValueError, match=r"\[n, d\]"):
        manifold_scores(features(9), features(9, size=4))
    with pytest.raises(ValueError, match="at least 6 rows, not 9 and 5"):
        manifold_scores(features(9), features(5))
    with pytest.raises(ValueError, match="neighbour 0"):
        manifold_scores(features(9), features(9), k=0)
