import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gans import losses

REAL = jnp.array([[2.0], [-1.0], [30.0]])
FAKE = jnp.array([[0.5], [-40.0], [1.0]])


def log_sigmoid(x):
    return -np.logaddexp(0, -np.asarray(x, np.float64))


@pytest.mark.parametrize("pair", [losses.non_saturating, losses.minimax])
@pytest.mark.parametrize(("real_label", "fake_label"), [(1.0, 0.0), (0.9, 0.0), (0.8, 0.2)])
def test_discriminator_loss_is_cross_entropy_with_smoothed_labels(pair, real_label, fake_label):
    real, fake = np.asarray(REAL[:, 0], np.float64), np.asarray(FAKE[:, 0], np.float64)
    expected = -(real_label * log_sigmoid(real) + (1 - real_label) * log_sigmoid(-real))
    expected -= fake_label * log_sigmoid(fake) + (1 - fake_label) * log_sigmoid(-fake)
    np.testing.assert_allclose(pair.discriminator(REAL, FAKE, real_label, fake_label), expected, rtol=1e-5)


def test_generator_losses():
    fake = np.asarray(FAKE[:, 0], np.float64)
    np.testing.assert_allclose(losses.non_saturating.generator(REAL, FAKE), -log_sigmoid(fake), rtol=1e-5)
    np.testing.assert_allclose(losses.minimax.generator(REAL, FAKE), log_sigmoid(-fake), rtol=1e-5, atol=1e-7)


def test_a_sure_discriminator_stops_the_minimax_generator_only():
    sure = jnp.array([[-20.0]])
    slope = {
        name: float(jax.grad(lambda x, name=name: getattr(losses, name).generator(sure, x).sum())(sure)[0, 0])
        for name in ("non_saturating", "minimax")
    }
    assert slope["non_saturating"] == pytest.approx(-1, abs=1e-6)
    assert slope["minimax"] == pytest.approx(0, abs=1e-6)


def test_a_map_of_verdicts_is_averaged():
    verdicts = jax.random.normal(jax.random.key(0), (3, 4, 4, 1))
    expected = losses.non_saturating.generator(None, verdicts.reshape(-1, 1)).reshape(3, -1).mean(1)
    np.testing.assert_allclose(losses.non_saturating.generator(None, verdicts), expected, rtol=1e-6)


def test_pixel_losses_are_one_value_an_example():
    one, other = jax.random.normal(jax.random.key(0), (2, 3, 4, 4, 2))
    difference = np.asarray(one - other).reshape(3, -1)
    np.testing.assert_allclose(losses.pixel_l1(one, other), np.abs(difference).mean(1), rtol=1e-6)
    np.testing.assert_allclose(losses.pixel_l2(one, other), (difference**2).mean(1), rtol=1e-6)
