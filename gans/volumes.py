"""Convolutions of volumes [batch, depth, height, width, channels] by kernels with a side of 4, as Keras has them."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gans.layers import add_bias

# From how many 2x2x2 pieces of the output, and how many channels on either side, the fast algorithm is faster.
PIECES, CHANNELS = 128, 8


def products() -> bool:
    """Whether convolutions are written as matrix products: on the CPU, where XLA has no fast gradients of 3D ones."""
    return jax.default_backend() == "cpu"


def halve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution with stride 2 and "same" padding: sides are halved.

    Args:
      x: [batch, depth, height, width, channels], sides even.
      kernel: [4, 4, 4, channels, features].

    Returns:
      [batch, depth / 2, height / 2, width / 2, features].

    Raises:
      ValueError: if a side is odd.
    """
    n, *sides, channels = x.shape
    if any(side % 2 for side in sides):
        raise ValueError(f"A volume of {' x '.join(map(str, sides))} cannot be halved: its sides must be even.")
    if not products():
        return lax.conv_general_dilated(x, kernel, (2, 2, 2), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))
    # A program exported for batches of any size has no number here.
    few = isinstance(n, int) and n * math.prod(sides) < 64 * PIECES
    if few or any(side % 4 for side in sides) or min(kernel.shape[3:]) < CHANNELS:
        return _unfolded(x, kernel)
    return _fast(x, kernel)


def double(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The transposed convolution with stride 2 and "same" padding, the adjoint of `halve`: sides are doubled.

    Args:
      x: [batch, depth, height, width, channels].
      kernel: [4, 4, 4, features, channels].

    Returns:
      [batch, 2 depth, 2 height, 2 width, features].
    """
    n, *sides, _ = x.shape
    doubled = jax.ShapeDtypeStruct((n, *(2 * side for side in sides), kernel.shape[3]), x.dtype)
    return jax.linear_transpose(lambda y: halve(y, kernel), doubled)(x)[0]


def _unfolded(x, kernel):
    """`halve` as one matrix product with all that each output sees: 2x2x2 blocks of 2x2x2 voxels."""
    blocks = _blocks(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0))))
    for axis in (1, 2, 3):
        before, after = (lax.slice_in_dim(blocks, i, blocks.shape[axis] - 1 + i, axis=axis) for i in (0, 1))
        blocks = jnp.concatenate([before, after], -1)
    # What was joined last varies slowest.
    rows = _kernel_of_blocks(kernel).transpose(2, 1, 0, 3, 4)
    return blocks @ rows.reshape(-1, kernel.shape[4])


def _fast(x, kernel):
    """`halve` by the fast algorithm F(2x2x2, 2x2x2): Winograd 1980; Lavin and Gray 2015, arXiv 1509.09308, section 4.

    Along an axis, two outputs of a convolution of blocks b with the kernel (g0, g1) take three products and not four:
    b0 g0 + b1 g1 = (b0 - b1) g0 + b1 (g0 + g1), and b1 g0 + b2 g1 = b1 (g0 + g1) + (b2 - b1) g1. Along three axes it
    is 27 matrix products for 64.
    """
    # Two blocks a piece, and one piece more for the third block of the last.
    blocks = _blocks(jnp.pad(x, ((0, 0), (1, 3), (1, 3), (1, 3), (0, 0))))
    n, *sides, channels = blocks.shape
    pieces = blocks.reshape(n, *(length for side in sides for length in (side // 2, 2)), channels)
    for axis in (1, 3, 5):  # each time the axis behind goes, and the three factors' comes in front
        first, second = (lax.index_in_dim(pieces, i, axis + 1, keepdims=False) for i in (0, 1))
        last = first.shape[axis] - 1
        b0, b1 = (lax.slice_in_dim(block, 0, last, axis=axis) for block in (first, second))
        b2 = lax.slice_in_dim(first, 1, last + 1, axis=axis)
        pieces = jnp.stack([b0 - b1, b1, b2 - b1])
    kernel = _kernel_of_blocks(kernel)
    for axis in (0, 1, 2):
        g0, g1 = (lax.index_in_dim(kernel, i, axis, keepdims=False) for i in (0, 1))
        kernel = jnp.stack([g0, g0 + g1, g1])
    products = pieces.reshape(27, -1, channels) @ kernel.reshape(27, channels, -1)
    outputs = products.reshape(*pieces.shape[:-1], -1)
    for axis in (6, 4, 2):  # and back: the factors' goes, and the two outputs' comes behind its axis
        m0, m1, m2 = outputs
        outputs = jnp.stack([m0 + m1, m1 + m2], axis)
    return outputs.reshape(n, *(side - 2 for side in sides), -1)


def _blocks(x):
    """2x2x2 voxels into channels: [batch, side, side, side, c] -> [batch, side / 2, side / 2, side / 2, 8 c]."""
    n, depth, height, width, channels = x.shape
    x = x.reshape(n, depth // 2, 2, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(n, depth // 2, height // 2, width // 2, 8 * channels)


def _kernel_of_blocks(kernel):
    """[4, 4, 4, channels, features] -> [2, 2, 2, 8 channels, features], a kernel with stride 1."""
    *_, channels, features = kernel.shape
    split = kernel.reshape(2, 2, 2, 2, 2, 2, channels, features).transpose(0, 2, 4, 1, 3, 5, 6, 7)
    return split.reshape(2, 2, 2, 8 * channels, features)


class Conv3D(nn.Module):
    """Keras' Conv3D with a kernel of side 4, which is [4, 4, 4, channels, features].

    Attributes:
      features: output channels.
      stride: 2 halves the sides, with "same" padding; 1 makes 1x1x1 of 4x4x4, with "valid" padding.
      use_bias: whether a bias is added.
      kernel_init: what the kernel starts from.
    """

    features: int
    stride: int = 2
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", self.kernel_init, (4, 4, 4, x.shape[-1], self.features))
        if _halves(self.stride):
            x = halve(x, kernel)
        elif x.shape[1:4] != (4, 4, 4):
            raise ValueError(f"A convolution with stride 1 is for volumes of 4x4x4, not of {x.shape[1:4]}.")
        else:
            x = jnp.tensordot(x, kernel, ((1, 2, 3, 4), (0, 1, 2, 3)))[:, None, None, None]
        return add_bias(self, x) if self.use_bias else x


class ConvTranspose3D(nn.Module):
    """Keras' Conv3DTranspose with a kernel of side 4, which is [4, 4, 4, features, channels].

    Attributes:
      features: output channels.
      stride: 2 doubles the sides, with "same" padding; 1 makes 4x4x4 of 1x1x1, with "valid" padding.
      use_bias: whether a bias is added.
      kernel_init: what the kernel starts from.
    """

    features: int
    stride: int = 2
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", self.kernel_init, (4, 4, 4, self.features, x.shape[-1]))
        if _halves(self.stride):
            x = double(x, kernel)
        elif x.shape[1:4] != (1, 1, 1):
            raise ValueError(f"A transposed convolution with stride 1 is for volumes of 1x1x1, not of {x.shape[1:4]}.")
        else:
            x = jnp.tensordot(x[:, 0, 0, 0], kernel, (1, 4))
        return add_bias(self, x) if self.use_bias else x


def _halves(stride):
    if stride not in (1, 2):
        raise ValueError(f"The stride is {stride}; it must be 1 or 2.")
    return stride == 2
