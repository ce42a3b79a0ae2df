import jax
import keras
import numpy as np
import pytest
from keras import layers

from gans.vanilla import networks
from tests.gans.keras_parity import assert_same_network

RANDOM = np.random.default_rng(1)
LATENTS = RANDOM.standard_normal((4, 100)).astype(np.float32)
IMAGES = RANDOM.uniform(-1, 1, (4, 28, 28, 1)).astype(np.float32)


def hidden(*sizes):
    return [layer for size in sizes for layer in (layers.Dense(size), layers.LeakyReLU(0.2))]


def test_parameter_counts_of_the_document():
    for module, inputs, count in (
        (networks.Generator(), LATENTS, 693_784),
        (networks.Discriminator(), IMAGES, 643_501),
    ):
        variables = jax.eval_shape(module.init, jax.random.key(0), inputs)
        assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == count


@pytest.mark.parametrize("sizes", [(500, 500), (256, 512, 1024)])
def test_the_generator_is_keras(sizes):
    ends = [layers.Dense(784, activation="tanh"), layers.Reshape((28, 28, 1))]
    model = keras.Sequential([keras.Input((100,)), *hidden(*sizes), *ends])
    module = networks.Generator(hidden=sizes)
    assert_same_network(lambda variables, x, train: (module.apply(variables, x, train), {}), model, LATENTS)


@pytest.mark.parametrize("sizes", [(500, 500), (1024, 512, 256)])
def test_the_discriminator_is_keras(sizes):
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), *hidden(*sizes), layers.Dense(1)])
    module = networks.Discriminator(hidden=sizes)
    assert_same_network(lambda variables, x, train: (module.apply(variables, x, train)[0], {}), model, IMAGES)


def test_labels_stand_beside_latents_and_pixels():
    label = np.array([1, 9, 0, 3])
    one_hot = np.eye(10, dtype=np.float32)[label]
    module, wide = networks.Generator(classes=10), networks.Generator()
    variables = module.init(jax.random.key(0), LATENTS, label=label)
    expected = wide.apply(variables, np.concatenate([LATENTS, one_hot], 1))
    np.testing.assert_array_equal(module.apply(variables, LATENTS, label=label), expected)
    with pytest.raises(ValueError, match="needs the label of each example"):
        module.apply(variables, LATENTS)
