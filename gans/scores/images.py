"""How close pictures are to their originals: PSNR, SSIM and LPIPS, and what they are taken of.

Pictures are [batch, height, width, channels] in [-1, 1] everywhere here, luma too; scores are [batch]. Jitted or not.
The literature's PSNR on Y without a border is `psnr(*(crop_border(luma(images), 4) for images in (a, b)))`.
"""

from collections.abc import Mapping
from typing import Any

import dm_pix
import jax
import jax.numpy as jnp

from gans.frozen import vgg

# relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3 of VGG-16.
LPIPS_LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")
_SSIM_WINDOW = 11
# What R, G and B in [0, 1] add to Y in 16..235: ITU-R BT.601, as in MATLAB's rgb2ycbcr.
_LUMA = (65.481, 128.553, 24.966)


def _in_unit_range(a, b):
    if a.ndim != 4 or a.shape != b.shape:
        raise ValueError(f"pictures must be [batch, height, width, channels] both, not {a.shape} and {b.shape}.")
    if not all(jnp.issubdtype(images.dtype, jnp.floating) for images in (a, b)):
        raise ValueError(f"pictures must be floats in [-1, 1], not {a.dtype} and {b.dtype}.")
    return a / 2 + 0.5, b / 2 + 0.5


def psnr(a: jax.Array, b: jax.Array) -> jax.Array:
    """Peak signal-to-noise ratio in dB, [batch]; the peak is the whole range, 255 of 8-bit pixels.

    Infinite for equal pictures. Nothing is rounded or clipped.

    Raises:
      ValueError: for pictures of different shapes, or of integers.
    """
    return dm_pix.psnr(*_in_unit_range(a, b))


def ssim(a: jax.Array, b: jax.Array) -> jax.Array:
    """Structural similarity, at most 1, [batch]: Wang et al. 2004, doi 10.1109/TIP.2003.819861.

    The window is a Gaussian of deviation 1.5 on 11x11 pixels that stays inside the picture; the mean over its positions
    and over the channels.

    Raises:
      ValueError: for pictures of different shapes, of integers, or smaller than the window.
    """
    if min(a.shape[1:3]) < _SSIM_WINDOW:
        raise ValueError(f"SSIM needs pictures of {_SSIM_WINDOW}x{_SSIM_WINDOW} or more, not {a.shape}.")
    return dm_pix.ssim(*_in_unit_range(a, b), filter_size=_SSIM_WINDOW)


def luma(images: jax.Array) -> jax.Array:
    """Y of RGB pictures: [batch, height, width, 3] to [batch, height, width, 1], in [-1, 1] for 0..255.

    ITU-R BT.601 in studio range, Y from 16 (black) to 235 (white), not rounded: MATLAB's rgb2ycbcr of floats, which the
    super-resolution literature scores. Black is -0.8745 and white 0.8431 here.
    """
    return (16 + (images / 2 + 0.5) @ jnp.asarray(_LUMA, images.dtype)[:, None]) / 127.5 - 1


def crop_border(images: jax.Array, pixels: int) -> jax.Array:
    """Pictures [batch, height, width, channels] without so many pixels at each side.

    Raises:
      ValueError: if nothing would be left.
    """
    height, width = images.shape[1:3]
    if not 0 <= 2 * pixels < min(height, width):
        raise ValueError(f"a border of {pixels} pixels cannot be cut off pictures of {height}x{width}.")
    return images[:, pixels : height - pixels, pixels : width - pixels]


def lpips(trunk_variables: Mapping[str, Any], heads: Mapping[str, jax.Array], a: jax.Array, b: jax.Array) -> jax.Array:
    """Learned perceptual distance, [batch], 0 for equal pictures: Zhang et al. 2018, arXiv 1801.03924, equation 1.

    Version 0.1 on VGG-16: features of five layers, each position's vector of length one; the squared differences,
    weighted by channel, are averaged over positions and added up.

    Args:
      trunk_variables: of VGG-16, see `vgg.features`; the published heads belong to torchvision's weights.
      heads: {layer: weights [filters] of its channels} for each of `LPIPS_LAYERS`.
      a, b: pictures [batch, height, width, 3] in [-1, 1], of 16x16 or larger.

    Raises:
      ValueError: as `vgg.features`, or for pictures of different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"pictures must have one shape, not {a.shape} and {b.shape}.")
    seen_a, seen_b = (vgg.features(trunk_variables, images, LPIPS_LAYERS) for images in (a, b))
    distances = [
        jnp.square(_unit_length(seen_a[layer]) - _unit_length(seen_b[layer])).mean((1, 2)) @ heads[layer]
        for layer in LPIPS_LAYERS
    ]
    return sum(distances)


def _unit_length(x):
    # The sum under the root keeps the slope finite where all channels are 0.
    return x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-20)
