"""Blocks that several families share. Images are [batch, height, width, channels]."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

# Keras' defaults, which the documents' networks are written in.
keras_conv = functools.partial(nn.Conv, padding="SAME", kernel_init=nn.initializers.glorot_uniform())
keras_dense = functools.partial(nn.Dense, kernel_init=nn.initializers.glorot_uniform())
keras_norm = functools.partial(nn.BatchNorm, momentum=0.99, epsilon=1e-3)


def leaky_relu(x: jax.Array) -> jax.Array:
    """LeakyReLU with the slope 0.2 that GANs use (Radford et al. 2015, arXiv 1511.06434), not Flax's 0.01."""
    return nn.leaky_relu(x, 0.2)


def average_pool(x: jax.Array) -> jax.Array:
    """Mean over 2x2 blocks: [batch, height, width, channels] -> [batch, height / 2, width / 2, channels]."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def space_to_depth(x: jax.Array) -> jax.Array:
    """2x2 blocks of pixels into channels: [batch, height, width, c] -> [batch, height / 2, width / 2, 4 c]."""
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, height // 2, width // 2, 4 * channels)


def depth_to_space(x: jax.Array) -> jax.Array:
    """The inverse of `space_to_depth`: [batch, height, width, 4 c] -> [batch, 2 height, 2 width, c]."""
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height, width, 2, 2, channels // 4).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, 2 * height, 2 * width, channels // 4)


def upsample(x: jax.Array) -> jax.Array:
    """Nearest-neighbour upsampling by 2: [batch, height, width, channels] -> [batch, 2 height, 2 width, channels]."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
