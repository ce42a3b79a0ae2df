"""What surrounds the face networks; that they are those of face-api is shown where their weights are read."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gans.frozen import face
from tests.gans.filled import filled

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def recogniser():
    shapes = jax.eval_shape(face.FaceRecogniser().init, KEY, jnp.zeros((1, face.SIZE, face.SIZE, 3)))
    # Kernels so small that the residual sums neither vanish nor grow.
    return jax.tree.map(lambda leaf: leaf * 0.1 if leaf.ndim == 4 else leaf, filled(shapes))


def test_descriptors_have_gradients_for_small_images(recogniser):
    images, other = jax.random.uniform(KEY, (2, 2, 32, 32, 3), minval=-1)

    @jax.jit
    @jax.value_and_grad
    def distance(images):
        found = face.descriptor(recogniser, jnp.concatenate([images, other]))
        return jnp.square(found[:2] - found[2:]).sum()

    _, gradient = distance(images)
    assert gradient.shape == images.shape
    # Every pixel of every colour matters.
    assert (np.asarray(gradient) != 0).mean() > 0.99
    # The gradient is the slope along itself.
    steepness = jnp.sqrt(jnp.square(gradient).sum())
    step = 1e-2 * gradient / steepness
    slope = (distance(images + step)[0] - distance(images - step)[0]) / 2e-2
    np.testing.assert_allclose(slope, steepness, rtol=0.02)


@pytest.mark.parametrize(("function", "network", "size"), [
    (face.descriptor, face.FaceRecogniser, face.SIZE), (face.age_gender, face.AgeGenderNet, face.AGE_SIZE)
])  # fmt: skip
def test_images_are_resized_and_normalised(monkeypatch, function, network, size):
    seen = []
    monkeypatch.setattr(network, "apply", lambda self, variables, images: seen.append(images) or (images, images))
    function({}, jnp.broadcast_to(jnp.float32([-1, 0, 1]), (2, 8, 8, 3)))
    (given,) = seen
    assert given.shape == (2, size, size, 3)
    np.testing.assert_allclose(
        given[1, 100, 50], [-122.782 / 255, (127.5 - 117.001) / 255, (255 - 104.298) / 255], rtol=1e-5
    )


@pytest.mark.parametrize("shape", [(2, 64, 48, 3), (2, 64, 64, 1), (64, 64, 3)])
def test_images_that_are_no_faces(shape):
    with pytest.raises(ValueError, match=r"the face networks take \[batch, side, side, 3\]"):
        face.descriptor({}, jnp.zeros(shape))


@pytest.mark.parametrize("side", [7, 8, 72])
def test_the_pool_is_a_pool(side):
    x = jax.random.normal(KEY, (2, side, side, 3))
    np.testing.assert_array_equal(face._max_pool(x), nn.max_pool(x, (3, 3), (2, 2)))


def test_probabilities_of_gender():
    shapes = jax.eval_shape(face.AgeGenderNet().init, KEY, jnp.zeros((1, face.AGE_SIZE, face.AGE_SIZE, 3)))
    ages, genders = jax.jit(face.age_gender)(filled(shapes), jax.random.uniform(KEY, (3, 20, 20, 3)))
    assert (ages.shape, genders.shape) == ((3,), (3, 2))
    np.testing.assert_allclose(genders.sum(1), 1, rtol=1e-5)
