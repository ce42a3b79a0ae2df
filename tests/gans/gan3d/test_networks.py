import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers

from gans.gan3d import networks
from tests.gans.filled import filled
from tests.gans.keras_parity import assert_same_network

RANDOM = np.random.default_rng(1)
LATENTS = RANDOM.standard_normal((2, 200)).astype(np.float32)
VOLUMES = (RANDOM.uniform(size=(2, 32, 32, 32, 1)) < 0.05).astype(np.float32)


def counts(module, inputs):
    variables = jax.eval_shape(module.init, jax.random.key(0), inputs)
    return [sum(leaf.size for leaf in jax.tree.leaves(variables.get(c, {}))) for c in ("params", "batch_stats")]


def test_parameter_counts_of_the_document():
    assert counts(networks.Generator(), LATENTS) == [17_570_625, 1_920]
    assert counts(networks.Discriminator(), np.zeros((1, 64, 64, 64, 1), np.float32)) == [11_049_793, 1_920]


def norm():
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3)


def test_the_generator_is_keras():
    blocks = [layers.Conv3DTranspose(16, 4, 1, "valid"), norm(), layers.ReLU()]
    for filters in (8, 8):
        blocks += [layers.Conv3DTranspose(filters, 4, 2, "same"), norm(), layers.ReLU()]
    last = layers.Conv3DTranspose(1, 4, 2, "same", activation="sigmoid")
    model = keras.Sequential([keras.Input((200,)), layers.Reshape((1, 1, 1, 200)), *blocks, last])
    module = networks.Generator((32, 32, 32, 1), channels=(16, 8, 8))

    def apply(variables, latents, train):
        volumes, changed = module.apply(variables, latents, train, mutable=["batch_stats"])
        return volumes, changed["batch_stats"] if train else {}

    assert_same_network(apply, model, LATENTS, {"Conv3DTranspose": "ConvTranspose3D"})


def test_the_discriminator_is_keras():
    blocks = []
    for filters in (8, 8, 16):
        blocks += [layers.Conv3D(filters, 4, 2, "same"), norm(), layers.LeakyReLU(0.2)]
    last = [layers.Conv3D(1, 4, 1, "valid"), layers.Reshape((1,))]
    model = keras.Sequential([keras.Input((32, 32, 32, 1)), *blocks, *last])
    module = networks.Discriminator(channels=(8, 8, 16))

    def apply(variables, volumes, train):
        params = dict(variables["params"])
        last = params.pop("Conv3D_3")
        params["Projection_0"] = {"Dense_0": {**last, "kernel": last["kernel"].reshape(-1, 1)}}
        variables = {**variables, "params": params}
        (logits, _), changed = module.apply(variables, volumes, train, mutable=["batch_stats"])
        return logits, changed["batch_stats"] if train else {}

    assert_same_network(apply, model, VOLUMES, {"Conv3D": "Conv3D"})


def judged(module, label=None, **options):
    variables = filled(jax.eval_shape(module.init, jax.random.key(0), VOLUMES, label=label))
    return module.apply(variables, VOLUMES, label=label, **options)


def test_each_stage_can_be_looked_at():
    (logits, features), kept = judged(networks.Discriminator(channels=(4, 8, 8)), mutable=["intermediates"])
    shapes = {name: maps.shape for name, (maps,) in kept["intermediates"].items()}
    assert shapes == {"stage_0": (2, 16, 16, 16, 4), "stage_1": (2, 8, 8, 8, 8), "stage_2": (2, 4, 4, 4, 8)}
    assert logits.shape == (2, 1)
    assert features.shape == (2, 8 * 64)


@pytest.mark.parametrize(
    "options", [{"norm": "instance"}, {"norm": "none"}, {"spectral_norm": True}, {"minibatch_discrimination": True}]
)
def test_switches_of_the_discriminator_change_its_verdicts(options):
    plain, changed = (judged(networks.Discriminator(channels=(4, 4, 4), **o))[0] for o in ({}, options))
    assert changed.shape == plain.shape
    assert np.isfinite(changed).all()
    assert not np.allclose(plain, changed)


def test_labels_steer_both_networks():
    def made(label):
        module = networks.Generator((8, 8, 8, 1), classes=3, channels=(4,))
        variables = filled(jax.eval_shape(module.init, jax.random.key(0), LATENTS, label=label))
        return module.apply(variables, LATENTS, label=label)

    module = networks.Discriminator(classes=3, channels=(4, 4, 4))
    for function in (made, lambda label: judged(module, label)[0]):
        one, other = function(jnp.array([0, 1])), function(jnp.array([0, 2]))
        np.testing.assert_array_equal(one[0], other[0])
        assert not np.array_equal(one[1], other[1])


def test_shapes_that_the_channels_do_not_make():
    with pytest.raises(ValueError, match="with 4 channels.* volumes are 64x64x64"):
        jax.eval_shape(networks.Generator((32, 32, 32, 1)).init, jax.random.key(0), LATENTS)
    with pytest.raises(ValueError, match="with 2 channels.* volumes are 16x16x16"):
        jax.eval_shape(networks.Discriminator(channels=(4, 4)).init, jax.random.key(0), VOLUMES)
