import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers

from gans.srgan import networks
from tests.gans.filled import filled
from tests.gans.keras_parity import assert_same_network

SOURCE = np.random.default_rng(1).uniform(-1, 1, (2, 8, 12, 3)).astype(np.float32)


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("module", "side", "trainable", "other"),
    [
        (networks.DocumentGenerator(), 64, 2_038_467, 4_224),
        (networks.DocumentDiscriminator(), 256, 5_215_425, 3_712),
    ],
)
def test_the_documents_parameter_counts(module, side, trainable, other):
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, side, side, 3))))
    assert size(variables["params"]) == trainable
    assert size(variables["batch_stats"]) == other


def norm():
    return layers.BatchNormalization(momentum=0.8)


def conv(filters, side=3, stride=1):
    return layers.Conv2D(filters, side, stride, "same")


def keras_generator(blocks):
    source = keras.Input((8, 12, 3))
    x = first = layers.ReLU()(conv(64, 9)(source))
    for _ in range(blocks):
        y = norm()(layers.ReLU()(conv(64)(x)))
        x = layers.Add()([norm()(conv(64)(y)), x])
    x = layers.Add()([norm()(conv(64)(x)), first])
    for _ in range(2):
        x = layers.ReLU()(conv(256)(layers.UpSampling2D()(x)))
    return keras.Model(source, layers.Activation("tanh")(conv(3, 9)(x)))


def keras_discriminator():
    images = keras.Input((16, 16, 3))
    x = layers.LeakyReLU(0.2)(conv(64)(images))
    for filters, stride in ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)):
        x = norm()(layers.LeakyReLU(0.2)(conv(filters, 3, stride)(x)))
    return keras.Model(images, layers.Dense(1)(layers.LeakyReLU(0.2)(layers.Dense(1024)(x))))


def in_keras_order(module, model):
    """`assert_same_network`'s apply for a generator, whose upsampling convolutions Keras counts among the others."""
    plain = sum(1 for layer in model.layers if isinstance(layer, layers.Conv2D)) - 3

    def apply(variables, images, train):
        params = dict(variables["params"])
        for index in (0, 1):
            params[f"UpsampleConv_{index}"] = params.pop(f"Conv_{plain + index}")
        params[f"Conv_{plain}"] = params.pop(f"Conv_{plain + 2}")
        outputs, new = module.apply({**variables, "params": params}, images, train, mutable=["batch_stats"])
        return outputs, new["batch_stats"]

    return apply


def test_the_documents_generator_equals_keras():
    model = keras_generator(blocks=1)
    assert_same_network(in_keras_order(networks.DocumentGenerator(blocks=1), model), model, SOURCE)


def test_the_documents_discriminator_equals_keras():
    def apply(variables, images, train):
        (logits, _), new = networks.DocumentDiscriminator().apply(variables, images, train, mutable=["batch_stats"])
        return logits, new["batch_stats"]

    images = np.random.default_rng(2).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    assert_same_network(apply, keras_discriminator(), images)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("residual", [False, True])
def test_pictures_of_any_size_grow_by_the_scale(scale, residual):
    module = networks.Generator(channels=4, blocks=1, scale=scale, residual=residual)
    for shape in ((1, 5, 8, 3), (2, 9, 3, 3)):
        variables = jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
        made = jax.eval_shape(module.apply, variables, jax.ShapeDtypeStruct(shape, jnp.float32))
        assert made.shape == (shape[0], scale * shape[1], scale * shape[2], 3)


def test_a_scale_that_is_no_power_of_two_is_refused():
    with pytest.raises(ValueError, match="scale=3"):
        networks.doublings(3)


def test_prelu_learns_a_slope_for_each_channel():
    module = networks.PReLU()
    variables = {"params": {"slope": jnp.array([0.0, 0.5])}}
    x = jnp.array([[-2.0, -2.0], [3.0, 3.0]])
    np.testing.assert_array_equal(module.apply(variables, x), [[0, -1], [3, 3]])


@pytest.mark.parametrize(
    "module",
    [
        networks.DocumentGenerator(blocks=2),
        networks.DocumentGenerator(blocks=1, scale=2),
        networks.Generator(channels=2, blocks=2, scale=4),
        networks.Generator(channels=2, blocks=1, scale=2, residual=True),
    ],
)
def test_a_pixel_sees_as_far_as_it_says(module):
    shape = jax.ShapeDtypeStruct((1, 64, 2, 3), jnp.float32)
    variables = filled(jax.eval_shape(module.init, jax.random.key(0), shape))
    # Averages, so that nothing cancels, saturates or is hidden by a ReLU.
    variables = jax.tree.map(lambda leaf: np.full_like(leaf, 1 / max(leaf[..., 0].size, 1)), variables)

    def block(source):
        return module.apply(variables, source)[0, 32 * module.scale : 33 * module.scale].sum((1, 2))

    moved = jax.jit(jax.jacrev(block))(jnp.full(shape.shape, 1e-3))
    rows = np.flatnonzero(np.abs(moved).sum((0, 1, 3, 4)))
    assert max(32 - rows[0], rows[-1] - 32) == module.reach


def test_a_convolution_to_few_channels_equals_the_plain_one_in_value_and_gradients():
    plain, few = (nn.Conv(3, (9, 5), **how) for how in ({}, {"conv_general_dilated": networks.conv_to_few}))
    x = jax.random.normal(jax.random.key(0), (2, 6, 11, 4))
    variables = plain.init(jax.random.key(1), x)

    def both(module):
        return jax.value_and_grad(lambda variables, x: jnp.sin(module.apply(variables, x)).sum(), (0, 1))(variables, x)

    np.testing.assert_allclose(few.apply(variables, x), plain.apply(variables, x), atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), both(few), both(plain))


@pytest.mark.parametrize(
    "settings", [{"strides": 2}, {"padding": "VALID"}, {"kernel_dilation": 2}, {"kernel_size": (4, 4)}]
)
def test_a_convolution_to_few_channels_has_one_form(settings):
    module = nn.Conv(3, **{"kernel_size": (3, 3), "conv_general_dilated": networks.conv_to_few, **settings})
    with pytest.raises(ValueError, match="conv_to_few"):
        module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 4)))
