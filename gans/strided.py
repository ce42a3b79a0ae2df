"""Convolutions that halve or double the sides of images, in forms that are fast in all derivatives.

`halve` and `double` are each other's derivative, see `gans.bilinear`: XLA has no fast programs for its own second
derivatives of a strided convolution, which gradient penalties take.

On two cores, for 64 maps of 14x14x64, kernels of 5 and 128 features, JAX 0.10.2: `halve` 3.6 ms and the kernel's
gradient 4.0 ms (a 3x3 convolution of folded pixels 5.1 and 6.1), `double` 4.0 ms (folded 5.0, XLA's own 5.5).

Images are [batch, height, width, channels], kernels [size, size, channels, features] with a size of 3,
4 or 5; padding is Keras' "same".
"""

import jax
import jax.numpy as jnp

from gans import thin
from gans.bilinear import closed

SIZES = (3, 4, 5)


def interleave(phases: list[jax.Array]) -> jax.Array:
    """Four images into one of twice the sides: the even rows' even and odd columns, then the odd rows'."""
    n, height, width, channels = phases[0].shape
    x = jnp.stack(phases, 3).reshape(n, height, width, 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * height, 2 * width, channels)


def _plain(x, kernel):
    return thin.convolve(x, kernel, "SAME", 2)


def halve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution with stride 2: [batch, height, width, channels] -> [batch, height / 2, width / 2, features].

    Odd sides are halved upwards: for 32 maps of 7x7x128, kernels of 5 and 256 features, a gradient takes 0.18 of the
    time of XLA's own, a gradient penalty's 0.08.

    Raises:
      ValueError: for a kernel of another size.
    """
    _check(kernel)
    x = _even(x, len(kernel))
    return (
        thin.from_few(x, kernel.swapaxes(2, 3), taps(len(kernel))) if thin.few(kernel.shape[2]) else _halve(x, kernel)
    )


def _even(x, size):
    """Odd sides with a row or column of zeros more, where the padding of a kernel of that size begins or ends."""
    before, after = (1, 0) if size % 2 else (0, 1)
    odd = [(side % 2 * before, side % 2 * after) for side in x.shape[1:3]]
    return jnp.pad(x, ((0, 0), *odd, (0, 0)))


def double(y: jax.Array, kernel: jax.Array) -> jax.Array:
    """The adjoint of `halve`: [batch, height, width, features] -> [batch, 2 height, 2 width, channels].

    On the CPU written as a convolution for each of the four phases of the result, without products with zeros; to few
    channels see `gans.thin`.

    Raises:
      ValueError: for a kernel of another size.
    """
    _check(kernel)
    return thin.to_few(y, kernel.swapaxes(2, 3), taps(len(kernel))) if thin.few(kernel.shape[2]) else _double(y, kernel)


def _check(kernel):
    if kernel.shape[0] not in SIZES:
        raise ValueError(f"The kernel's size is {kernel.shape[0]}; it must be 3, 4 or 5.")


def _by_phases(y, kernel):
    n, height, width, _ = y.shape
    if jax.default_backend() != "cpu":
        large = jax.ShapeDtypeStruct((n, 2 * height, 2 * width, kernel.shape[2]), y.dtype)
        return jax.linear_transpose(lambda x: _plain(x, kernel), large)(y)[0]
    phases = [(slice(phase[-1][0], None, 2), (-phase[0][1], phase[-1][1])) for phase in taps(len(kernel))]
    return interleave(
        [
            thin.convolve(y, kernel[rows, columns][::-1, ::-1].swapaxes(2, 3), (vertical, horizontal))
            for rows, vertical in phases
            for columns, horizontal in phases
        ]
    )


def taps(size: int) -> thin.Phases:
    """Those of `double`: even and odd places of the result, by the taps of a kernel that reach them.

    Place p takes y[i] by the tap t = p + low - 2 i, with `low` zeros before the first pixel.
    """
    low = (size - 2) // 2
    phases = ([((phase + low - tap) // 2, tap) for tap in range((phase + low) % 2, size, 2)] for phase in (0, 1))
    return tuple(tuple((tap, reach) for reach, tap in sorted(phase)) for phase in phases)


_halve, _double = closed(_plain, _by_phases)
