import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from experiments import latents
from experiments.commands import UsageError


def test_the_first_latents_do_not_depend_on_how_many_there_are():
    for truncation in (None, 0.5):
        few, many = (np.asarray(latents.drawn(3, count, 7, truncation)) for count in (4, 10))
        np.testing.assert_array_equal(few, many[:4])
    assert not np.allclose(latents.drawn(3, 4, 7), latents.drawn(4, 4, 7))


def test_latents_are_normal_and_truncated_ones_stay_inside():
    whole = np.asarray(latents.drawn(0, 100, 100)).ravel()
    assert stats.kstest(whole, "norm").pvalue > 1e-3
    inside = np.asarray(latents.drawn(0, 100, 100, 0.7)).ravel()
    assert np.abs(inside).max() <= 0.7
    assert stats.kstest(inside, stats.truncnorm(-0.7, 0.7).cdf).pvalue > 1e-3


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_latents_are_read_from_a_file(tmp_path, suffix):
    expected = np.random.default_rng(0).standard_normal((5, 3))
    path = tmp_path / f"latents{suffix}"
    np.save(path, expected) if suffix == ".npy" else np.savez(path, latent=expected, label=np.arange(5))
    np.testing.assert_allclose(latents.read(path, 3), expected, rtol=1e-6)
    with pytest.raises(UsageError, match=r"\[count, 4\]"):
        latents.read(path, 4)


def test_some_of_the_latents_of_a_file(tmp_path):
    expected = np.random.default_rng(0).standard_normal((5, 3))
    path = tmp_path / "latents.npy"
    np.save(path, expected)
    np.testing.assert_allclose(latents.read(f"{path}:4,0,4", 3), expected[[4, 0, 4]], rtol=1e-6)
    with pytest.raises(UsageError, match="there is no latent 5; .*npy has 0 to 4"):
        latents.read(f"{path}:1,5", 3)
    for strange in (f"{path}:", f"{path}:a", f"{path}:1,-2"):
        with pytest.raises(UsageError, match="holds no latents"):
            latents.read(strange, 3)


@pytest.mark.parametrize(
    "content",
    [np.array([[1.0, np.nan]]), np.zeros((0, 2)), np.ones((3, 2), int), np.array([[{}, {}]], object)],
    ids=["not finite", "none", "integers", "pickle"],
)
def test_files_without_latents_are_refused(tmp_path, content):
    path = tmp_path / "latents.npy"
    np.save(path, content, allow_pickle=True)
    with pytest.raises(UsageError, match="latents"):
        latents.read(path, 2)


def test_a_missing_or_strange_file_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", image=np.zeros(3))
    (tmp_path / "text.npy").write_text("no array")
    for name in ("missing.npy", "other.npz", "text.npy"):
        with pytest.raises(UsageError, match="holds no latents"):
            latents.read(tmp_path / name, 2)


def test_the_way_goes_round_along_great_circles():
    start, end = jax.random.normal(jax.random.key(0), (2, 3, 50))
    path = latents.way(start, end, 8)
    np.testing.assert_allclose(path[0], start, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(path[4], end, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(path[1:4], path[5:][::-1], rtol=1e-4, atol=1e-4)
    # Half-way between vectors of equal length lies one of that length, with equal angles to both.
    unit = [side / jnp.linalg.norm(side, axis=1, keepdims=True) for side in (start, end)]
    middle = latents.way(*unit, 4)[1]
    np.testing.assert_allclose(jnp.linalg.norm(middle, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose((middle * unit[0]).sum(1), (middle * unit[1]).sum(1), rtol=1e-5)


def test_the_way_between_parallel_latents_is_straight():
    start = jnp.ones((1, 4))
    np.testing.assert_allclose(latents.way(start, 3 * start, 4)[1], 2 * start, rtol=1e-5)
    np.testing.assert_allclose(latents.way(start, start, 4), jnp.ones((4, 1, 4)), rtol=1e-5)
