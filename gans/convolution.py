"""Convolutions of images in the form that is fastest for their shapes."""

import jax
from jax import lax

from gans import thin, winograd


def convolution(x: jax.Array, kernel: jax.Array, strides, padding, **settings) -> jax.Array:
    """`jax.lax.conv_general_dilated` of images, for Flax: nn.Conv(..., conv_general_dilated=convolution).

    On the CPU, "same" convolutions to or from few channels have their values or their gradients from `gans.thin`, and
    those between many from `gans.winograd`.
    """
    ones = {*strides, *settings["lhs_dilation"], *settings["rhs_dilation"], settings["feature_group_count"]}
    if ones != {1} or padding != "SAME" or settings["precision"] is not None:
        return lax.conv_general_dilated(x, kernel, strides, padding, **settings)
    return same(x, kernel)


def same(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution with stride 1 and "same" padding.

    Args:
      x: [batch, height, width, channels].
      kernel: [height, width, channels, features].

    Returns:
      [batch, height, width, features].
    """
    if thin.worthwhile(kernel):
        return thin.same(x, kernel)
    return winograd.convolve(x, kernel) if winograd.worthwhile(x, kernel) else thin.convolve(x, kernel)
