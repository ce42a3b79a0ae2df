"""What tests of functions of an image and a kernel compare."""

import jax
import jax.numpy as jnp


def draw(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def everything(function, x, kernel):
    """Values, gradients, and the gradients of a gradient penalty."""

    def bent(x, kernel):
        return jnp.sin(function(x, kernel)).sum()

    def penalty(x, kernel):
        return sum(jnp.square(gradient).sum() for gradient in jax.grad(bent, (0, 1))(x, kernel))

    return function(x, kernel), jax.grad(bent, (0, 1))(x, kernel), jax.grad(penalty, (0, 1))(x, kernel)
