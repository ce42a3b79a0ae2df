"""Convolutions of volumes [batch, depth, height, width, channels] by kernels with a side of 4, as Keras has them."""

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

    On the CPU it is `gans.strided.halve` of pictures with four times the channels, the planes that an output sees.

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
    if not planes():
        return _plain(x, kernel)
    depth, height, width = sides
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    seen = [lax.slice_in_dim(padded, tap, tap + depth - 1, stride=2, axis=1) for tap in range(4)]
    pictures = jnp.concatenate(seen, -1).reshape(-1, height, width, 4 * channels)
    y = strided.halve(pictures, _of_pictures(kernel))
    return y.reshape(n, depth // 2, height // 2, width // 2, -1)


def double(y: jax.Array, kernel: jax.Array) -> jax.Array:
    """The transposed convolution with stride 2 and "same" padding, the adjoint of `halve`: sides are doubled.

    Args:
      y: [batch, depth, height, width, channels].
      kernel: [4, 4, 4, features, channels].

    Returns:
      [batch, 2 depth, 2 height, 2 width, features].
    """
    n, depth, height, width, channels = y.shape
    features = kernel.shape[3]
    if not planes():
        doubled = jax.ShapeDtypeStruct((n, 2 * depth, 2 * height, 2 * width, features), y.dtype)
        return jax.linear_transpose(lambda x: _plain(x, kernel), doubled)(y)[0]
    pictures = strided.double(y.reshape(-1, height, width, channels), _of_pictures(kernel))
    taps = pictures.reshape(n, depth, 2 * height, 2 * width, 4, features)
    return thin.overlap(jnp.moveaxis(taps, 4, 2), 1, strided.taps(4))


def _plain(x, kernel):
    return lax.conv_general_dilated(x, kernel, (2, 2, 2), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


def _of_pictures(kernel):
    """[4, 4, 4, channels, features] -> [4, 4, 4 channels, features]."""
    *_, channels, features = kernel.shape
    return kernel.transpose(1, 2, 0, 3, 4).reshape(4, 4, 4 * channels, features)


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
