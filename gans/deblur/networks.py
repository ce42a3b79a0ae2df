"""Networks that remove blur from pictures, and those that tell restored pictures from sharp ones.

A generator takes pictures [batch, height, width, 3] in [-1, 1] with sides divisible by 8 and returns them in the same
size; what it makes of a pixel depends on those within `reach` pixels of it alone. Discriminators return a map of logits
and the features before it.
"""

import functools
import math

import flax.linen as nn
import jax.numpy as jnp

from gans.convolution import convolution
from gans.layers import HalvingConv, constrained, depth_to_space, keras_conv, keras_dense, leaky_relu, space_to_depth

he_normal = nn.initializers.he_normal()
# So that a deep network starts as a shallow one: Zhang et al. 2019, arXiv 1901.09321.
small = nn.initializers.variance_scaling(0.01, "fan_in", "normal")


def detail(key, shape, dtype=jnp.float32):
    """Filters of folded pixels, [height, width, 4 * colours, filters]: he_normal, but most are blind for brightness.

    In a photograph brightness has many times the contrast of its finest detail, which is all that blur takes away. So
    three quarters of the filters sum to 0 in each colour, and are strong.
    """
    height, width, folded, filters = shape
    kernel = he_normal(key, shape, dtype)
    pixels = kernel.reshape(height, width, 4, folded // 4, filters)
    blind = 8 * (pixels - pixels.mean((0, 1, 2), keepdims=True)).reshape(shape)
    return jnp.where(jnp.arange(filters) < filters * 3 // 4, blind, kernel)


class ResidualBlock(nn.Module):
    """x + conv3(relu(conv3(x))), without normalisation (Lim et al. 2017, arXiv 1707.02921)."""

    @nn.compact
    def __call__(self, x):
        conv = functools.partial(nn.Conv, x.shape[-1], (3, 3), conv_general_dilated=convolution)
        return x + conv(kernel_init=small)(nn.relu(conv(kernel_init=he_normal)(x)))


class Generator(nn.Module):
    """What is missing in the picture is added to it, as in DeblurGAN (Kupyn et al. 2018, arXiv 1711.07064, figure 3).

    A U-Net (arXiv 1505.04597) on folded pixels: no convolution works at full resolution, the levels are at a half, a
    quarter and an eighth of it. Without normalisation, so that a part of a picture comes out as it does in the whole.

    Attributes:
      channels: at a half, a quarter and an eighth of the resolution.
      blocks: residual blocks at an eighth; on each side of it there are half as many at a quarter, and one at a half. A
        pixel sees 16 pixels further to each side for each of them, and 8 for each at a quarter: with 6 blocks 150
        pixels or more, enough for kernels of 31 and for what they smear.
    """

    channels: tuple[int, int, int] = (32, 64, 128)
    blocks: int = 6
    multiple = 8  # what the sides of pictures must be divisible by

    @property
    def reach(self) -> int:
        """How many pixels of the source beyond its own a restored pixel can see, to each side."""
        quarter = math.ceil(3 / 2) + 2 * (self.blocks // 2)  # 3 convolutions at a half
        eighth = math.ceil(quarter / 2) + 2 * self.blocks
        quarter = 2 * eighth + 1 + 2 * (self.blocks // 2)
        half = 2 * quarter + 1 + 3
        return 2 * half + 1

    @nn.compact
    def __call__(self, source, train: bool = False):
        del train  # nothing here differs
        fine, middle, coarse = self.channels
        dense = functools.partial(nn.Dense, kernel_init=he_normal)

        def through(x, blocks):
            for _ in range(blocks):
                x = ResidualBlock()(x)
            return x

        half = through(nn.Conv(fine, (3, 3), kernel_init=detail)(space_to_depth(source)), 1)
        quarter = through(dense(middle)(space_to_depth(half)), self.blocks // 2)
        eighth = through(dense(coarse)(space_to_depth(quarter)), self.blocks)
        quarter = through(quarter + depth_to_space(dense(4 * middle)(eighth)), self.blocks // 2)
        half = through(half + depth_to_space(dense(4 * fine)(quarter)), 1)
        # No ReLU before it: one that dies here would stop all learning.
        missing = nn.Conv(12, (3, 3), kernel_init=nn.initializers.zeros)(half)
        return source + depth_to_space(missing)


class Discriminator(nn.Module):
    """Verdicts on overlapping parts of a picture (PatchGAN: Isola et al. 2017, arXiv 1611.07004, section 3.2.2).

    Sides divisible by 2 for each stage. Without normalisation, so that any penalty goes with it.

    Attributes:
      channels: of each stage, a 4x4 convolution that halves the sides.
      spectral_norm: see `gans.layers.constrained`.
    """

    channels: tuple[int, ...] = (32, 64, 128, 256)
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = images
        for filters in self.channels:
            x = leaky_relu(constrained(HalvingConv(filters, 4), self.spectral_norm, train)(x))
        features = leaky_relu(constrained(keras_conv(self.channels[-1], (3, 3)), self.spectral_norm, train)(x))
        return constrained(keras_dense(1), self.spectral_norm, train)(features), features
