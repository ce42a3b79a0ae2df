"""Convolutions with fewer products beside XLA's own."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from gans import layers, thin, winograd
from gans.convolution import same
from tests.gans.derivatives import draw, everything


@pytest.mark.parametrize("shape", [(2, 2, 2, 3, 5), (3, 6, 4, 5, 3), (4, 8, 8, 2, 2)])
def test_values_and_derivatives_are_xlas_own(shape):
    *images, features = shape
    x, kernel = draw(0, *images), draw(1, 3, 3, images[-1], features) / 3
    found, expected = (everything(function, x, kernel) for function in (winograd.convolve, thin.convolve))
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_many_channels_are_as_exact():
    x, kernel = draw(0, 12, 16, 12, 256), draw(1, 3, 3, 256, 128) / 48
    assert winograd.worthwhile(x, kernel)
    np.testing.assert_allclose(same(x, kernel), thin.convolve(x, kernel), atol=1e-5)


def test_batches_are_cut_where_they_fit():
    x, kernel = draw(0, 7, 32, 32, 128), draw(1, 3, 3, 128, 256) / 34  # of 2 that would fit none divides 7
    np.testing.assert_allclose(same(x, kernel), thin.convolve(x, kernel), atol=1e-5)


def test_it_runs_under_vmap():
    x, kernel = draw(0, 2, 2, 4, 4, 3), draw(1, 2, 3, 3, 3, 5)
    found = jax.vmap(winograd.convolve)(x, kernel)
    np.testing.assert_allclose(found, jax.vmap(thin.convolve)(x, kernel), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "size", "features", "dtype", "expected"),
    [
        ((16, 16, 16, 128), 3, 128, "float32", True),
        ((1, 64, 64, 128), 3, 64, "float32", False),
        ((16, 16, 16, 128), 5, 128, "float32", False),
        ((16, 16, 16, 128), 3, 128, "bfloat16", False),
        ((16, 15, 16, 128), 3, 128, "float32", False),
        ((4, 128, 128, 128), 3, 128, "float32", False),  # not even one image fits the cache
        ((1, 16, 16, 128), 3, 128, "float32", False),
    ],
)
def test_it_is_chosen_where_it_is_faster(shape, size, features, dtype, expected):
    x = jax.ShapeDtypeStruct(shape, dtype)
    assert winograd.worthwhile(x, jax.ShapeDtypeStruct((size, size, shape[3], features), dtype)) is expected


def programs(module, x):
    """Names of the operations that a layer on images is made of."""
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    return str(jax.make_jaxpr(module.apply)(variables, x))


def test_layers_take_it_and_keep_xlas_own_elsewhere(monkeypatch):
    x = jax.ShapeDtypeStruct((16, 16, 16, 128), "float32")
    conv = layers.keras_conv(128, (3, 3))
    assert "conv_general_dilated" not in programs(conv, x)
    assert "conv_general_dilated" in programs(layers.keras_conv(128, (3, 3), strides=2), x)
    assert "conv_general_dilated" in programs(layers.keras_conv(128, (3, 3), padding="VALID"), x)
    assert "conv_general_dilated" in programs(layers.keras_conv(128, (3, 3), precision="highest"), x)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "conv_general_dilated" in programs(conv, x)


def test_a_layer_of_many_channels_is_flax_own():
    x = draw(0, 16, 16, 16, 128)
    module = layers.keras_conv(128, (3, 3))
    variables = module.init(jax.random.key(1), x)
    np.testing.assert_allclose(module.apply(variables, x), nn.Conv(128, (3, 3)).apply(variables, x), atol=1e-4)
