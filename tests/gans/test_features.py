import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from gans import core, dcgan, features, inpainting, vanilla
from gans.dcgan.networks import Discriminator
from tests.gans.filled import filled

KEY = jax.random.key(0)
OPTIMIZERS = {"adversarial": {"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.1)}}
RESIDUAL = {"channels": (8, 4), "blocks": 1, "groups": 1}


def state_of(gan):
    return filled(jax.eval_shape(gan.init, KEY, gan.inputs(2)))


def images_of(shape, count=3):
    return np.random.default_rng(0).uniform(-1, 1, (count, *shape)).astype(np.float32)


def test_the_largest_of_each_cell():
    x = np.random.default_rng(0).standard_normal((2, 8, 7, 3)).astype(np.float32)
    found = features.grid_max(x)
    assert found.shape == (2, 4, 4, 3)
    np.testing.assert_array_equal(found[:, 1, 0], x[:, 2:4, 0:2].max((1, 2)))
    np.testing.assert_array_equal(found[:, 3, 1], x[:, 6:8, 1:4].max((1, 2)))  # from 7/4 to 14/4
    np.testing.assert_array_equal(features.grid_max(x[:, :2, :3]), x[:, :2, :3])


def test_the_largest_of_each_cell_of_a_volume():
    x = np.random.default_rng(0).standard_normal((2, 4, 6, 5, 3)).astype(np.float32)
    found = features.grid_max(x, 2)
    assert found.shape == (2, 2, 2, 2, 3)
    np.testing.assert_array_equal(found[:, 1, 0, 1], x[:, 2:4, 0:3, 2:5].max((1, 2, 3)))


def test_volumes_are_seen_by_all_layers_but_the_first():
    class Discriminator(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            for stage, filters in enumerate((2, 3, 4)):
                x = nn.Conv(filters, (4, 4, 4), strides=2)(x)
                self.sow("intermediates", f"stage_{stage}", x)
            return x.mean((1, 2, 3, 4)), x

    images = np.random.default_rng(0).uniform(size=(2, 32, 32, 32, 1)).astype(np.float32)
    player = core.new_player(Discriminator().init(KEY, images))
    found = features.of_discriminator(Discriminator(), player, images)
    assert {name: leaf.shape for name, leaf in found.items()} == {"stage_1": (2, 8 * 3), "stage_2": (2, 8 * 4)}


def test_features_are_those_of_the_convolutions_in_inference_mode():
    options = {"channels": (4, 8), "dropout": 0.5, "spectral_norm": True}
    gan = dcgan.make(OPTIMIZERS, image_shape=(16, 16, 1), discriminator_options=options)
    state, images = state_of(gan), images_of((16, 16, 1))
    found = jax.jit(gan.features)(state, {"image": images})
    assert {name: leaf.shape for name, leaf in found.items()} == {"stage_0": (3, 16 * 4), "stage_1": (3, 16 * 8)}
    variables = core.variables(state.players["discriminator"])
    _, last = jax.jit(Discriminator(channels=(4, 8), spectral_norm=True).apply)(variables, images)
    np.testing.assert_allclose(found["stage_1"], last, rtol=1e-5)  # 4x4 maps need no pooling


@pytest.mark.parametrize(
    ("make", "settings", "shape", "sizes"),
    [
        (
            dcgan.make,
            {"discriminator": "ResidualDiscriminator", "discriminator_options": RESIDUAL, "classes": 3},
            (8, 8, 1),
            {"stage_0": 64, "stage_1": 128},
        ),
        (
            dcgan.make,
            {"discriminator": "DocumentDiscriminator"},
            (64, 64, 3),
            {"stage_0": 16 * 128, "stage_1": 16 * 256, "stage_2": 16 * 512},
        ),
        (vanilla.make, {"discriminator_options": {"hidden": (8, 5)}, "classes": 3}, (8, 8, 1), {"features": 5}),
        (inpainting.make, {}, (8, 8, 1), {"stage_0": 16 * 32, "stage_1": 4 * 64, "stage_2": 4 * 64}),
        (
            inpainting.make,
            {"discriminator": "Discriminator"},
            (16, 16, 1),
            {"stage_0": 16 * 64, "stage_1": 16 * 128, "stage_2": 16 * 256},
        ),
    ],
)
def test_sizes_of_every_discriminator(make, settings, shape, sizes):
    gan = make(OPTIMIZERS, image_shape=shape, **settings)
    state = jax.eval_shape(gan.init, KEY, gan.inputs(2))
    found = jax.eval_shape(gan.features, state, {"image": jax.ShapeDtypeStruct((2, *shape), jnp.float32)})
    assert {name: leaf.shape for name, leaf in found.items()} == {name: (2, size) for name, size in sizes.items()}


def test_no_label_gets_into_the_features():
    gan = vanilla.make(OPTIMIZERS, image_shape=(8, 8, 1), classes=3, discriminator_options={"hidden": (8,)})
    state, images = state_of(gan), images_of((8, 8, 1))
    one, other = (
        gan.features(state, {"image": images, "label": jnp.array(labels)}) for labels in ([0, 1, 2], [2, 2, 0])
    )
    np.testing.assert_array_equal(one["features"], other["features"])
    assert np.ptp(one["features"], axis=0).max() > 0


def test_nobody_pays_for_maps_that_nobody_asks_for():
    gan = dcgan.make(OPTIMIZERS, image_shape=(8, 8, 1))
    state = jax.eval_shape(gan.init, KEY, gan.inputs(2))
    assert "intermediates" not in state.players["discriminator"].stats
