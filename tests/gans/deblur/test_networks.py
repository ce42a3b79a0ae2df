import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers

from gans.deblur import document, networks
from gans.layers import space_to_depth
from tests.gans.filled import filled
from tests.gans.keras_parity import assert_same_network


def conv(filters, side, stride=1):
    return layers.Conv2D(filters, side, stride, "same", activation="tanh")


def keras_generator():
    return keras.Sequential(
        [
            keras.Input(document.NOISE),
            *(conv(32, 2, 2), layers.LeakyReLU(0.6), conv(32, 2), layers.LeakyReLU(0.3), conv(32, 3)),
            *(layers.UpSampling2D((2, 1)), conv(3, 5), layers.Dense(3, activation="tanh")),
        ]
    )


def keras_discriminator():
    blocks = [
        (conv(10, side, 2), layers.Dense(units), layers.LeakyReLU(0.2)) for side, units in ((2, 100), (3, 50), (3, 25))
    ]
    return keras.Sequential(
        [
            keras.Input((50, 50, 3)),
            *(layer for block in blocks for layer in block),
            layers.Conv2D(1, 4, 3, "same"),
            layers.MaxPooling2D((2, 3)),
            layers.Flatten(),
        ]
    )


def parameters(module, *shape):
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape)))
    assert variables.keys() == {"params"}
    return sum(leaf.size for leaf in jax.tree.leaves(variables))


def test_the_documents_parameter_counts():
    assert parameters(document.Generator(), 1, 500_000) == 28_623
    assert parameters(document.Discriminator(), 1, 50, 50, 3) == 15_976


def test_the_documents_networks_equal_keras():
    noise = np.random.default_rng(1).normal(size=(2, *document.NOISE)).astype(np.float32)

    def generate(variables, noise, train):
        del train  # dropout would differ
        return document.Generator().apply(variables, noise.reshape(2, -1)), {}

    def judge(variables, images, train):
        del train
        return document.Discriminator().apply(variables, images)[0], {}

    assert_same_network(generate, keras_generator(), noise)
    images = np.random.default_rng(2).uniform(-1, 1, (2, 50, 50, 3)).astype(np.float32)
    assert_same_network(judge, keras_discriminator(), images)


def test_the_documents_generator_has_one_size_only():
    with pytest.raises(ValueError, match="50x50x3"):
        document.Generator(image_shape=(64, 64, 3)).init(jax.random.key(0), jnp.zeros((1, 500_000)))


def test_a_new_generator_leaves_pictures_as_they_are():
    source = jax.random.uniform(jax.random.key(0), (1, 16, 24, 3), minval=-1)
    module = networks.Generator(channels=(4, 4, 4), blocks=2)
    restored, _ = module.init_with_output(jax.random.key(1), source)
    np.testing.assert_array_equal(restored, source)


def test_most_new_filters_see_detail_and_no_brightness():
    kernel = networks.detail(jax.random.key(0), (3, 3, 12, 32))
    flat = np.abs(np.asarray(kernel).reshape(9, 4, 3, 32).sum((0, 1)))  # of one colour everywhere
    np.testing.assert_allclose(flat[:, :24], 0, atol=1e-4)
    assert (flat[:, 24:] > 0.01).mean() > 0.9
    picture = space_to_depth(jnp.broadcast_to(jnp.array([0.9, -0.3, 0.5]), (1, 6, 6, 3)))
    seen = nn.Conv(32, (3, 3), padding="VALID", use_bias=False).apply({"params": {"kernel": kernel}}, picture)
    np.testing.assert_allclose(seen[..., :24], 0, atol=1e-4)
    assert kernel[..., :24].std() > 6 * kernel[..., 24:].std()


def test_a_pixel_sees_as_far_as_the_docstring_says():
    module = networks.Generator(channels=(2, 2, 2), blocks=2)
    shape = jax.ShapeDtypeStruct((1, 256, 8, 3), jnp.float32)
    variables = filled(jax.eval_shape(module.init, jax.random.key(0), shape))
    # Weights of one sign, so that nothing cancels and no ReLU hides a path.
    variables = jax.tree.map(jnp.abs, variables)
    seen = jax.grad(lambda source: module.apply(variables, source)[0, 128].sum())(jnp.ones(shape.shape))
    rows = np.flatnonzero(np.abs(seen).sum((0, 2, 3)))
    reach = max(128 - rows[0], rows[-1] - 128)
    assert 16 * 2 + 8 * 2 <= reach <= module.reach < reach + 8  # which pixel it is of a block of 8 shifts it


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_the_discriminator_judges_parts_of_a_picture(spectral_norm):
    module = networks.Discriminator(channels=(4, 8), spectral_norm=spectral_norm)
    shape = jax.ShapeDtypeStruct((2, 16, 24, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), shape)
    logits, features = jax.eval_shape(module.apply, variables, shape)
    assert logits.shape == (2, 4, 6, 1)
    assert features.shape == (2, 4, 6, 8)
