"""Convolutions of volumes [batch, depth, height, width, channels] by kernels with a side of 4, as Keras has them.

On two cores, JAX 0.10.2, 4 volumes, GFLOP/s of the value and of both gradients as direct convolutions have them, here
and as XLA's own (`experiments.benchmarks.volumes`): `halve` 64 x 16^3 to 128 x 8^3 180, 159 and 79, 4; `double` back
163, 160 and 2, 8; `double` 64 x 16^3 to 1 x 32^3 68, 61 and 0.0, 6. PyTorch's are 221, 171; 189, 191; 9, 108.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gans import strided, thin
from gans.layers import add_bias


def planes() -> bool:
    """Whether convolutions are written as those of pictures: on the CPU, where XLA has no fast gradients of 3D ones."""
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
    _, *sides, channels = x.shape
    if any(side % 2 for side in sides):
        raise ValueError(f"A volume of {' x '.join(map(str, sides))} cannot be halved: its sides must be even.")
    if not planes():
        return _plain(x, kernel)
    x = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    pairs = jnp.concatenate([x[:, 0::2], x[:, 1::2]], -1)
    return (_direct if sides[0] % 4 or channels <= thin.FEW else _fast)(pairs, kernel)


def double(y: jax.Array, kernel: jax.Array) -> jax.Array:
    """The transposed convolution with stride 2 and "same" padding, the adjoint of `halve`: sides are doubled.

    Args:
      y: [batch, depth, height, width, channels].
      kernel: [4, 4, 4, features, channels].

    Returns:
      [batch, 2 depth, 2 height, 2 width, features].
    """
    n, *sides, _ = y.shape
    # The value at 0 costs nothing: nothing depends on it.
    empty = jnp.zeros((n, *(2 * side for side in sides), kernel.shape[3]), y.dtype)
    return jax.vjp(lambda x: halve(x, kernel), empty)[1](y)[0]


def _direct(pairs, kernel):
    """`halve` of pairs of planes [batch, depth / 2 + 1, height, width, 2 channels], two of which an output sees."""
    seen = jnp.concatenate([pairs[:, :-1], pairs[:, 1:]], -1)
    return _in_planes(seen, kernel)


def _fast(pairs, kernel):
    """The same with three products for four, by the fast algorithm F(2, 2) along the depth, of an even length.

    Winograd 1980; Lavin and Gray 2015, arXiv 1509.09308, section 4. Of pairs p and the kernel's halves g, p0 g0 + p1 g1
    is (p0 - p1) g0 + p1 (g0 + g1), and p1 g0 + p2 g1 is p1 (g0 + g1) + (p2 - p1) g1.
    """
    last = pairs.shape[1] - 1
    p0, p1, p2 = (pairs[:, start : last + start : 2] for start in range(3))
    g0, g1 = kernel[:2], kernel[2:]
    m0, m1, m2 = (_in_planes(p0 - p1, g0), _in_planes(p1, g0 + g1), _in_planes(p2 - p1, g1))
    y = jnp.stack([m0 + m1, m1 + m2], 2)
    return y.reshape(y.shape[0], last, *y.shape[3:])


def _in_planes(x, kernel):
    """A convolution along height and width alone, with stride 2: the kernel's depth stands in x's channels.

    [batch, depth, height, width, taps channels] by [taps, 4, 4, channels, features].
    """
    n, depth, height, width, joined = x.shape
    flat = kernel.transpose(1, 2, 0, 3, 4).reshape(4, 4, joined, -1)
    y = strided.halve(x.reshape(-1, height, width, joined), flat)
    return y.reshape(n, depth, *y.shape[1:])


def _plain(x, kernel):
    return lax.conv_general_dilated(x, kernel, (2, 2, 2), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


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
            x = jnp.tensordot(kernel, x[:, 0, 0, 0], (4, 1)).transpose(4, 0, 1, 2, 3)  # the large one stays as it is
        return add_bias(self, x) if self.use_bias else x


def _halves(stride):
    if stride not in (1, 2):
        raise ValueError(f"The stride is {stride}; it must be 1 or 2.")
    return stride == 2
