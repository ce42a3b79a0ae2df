import jax
import jax.numpy as jnp
import numpy as np

from gans import layers

IMAGES = jax.random.normal(jax.random.key(0), (2, 6, 8, 3))


def test_average_pool_is_the_mean_of_two_by_two_blocks():
    pooled = layers.average_pool(IMAGES)
    assert pooled.shape == (2, 3, 4, 3)
    np.testing.assert_allclose(pooled[1, 2, 3], IMAGES[1, 4:6, 6:8].mean((0, 1)), rtol=1e-6)


def test_space_to_depth_folds_blocks_and_back():
    folded = layers.space_to_depth(IMAGES)
    assert folded.shape == (2, 3, 4, 12)
    np.testing.assert_array_equal(folded[1, 2, 3].reshape(2, 2, 3), IMAGES[1, 4:6, 6:8])
    np.testing.assert_array_equal(layers.depth_to_space(folded), IMAGES)


def test_upsample_repeats_pixels():
    np.testing.assert_array_equal(
        layers.upsample(IMAGES), jax.image.resize(IMAGES, (2, 12, 16, 3), jax.image.ResizeMethod.NEAREST)
    )


def test_leaky_relu_has_the_slope_of_gans():
    np.testing.assert_allclose(layers.leaky_relu(jnp.array([-1.0, 2.0])), [-0.2, 2.0], rtol=1e-6)
