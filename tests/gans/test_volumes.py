import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gans import volumes

DIMENSIONS = ("NDHWC", "DHWIO", "NDHWC")
# (batch, sides, channels, features)
SHAPES = [(1, (8, 12, 8), 9, 8), (2, (8, 8, 8), 1, 8), (2, (6, 8, 4), 2, 3), (1, (4, 4, 4), 8, 8)]


def draw(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def halved_by_xla(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (2, 2, 2), "SAME", dimension_numbers=DIMENSIONS)


def doubled_by_xla(x, kernel):
    return jax.lax.conv_transpose(x, kernel, (2, 2, 2), "SAME", dimension_numbers=DIMENSIONS, transpose_kernel=True)


def assert_near(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.shape == other.shape
        assert np.abs(one - other).max() <= 1e-5 * np.abs(other).max()


def everything(function, x, kernel, weights):
    """Values, gradients, and the gradients of a gradient penalty, all in x and the kernel."""

    def loss(x, kernel):
        # Not linear, so that the gradients depend on both.
        return (jnp.tanh(function(x, kernel)) * weights).sum()

    def penalty(x, kernel):
        return jnp.square(jax.grad(loss)(x, kernel)).sum()

    return (
        function(x, kernel),
        jax.grad(loss, (0, 1))(x, kernel),
        jax.grad(penalty, (0, 1))(x, kernel),
    )


def sample(batch, sides, channels, features):
    """A large map, a kernel from it to a small map of half the sides, and a small map."""
    half = [side // 2 for side in sides]
    kernel = draw(1, 4, 4, 4, channels, features) / (8 * channels**0.5)
    return draw(0, batch, *sides, channels), kernel, draw(2, batch, *half, features)


@pytest.mark.parametrize("shape", SHAPES)
def test_halving_is_xlas_convolution_to_the_second_derivative(shape):
    large, kernel, small = sample(*shape)
    found, expected = (
        jax.jit(everything, static_argnums=0)(f, large, kernel, small) for f in (volumes.halve, halved_by_xla)
    )
    assert_near(found, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_doubling_is_xlas_transposed_convolution_to_the_second_derivative(shape):
    large, kernel, small = sample(*shape)
    found, expected = (
        jax.jit(everything, static_argnums=0)(f, small, kernel, large) for f in (volumes.double, doubled_by_xla)
    )
    assert_near(found, expected)


def test_each_platform_has_its_form(monkeypatch):
    def windows(function, x):
        """The strides of each convolution in a program."""
        traced = str(jax.make_jaxpr(lambda *args: function(*args))(x, kernel))  # JAX remembers traces of one function
        return re.findall(r"window_strides=\((.*)\)", traced)

    large, kernel, small = sample(*SHAPES[0])
    assert windows(volumes.halve, large) == 3 * ["2, 2"]
    assert set(windows(volumes.double, small)) == {"2, 2", "1, 1"}
    monkeypatch.setattr(volumes, "planes", lambda: False)
    for function, reference, x in ((volumes.halve, halved_by_xla, large), (volumes.double, doubled_by_xla, small)):
        assert {window.count(",") for window in windows(function, x)} == {2}
        assert_near(function(x, kernel), reference(x, kernel))


def test_a_population_of_kernels_is_mapped():
    x, kernel, _ = sample(*SHAPES[1])
    kernels = jnp.stack([kernel, 2 * kernel])
    both = jax.vmap(volumes.halve, (None, 0))(x, kernels)
    assert_near(both, jnp.stack([halved_by_xla(x, kernel), 2 * halved_by_xla(x, kernel)]))


@pytest.mark.parametrize(
    ("module", "reference", "sides"),
    [
        (volumes.Conv3D(5), nn.Conv(5, (4, 4, 4), 2), (8, 8, 8)),
        (volumes.Conv3D(5, stride=1), nn.Conv(5, (4, 4, 4), padding="VALID"), (4, 4, 4)),
        (volumes.ConvTranspose3D(5), nn.ConvTranspose(5, (4, 4, 4), (2, 2, 2), transpose_kernel=True), (4, 4, 4)),
        (
            volumes.ConvTranspose3D(5, stride=1),
            nn.ConvTranspose(5, (4, 4, 4), padding="VALID", transpose_kernel=True),
            (1, 1, 1),
        ),
    ],
)
def test_layers_have_flax_own_parameters_and_values(module, reference, sides):
    x = draw(0, 2, *sides, 3)
    variables = module.init(jax.random.key(1), x)
    variables = jax.tree.map(lambda leaf: leaf + 0.1, variables)  # a bias that counts
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, reference.init(jax.random.key(1), x))
    assert_near(module.apply(variables, x), reference.apply(variables, x))


@pytest.mark.parametrize(
    ("module", "sides", "message"),
    [
        (volumes.Conv3D(5), (8, 7, 8), "8 x 7 x 8 cannot be halved"),
        (volumes.Conv3D(5, stride=1), (8, 8, 8), "for volumes of 4x4x4"),
        (volumes.ConvTranspose3D(5, stride=1), (4, 4, 4), "for volumes of 1x1x1"),
        (volumes.ConvTranspose3D(5, stride=3), (4, 4, 4), "stride is 3; it must be 1 or 2"),
    ],
)
def test_volumes_that_do_not_fit(module, sides, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, *sides, 3)))
