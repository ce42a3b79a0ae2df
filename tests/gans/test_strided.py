import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gans import layers, strided, thin

IMAGES = jax.random.normal(jax.random.key(0), (2, 6, 8, 3))
SIZES = (3, 4, 5)


@pytest.mark.parametrize("size", SIZES)
def test_the_layers_are_flaxs_own(size):
    for module, reference in (
        (layers.HalvingConv(4, size), nn.Conv(4, (size, size), 2)),
        (layers.ConvTranspose(4, size), nn.ConvTranspose(4, (size, size), (2, 2), transpose_kernel=True)),
    ):
        variables = module.init(jax.random.key(1), IMAGES)
        variables = jax.tree.map(lambda leaf: leaf + 0.1, variables)  # a bias that counts
        expected = reference.init(jax.random.key(1), IMAGES)
        assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, expected)
        np.testing.assert_allclose(
            module.apply(variables, IMAGES), reference.apply(variables, IMAGES), rtol=1e-5, atol=1e-5
        )


def plain_halve(x, kernel):
    return nn.Conv(kernel.shape[3], kernel.shape[:2], 2, use_bias=False).apply({"params": {"kernel": kernel}}, x)


def plain_double(y, kernel):
    large = jax.ShapeDtypeStruct((len(y), 2 * y.shape[1], 2 * y.shape[2], kernel.shape[2]), y.dtype)
    return jax.linear_transpose(lambda x: plain_halve(x, kernel), large)(y)[0]


@pytest.fixture(params=[0, thin.FEW], ids=["convolutions", "products"])
def few(request, monkeypatch):
    """To how many channels `double` is a product of matrices."""
    monkeypatch.setattr(thin, "FEW", request.param)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "pair", [(strided.halve, plain_halve), (strided.double, plain_double)], ids=["halve", "double"]
)
def test_derivatives_of_first_and_second_order_are_those_of_the_plain_form(size, pair):
    kernel = jax.random.normal(jax.random.key(1), (size, size, 3, 3))

    def slopes(function):
        def bent(x, kernel):
            return jnp.sin(function(x, kernel)).sum()

        def penalty(x, kernel):
            return sum(jnp.square(gradient).sum() for gradient in jax.grad(bent, (0, 1))(x, kernel))

        return jax.grad(bent, (0, 1))(IMAGES, kernel), jax.grad(penalty, (0, 1))(IMAGES, kernel)

    for ours, plain in zip(jax.tree.leaves(slopes(pair[0])), jax.tree.leaves(slopes(pair[1])), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5 * float(jnp.abs(plain).max()))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("size", SIZES)
def test_the_form_of_other_platforms_is_the_same(size, monkeypatch):
    kernel = jax.random.normal(jax.random.key(1), (size, size, 4, 3))
    phases = strided.double(IMAGES, kernel)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    np.testing.assert_allclose(strided.double(IMAGES, kernel), phases, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("sides", [(5, 8), (6, 7), (5, 7)])
@pytest.mark.parametrize("size", SIZES)
def test_odd_sides_are_halved_upwards(size, sides):
    kernel, images = jax.random.normal(jax.random.key(1), (size, size, 3, 4)), IMAGES[:, : sides[0], : sides[1]]
    ours, plain = (
        jax.value_and_grad(lambda x, halve=halve: jnp.sin(halve(x, kernel)).sum())(images)
        for halve in (strided.halve, plain_halve)
    )
    assert strided.halve(images, kernel).shape == (2, 3, 4, 4)
    np.testing.assert_allclose(ours[0], plain[0], rtol=1e-4)
    np.testing.assert_allclose(ours[1], plain[1], rtol=1e-4, atol=1e-5 * float(jnp.abs(plain[1]).max()))


def test_members_of_a_population_have_kernels_of_their_own():
    kernels = jax.random.normal(jax.random.key(1), (3, 5, 5, 3, 4))
    together = jax.vmap(jax.grad(lambda kernel: jnp.sin(strided.halve(IMAGES, kernel)).sum()))(kernels)
    for one, kernel in zip(together, kernels, strict=True):
        alone = jax.grad(lambda kernel: jnp.sin(strided.halve(IMAGES, kernel)).sum())(kernel)
        np.testing.assert_allclose(one, alone, rtol=1e-4, atol=1e-5)


def test_sizes_that_do_not_exist_are_told():
    with pytest.raises(ValueError, match="size is 6; it must be 3, 4 or 5"):
        layers.HalvingConv(4, 6).init(jax.random.key(0), IMAGES)
    with pytest.raises(ValueError, match="size is 2; it must be 3, 4 or 5"):
        layers.ConvTranspose(4, 2).init(jax.random.key(0), IMAGES)
