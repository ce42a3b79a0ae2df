"""Operations counted by hand."""

import jax
import jax.numpy as jnp
import pytest

from experiments.work import products
from gans import thin


def zeros(*shape):
    return jax.ShapeDtypeStruct(shape, "float32")


def test_products_of_matrices():
    assert products(jnp.matmul, zeros(5, 2, 3), zeros(5, 3, 7)) == 2 * 5 * 2 * 3 * 7


@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions(stride):
    found = products(lambda x, kernel: thin.convolve(x, kernel, stride=stride), zeros(2, 8, 6, 4), zeros(3, 5, 4, 7))
    assert found == 2 * (2 * 8 * 6 * 7 // stride**2) * (3 * 5 * 4)


def test_gradients_of_convolutions_count_as_much():
    def loss(x, kernel):
        return jnp.square(thin.convolve(x, kernel)).sum()

    arrays = zeros(2, 8, 6, 4), zeros(3, 3, 4, 7)
    value = products(loss, *arrays)
    assert products(jax.grad(loss, (0, 1)), *arrays) == 3 * value


def test_grouped_convolutions():
    def grouped(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=4)

    assert products(grouped, zeros(2, 8, 6, 8), zeros(3, 3, 2, 4)) == 2 * (2 * 8 * 6 * 4) * (9 * 2)


def test_scans_count_as_often_as_they_run():
    def scanned(x, y):
        return jax.lax.scan(lambda carry, _: (carry @ y, None), x, None, length=6)[0]

    assert products(jax.jit(scanned), zeros(2, 3), zeros(3, 3)) == 6 * 2 * 2 * 3 * 3


def test_of_branches_the_larger_one_counts():
    def either(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x, lambda x: x @ x @ x, x)

    assert products(either, zeros(4, 4)) == 2 * 2 * 4**3


def test_functions_with_derivatives_of_their_own_are_seen_through():
    x, kernel = zeros(2, 6, 6, 16), zeros(3, 3, 16, 1)
    assert products(lambda x, kernel: thin.to_few(x, kernel, thin.taps(3)), x, kernel) == 2 * 72 * 16 * 9


def test_what_nobody_asks_for_does_not_count():
    def unused(x):
        x @ x @ x
        return x @ x

    assert products(unused, zeros(4, 4)) == 2 * 4**3
