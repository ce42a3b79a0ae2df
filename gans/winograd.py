"""3x3 convolutions of images between many channels with 2.25 times fewer products, for the CPU.

F(2x2, 3x3) of Lavin and Gray 2015, arXiv 1509.09308, section 4.1: each 2x2 pixels of the result come from 4x4 of the
image, which are mixed, multiplied by the mixed kernel in 16 products of matrices, and mixed again. A part of the batch
at a time, small enough to stay in the cache on its way.

Beside XLA's own convolution, JAX 0.10.2, how much faster on one core and on two: 8 maps of 64x64x128 to 128 features
1.45 and 1.47, 8 of 32x32x128 to 256 1.7 and 1.55, 8 of 32x32x256 to 256 1.8 and 1.7, 64 of 8x8x256 to 256 1.8 and 1.6,
16 of 12x12x512 to 512 1.7 and 1.6. With 64 channels it is slower. Those with parts of half the size; with the present
ones a step of deblurring takes 0.95 to 0.99 of the time, one of SRGAN 0.97.
"""

import jax
import jax.numpy as jnp
from jax import lax

from gans import thin
from gans.bilinear import closed
from gans.strided import interleave

MANY = 128  # channels
PART = 2**20  # numbers in a part of the batch, on the larger side of the convolution
LEAST = 2**18  # numbers below which there is nothing to gain


def worthwhile(x: jax.Array, kernel: jax.Array) -> bool:
    """Whether `convolve` is the faster one: on the CPU, for float32, even sides and many channels."""
    sizes, sides = kernel.shape[:2], x.shape[1:3]
    return (
        jax.default_backend() == "cpu"
        and x.dtype == kernel.dtype == jnp.float32
        and sizes == (3, 3)
        and not any(side % 2 for side in sides)
        and min(kernel.shape[2:]) >= MANY
        and _numbers(x, kernel) <= PART
        and len(x) * _numbers(x, kernel) >= LEAST
    )


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A "same" convolution: [batch, height, width, channels] by [3, 3, channels, features], with even sides."""
    return _there(x, kernel)


def _numbers(x, kernel):
    """Of one image, on the side that has more channels."""
    return x.shape[1] * x.shape[2] * max(kernel.shape[2:])


def _in_parts(x, kernel):
    at_once = max(1, PART // _numbers(x, kernel))
    at_once = next(count for count in range(min(at_once, len(x)), 0, -1) if len(x) % count == 0)
    parts = x.reshape(-1, at_once, *x.shape[1:])
    kernels = [mixed for rows in _mixed_kernel(kernel) for mixed in _mixed_kernel(rows)]
    return lax.map(lambda part: _convolve(part, kernels), parts).reshape(*x.shape[:3], kernel.shape[3])


def _convolve(x, kernels):
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    tiles = [tile for rows in _mixed_image(x, 1) for tile in _mixed_image(rows, 2)]
    products = [jnp.tensordot(tile, kernel, 1) for tile, kernel in zip(tiles, kernels, strict=True)]
    rows = zip(*(_mixed_result(*products[column::4]) for column in range(4)), strict=True)
    return interleave([place for row in rows for place in _mixed_result(*row)])


def _mixed_image(x, axis):
    """The four combinations of four pixels on an axis, from every second pixel on."""
    end = x.shape[axis] - 3
    a, b, c, d = (lax.slice_in_dim(x, first, first + end, 2, axis) for first in range(4))
    return a - c, b + c, c - b, b - d


def _mixed_kernel(kernel):
    """The four combinations of three taps on the first axis."""
    a, b, c = kernel
    return a, (a + b + c) / 2, (a - b + c) / 2, c


def _mixed_result(a, b, c, d):
    """The two pixels that four products make."""
    return a + b + c, b - c - d


def _adjoint(y, kernel):
    return _in_parts(y, kernel[::-1, ::-1].swapaxes(2, 3))


_there, _ = closed(_in_parts, _adjoint, thin.convolve)
