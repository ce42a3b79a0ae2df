import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers

from gans.frozen.digits import DigitClassifier
from gans.inpainting import networks
from tests.gans.keras_parity import assert_same_network

IMAGES = np.random.default_rng(1).uniform(-1, 1, (4, 28, 28, 1)).astype(np.float32)


def conv(filters, strides=1, activation=None):
    return layers.Conv2D(filters, 3, strides, "same", activation=activation)


def keras_generator():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *(conv(32), layers.BatchNormalization(), layers.ReLU(), layers.AveragePooling2D(2)),
            *(conv(64), layers.BatchNormalization(), layers.ReLU(), layers.AveragePooling2D(2)),
            *(conv(128), layers.BatchNormalization(), layers.ReLU()),
            *(conv(128), layers.ReLU(), layers.UpSampling2D()),
            *(conv(64), layers.ReLU(), layers.UpSampling2D()),
            conv(1, activation="tanh"),
        ]
    )


def keras_discriminator():
    blocks = [
        (conv(64, 2), layers.LeakyReLU(0.2)),
        (conv(128, 2), layers.LeakyReLU(0.2)),
        (conv(256), layers.LeakyReLU(0.2)),
    ]
    return keras.Sequential(
        [keras.Input((28, 28, 1)), *(layer for block in blocks for layer in block), layers.Flatten(), layers.Dense(1)]
    )


def keras_judge():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *(conv(32, 2, "relu"), conv(64, 2, "relu"), conv(128, 1, "relu")),
            *(layers.Flatten(), layers.Dense(1024, "relu"), layers.Dense(10)),
        ]
    )


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("module", "trainable", "other"),
    [
        (networks.DocumentGenerator(), 315_073, 448),
        (networks.Discriminator(), 382_209, 0),
        (networks.FoldedUNet(), 1_983_556, 0),
        (networks.FoldedDiscriminator(), 49_505, 0),
        (DigitClassifier(), 6_526_474, 0),
    ],
)
def test_parameter_counts(module, trainable, other):
    variables = jax.eval_shape(module.init, jax.random.key(0), IMAGES)
    assert size(variables["params"]) == trainable
    assert size(variables.get("batch_stats", {})) == other


@pytest.mark.parametrize(
    ("module", "model"),
    [
        (networks.DocumentGenerator(), keras_generator),
        (networks.Discriminator(dropout=0.0), keras_discriminator),
        (DigitClassifier(dropout=0.0), keras_judge),
    ],
)
def test_equal_to_keras(module, model):
    def apply(variables, images, train):
        outputs, changed = module.apply(variables, images, train, mutable=["batch_stats"])
        outputs = outputs[0] if isinstance(outputs, tuple) else outputs
        return outputs, changed.get("batch_stats", {}) if train else {}

    assert_same_network(apply, model(), IMAGES)


def test_dropout_is_on_in_training_alone():
    module = networks.Discriminator()
    variables = module.init(jax.random.key(0), IMAGES)
    (quiet, _), (again, _) = module.apply(variables, IMAGES), module.apply(variables, IMAGES)
    assert jnp.array_equal(quiet, again)
    noisy = [module.apply(variables, IMAGES, True, rngs={"dropout": jax.random.key(key)})[0] for key in range(2)]
    assert not jnp.array_equal(*noisy)
