import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers

from gans.age_cgan import networks
from tests.gans.keras_parity import assert_same_network

FACES = np.random.default_rng(1).uniform(-1, 1, (3, 32, 32, 3)).astype(np.float32)
LABEL = jnp.array([0, 5, 2])
ONES = np.eye(6, dtype=np.float32)[np.asarray(LABEL)]
KINDS = {"Conv2D": "Conv", "Dense": "Dense", "BatchNormalization": "BatchNorm"}


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("module", "inputs", "trainable", "other"),
    [
        (networks.Encoder(), (1, 64, 64, 3), 18_278_180, 9_088),
        (networks.Generator(), (1, 100), 34_852_099, 33_152),
        (networks.Discriminator(), (1, 64, 64, 3), 1_567_873, 1_792),
    ],
)
def test_the_documents_parameter_counts(module, inputs, trainable, other):
    label = {} if isinstance(module, networks.Encoder) else {"label": jnp.zeros(1, jnp.int32)}
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(inputs), **label))
    assert size(variables["params"]) == trainable
    assert size(variables["batch_stats"]) == other


def conv(filters, side, stride=1):
    return layers.Conv2D(filters, side, stride, "same")


def lrelu():
    return layers.LeakyReLU(0.2)


def test_the_encoder_equals_keras():
    blocks = [(conv(filters, 5, 2), layers.BatchNormalization(), lrelu()) for filters in (6, 8, 10)]
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            *(conv(4, 5, 2), lrelu()),
            *(layer for block in blocks for layer in block),
            *(layers.Flatten(), layers.Dense(16), layers.BatchNormalization(), lrelu(), layers.Dense(7)),
        ]
    )
    module = networks.Encoder(latent_size=7, channels=(4, 6, 8, 10), hidden=16)

    def apply(variables, faces, train):
        outputs, new = module.apply(variables, faces, train, mutable=["batch_stats"])
        return outputs, new["batch_stats"]

    assert_same_network(apply, model, FACES)


def test_the_generator_equals_keras():
    latents = np.random.default_rng(2).normal(size=(3, 9)).astype(np.float32)
    joined = keras.Input((15,))
    x = lrelu()(layers.Dense(12)(joined))
    x = lrelu()(layers.BatchNormalization()(layers.Dense(8 * 8 * 4)(x)))
    x = layers.Reshape((8, 8, 4))(x)
    for filters in (6, 5):
        x = conv(filters, 5)(layers.UpSampling2D()(x))
        x = lrelu()(layers.BatchNormalization(momentum=0.8)(x))
    model = keras.Model(joined, layers.Activation("tanh")(conv(3, 5)(layers.UpSampling2D()(x))))
    module = networks.Generator(hidden=12, channels=(4, 6, 5), dropout=0.0)

    def apply(variables, joined, train):
        del joined  # the same latents, with the labels behind them
        outputs, new = module.apply(variables, latents, train, label=LABEL, mutable=["batch_stats"])
        return outputs, new["batch_stats"]

    assert_same_network(apply, model, np.concatenate([latents, ONES], 1), {"Conv2D": "UpsampleConv"})


def test_the_discriminator_equals_keras():
    faces, label = keras.Input((32, 32, 3)), keras.Input((6,))
    x = lrelu()(conv(4, 3, 2)(faces))
    tiled = layers.UpSampling2D(16)(layers.Reshape((1, 1, 6))(label))
    x = layers.Concatenate()([x, tiled])
    for filters in (6, 8, 10):
        x = lrelu()(layers.BatchNormalization()(conv(filters, 3, 2)(x)))
    two = keras.Model([faces, label], layers.Dense(1)(layers.Flatten()(x)))
    module = networks.Discriminator(channels=(4, 6, 8, 10))

    def apply(variables, inputs, train):
        (logits, _), new = module.apply(variables, inputs[0], train, label=LABEL, mutable=["batch_stats"])
        return logits, new["batch_stats"]

    assert_same_network(apply, two, [FACES, ONES])
