"""Convolutions to and from few channels beside XLA's own."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gans import layers, thin
from tests.gans.derivatives import draw, everything


def plain(x, kernel):
    return nn.Conv(kernel.shape[3], kernel.shape[:2], use_bias=False).apply({"params": {"kernel": kernel}}, x)


def ours(x, kernel):
    module = layers.keras_conv(kernel.shape[3], kernel.shape[:2], use_bias=False)
    return module.apply({"params": {"kernel": kernel}}, x)


def up(x, kernel):
    module = layers.UpsampleConv(kernel.shape[3], len(kernel))
    return module.apply({"params": {"kernel": kernel, "bias": jnp.zeros(kernel.shape[3])}}, x)


def plain_up(x, kernel):
    return plain(x.repeat(2, 1).repeat(2, 2), kernel)


@pytest.mark.parametrize(
    ("function", "reference", "size", "channels", "features"),
    [
        (ours, plain, 3, 9, 1),
        (ours, plain, 5, 10, 3),
        (ours, plain, 3, 1, 9),
        (ours, plain, 5, 3, 10),
        (up, plain_up, 3, 4, 1),
        (up, plain_up, 5, 4, 3),
    ],
)
def test_values_and_derivatives_are_xlas_own(function, reference, size, channels, features):
    x, kernel = draw(0, 2, 6, 8, channels), draw(1, size, size, channels, features) / size
    found, expected = (jax.jit(everything, static_argnums=0)(f, x, kernel) for f in (function, reference))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * float(jnp.abs(other).max()))


@pytest.mark.parametrize("phases", [thin.taps(3), thin.upsampled(5), thin.upsampled(3)])
def test_spreading_is_the_adjoint_of_overlapping(phases):
    taps = 1 + max(tap for phase in phases for tap, _ in phase)
    products, x = draw(0, 2, 5, taps, 3), draw(1, 2, 5 * len(phases), 3)
    np.testing.assert_allclose(
        jnp.vdot(thin.overlap(products, 1, phases), x), jnp.vdot(products, thin.spread(x, 1, phases)), rtol=1e-4
    )


def test_which_convolutions_are_products(monkeypatch):
    def products(channels, features, size=3, stride=1):
        x, kernel = jnp.zeros((1, 6, 6, channels)), jnp.zeros((size, size, channels, features))
        module = layers.keras_conv(features, (size, size), stride, use_bias=False)
        traced = str(jax.make_jaxpr(lambda x: module.apply({"params": {"kernel": kernel}}, x))(x))
        return not re.search("conv_general_dilated", traced)

    assert products(16, 3)
    assert not any((products(16, 16), products(3, 16), products(3, 3), products(16, 3, 2), products(16, 3, 3, 2)))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not products(16, 3)
