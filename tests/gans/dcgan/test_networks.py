import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers

from gans.dcgan import networks, residual
from tests.gans.keras_parity import assert_same_network

RANDOM = np.random.default_rng(1)
LATENTS = RANDOM.standard_normal((4, 100)).astype(np.float32)
DIGITS = RANDOM.uniform(-1, 1, (4, 28, 28, 1)).astype(np.float32)
FACES = RANDOM.uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)


def counts(module, inputs):
    variables = jax.eval_shape(module.init, jax.random.key(0), inputs)
    return [sum(leaf.size for leaf in jax.tree.leaves(variables.get(c, {}))) for c in ("params", "batch_stats")]


def test_parameter_counts_of_the_document():
    assert counts(networks.DocumentGenerator(), LATENTS) == [34_839_427, 32_768]
    assert counts(networks.DocumentDiscriminator(), FACES) == [20_361_473, 0]


def conv(filters, size, padding="same", strides=1, activation=None):
    return layers.Conv2D(filters, size, strides, padding, activation=activation)


def leaky():
    return layers.LeakyReLU(0.2)


def generator(module):
    def apply(variables, latents, train):
        images, changed = module.apply(variables, latents, train, mutable=["batch_stats"])
        return images, changed["batch_stats"] if train else {}

    return apply


def discriminator(module):
    def apply(variables, images, train):
        params = dict(variables["params"])
        last = sorted(name for name in params if name.startswith("Dense_"))[-1]
        params["Projection_0"] = {"Dense_0": params.pop(last)}
        return module.apply({"params": params}, images, train)[0], {}

    return apply


def test_the_generator_of_digits_is_keras():
    def double(filters, activation=None):
        return layers.Conv2DTranspose(filters, 5, 2, "same", activation=activation)

    model = keras.Sequential(
        [
            keras.Input((100,)),
            *(layers.Dense(7 * 7 * 128), layers.BatchNormalization(), layers.ReLU(), layers.Reshape((7, 7, 128))),
            *(double(64), layers.BatchNormalization(), layers.ReLU(), double(1, "tanh")),
        ]
    )
    kinds = {"Conv2DTranspose": "ConvTranspose"}
    assert_same_network(generator(networks.Generator()), model, LATENTS, kinds)


def test_the_discriminator_of_digits_is_keras():
    blocks = [conv(64, 5, strides=2), leaky(), conv(128, 5, strides=2), leaky()]
    model = keras.Sequential([keras.Input((28, 28, 1)), *blocks, layers.Flatten(), layers.Dense(1)])
    module = networks.Discriminator(dropout=0.0)
    assert_same_network(discriminator(module), model, DIGITS, {"Conv2D": "HalvingConv"})


def test_the_generator_of_faces_is_keras():
    model = keras.Sequential(
        [
            keras.Input((100,)),
            *(layers.Dense(2048), leaky(), layers.Dense(16384), layers.BatchNormalization(), leaky()),
            layers.Reshape((8, 8, 256)),
            *(layers.UpSampling2D(), conv(128, 5), leaky(), layers.UpSampling2D(), conv(64, 5), leaky()),
            *(layers.UpSampling2D(), conv(3, 5, activation="tanh")),
        ]
    )
    assert_same_network(generator(networks.DocumentGenerator()), model, LATENTS)


def test_the_discriminator_of_faces_is_keras():
    model = keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            *(conv(128, 5), leaky(), layers.MaxPooling2D(), conv(256, 3, "valid"), leaky(), layers.MaxPooling2D()),
            *(conv(512, 3, "valid"), leaky(), layers.MaxPooling2D(), layers.Flatten()),
            *(layers.Dense(1024), leaky(), layers.Dense(1)),
        ]
    )
    assert_same_network(discriminator(networks.DocumentDiscriminator()), model, FACES)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (64, 64, 3)])
def test_residual_networks_make_and_judge_pictures(shape):
    channels = (32, 16, 16)
    module = networks.ResidualGenerator(shape, channels=channels)
    images, _ = module.init_with_output(jax.random.key(0), LATENTS)
    assert images.shape == (4, *shape)
    assert jnp.abs(images).max() <= 1
    (logits, features), _ = networks.ResidualDiscriminator(channels=channels).init_with_output(
        jax.random.key(1), images
    )
    assert logits.shape == (4, 1)
    assert features.shape == (4, 32)


def test_the_residual_generator_can_still_learn_at_the_ends_of_its_range():
    module = networks.ResidualGenerator((8, 8, 1), channels=(8, 8, 8))
    latents = jax.random.normal(jax.random.key(0), (4, 5))
    variables = module.init(jax.random.key(1), latents)
    variables = jax.tree.map(lambda kernel: 1e3 * kernel, variables)  # a tanh of these is 1 or -1 everywhere

    images, backward = jax.vjp(lambda latents: module.apply(variables, latents, train=True), latents)
    assert (backward(images)[0] != 0).all()
    np.testing.assert_array_equal(jnp.abs(module.apply(variables, latents)), 1)


def test_residual_blocks_start_as_the_identity():
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 32))
    block = residual.ResidualBlock()
    variables = block.init(jax.random.key(1), x)
    np.testing.assert_array_equal(block.apply(variables, x), x)
    # 1x1, grouped 3x3, 1x1 and two biases.
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 32 * 64 + 9 * 4 * 64 + 64 * 32 + 2 * 64


def test_bilinear_resampling_keeps_a_flat_map_and_the_mean():
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    np.testing.assert_allclose(residual.enlarge(jnp.ones((1, 4, 4, 1))), 1, rtol=1e-6)
    np.testing.assert_allclose(residual.shrink(jnp.ones((1, 4, 4, 1))), 1, rtol=1e-6)
    assert residual.enlarge(x).shape == (2, 16, 16, 3)
    assert residual.shrink(x).shape == (2, 4, 4, 3)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (networks.Generator((30, 28, 1)), "divisible by 4"),
        (networks.DocumentGenerator((28, 28, 1)), "divisible by 8"),
        (networks.ResidualGenerator((30, 28, 1)), "divisible by 4"),
    ],
)
def test_sides_that_do_not_fit(module, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(module.init, jax.random.key(0), LATENTS)
