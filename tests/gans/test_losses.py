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


def test_least_squares_aims_at_the_labels():
    real, fake = np.asarray(REAL[:, 0]), np.asarray(FAKE[:, 0])
    found = losses.least_squares.discriminator(REAL, FAKE, 0.9, 0.1)
    np.testing.assert_allclose(found, (real - 0.9) ** 2 / 2 + (fake - 0.1) ** 2 / 2, rtol=1e-5)
    np.testing.assert_allclose(losses.least_squares.generator(REAL, FAKE), (fake - 1) ** 2 / 2, rtol=1e-5)


def test_hinge_stops_at_the_margin():
    np.testing.assert_allclose(losses.hinge.discriminator(REAL, FAKE), [1.5, 2.0, 2.0])
    np.testing.assert_allclose(losses.hinge.generator(REAL, FAKE), -FAKE[:, 0])


def test_the_critic_of_wasserstein_is_a_difference():
    np.testing.assert_allclose(losses.wasserstein.discriminator(REAL, FAKE), (FAKE - REAL)[:, 0])
    np.testing.assert_allclose(losses.wasserstein.generator(REAL, FAKE), -FAKE[:, 0])


def test_relativistic_logits_count_by_their_difference_alone():
    difference = np.asarray(REAL - FAKE, np.float64)[:, 0]
    np.testing.assert_allclose(losses.relativistic.discriminator(REAL, FAKE), -log_sigmoid(difference), rtol=1e-5)
    np.testing.assert_allclose(losses.relativistic.generator(REAL, FAKE), -log_sigmoid(-difference), rtol=1e-5)
    moved = losses.relativistic.discriminator(REAL + 5, FAKE + 5)
    np.testing.assert_allclose(moved, losses.relativistic.discriminator(REAL, FAKE), rtol=1e-4, atol=1e-6)


def test_labels_may_differ_from_example_to_example_and_a_side_may_be_missing():
    labels = jnp.array([0.8, 0.9, 1.0])
    found = losses.non_saturating.discriminator(REAL, FAKE, labels)
    expected = [losses.non_saturating.discriminator(REAL[i : i + 1], FAKE[i : i + 1], labels[i])[0] for i in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    sides = losses.non_saturating.discriminator(REAL, None) + losses.non_saturating.discriminator(None, FAKE)
    np.testing.assert_allclose(sides, losses.non_saturating.discriminator(REAL, FAKE), rtol=1e-6)


def test_penalties_of_a_linear_critic_are_known():
    weights = jnp.arange(1.0, 5.0).reshape(2, 2, 1)
    images, other = jax.random.normal(jax.random.key(0), (2, 3, 2, 2, 1))

    def linear(images):
        return (images * weights[None]).sum((1, 2, 3))[:, None]

    np.testing.assert_allclose(losses.squared_gradient_norm(linear, images), np.full(3, 30.0), rtol=1e-6)
    found = losses.gradient_penalty(linear, images, other, jnp.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(found, np.full(3, (np.sqrt(30) - 1) ** 2), rtol=1e-5)


def test_the_gradient_penalty_looks_between_fake_and_real():
    def half_square(images):
        return jnp.square(images).sum((1, 2, 3))[:, None] / 2  # whose gradient is the picture itself

    real, fake = jnp.ones((3, 2, 2, 1)), jnp.zeros((3, 2, 2, 1))
    mix = jnp.array([0.0, 0.5, 1.0])
    found = losses.gradient_penalty(half_square, real, fake, mix)
    np.testing.assert_allclose(found, (2 * np.asarray(mix) - 1) ** 2, rtol=1e-4, atol=1e-5)


def test_no_slope_of_a_penalty_is_infinite():
    def penalty(scale):
        return losses.gradient_penalty(
            lambda x: (scale * x).sum((1, 2, 3)), jnp.ones((1, 2, 2, 1)), jnp.zeros((1, 2, 2, 1)), jnp.ones(1)
        ).sum()

    assert np.isfinite(jax.grad(penalty)(0.0))
