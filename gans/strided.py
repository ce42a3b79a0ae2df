"""Convolutions that halve or double the sides of images, in forms that are fast in all derivatives.

A convolution is linear in the image and in the kernel, so three functions are closed under differentiation: `halve`,
its adjoint `double`, and the gradient with respect to the kernel. Each has one program of its own, and that of a
derivative, of whatever order, is one of the three; XLA has no fast programs for its own second derivatives of a strided
convolution, which gradient penalties take.

On two cores, for 64 maps of 14x14x64, kernels of 5 and 128 features, JAX 0.10.2: `halve` 3.6 ms and the kernel's
gradient 4.0 ms (a 3x3 convolution of folded pixels 5.1 and 6.1), `double` 4.0 ms (folded 5.0, XLA's own 5.5).

Images are [batch, height, width, channels], kernels [size, size, channels, features] with a size of 3,
4 or 5; padding is Keras' "same".
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

SIZES = (3, 4, 5)
FEW = 8  # channels


def convolve(x: jax.Array, kernel: jax.Array, padding, stride: int = 1) -> jax.Array:
    """XLA's own convolution."""
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def interleave(phases: list[jax.Array]) -> jax.Array:
    """Four images into one of twice the sides: the even rows' even and odd columns, then the odd rows'."""
    n, height, width, channels = phases[0].shape
    x = jnp.stack(phases, 3).reshape(n, height, width, 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * height, 2 * width, channels)


def _plain(x, kernel):
    return convolve(x, kernel, "SAME", 2)


def halve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution with stride 2: [batch, height, width, channels] -> [batch, height / 2, width / 2, features].

    Odd sides are halved upwards, with XLA's own derivatives.

    Raises:
      ValueError: for a kernel of another size.
    """
    _check(kernel)
    return _plain(x, kernel) if any(side % 2 for side in x.shape[1:3]) else _halve(x, kernel)


def double(y: jax.Array, kernel: jax.Array) -> jax.Array:
    """The adjoint of `halve`: [batch, height, width, features] -> [batch, 2 height, 2 width, channels].

    On the CPU written as a convolution for each of the four phases of the result, without products with zeros; to few
    channels as one product of matrices, whose results are added up where they meet: convolutions to few channels are
    slow there, by 3 to 8 times for 1 to 4 of them.

    Raises:
      ValueError: for a kernel of another size.
    """
    _check(kernel)
    return _double(y, kernel)


def _check(kernel):
    if kernel.shape[0] not in SIZES:
        raise ValueError(f"The kernel's size is {kernel.shape[0]}; it must be 3, 4 or 5.")


@jax.custom_vjp
def _halve(x, kernel):
    return _plain(x, kernel)


@jax.custom_vjp
def _double(y, kernel):
    n, height, width, _ = y.shape
    if jax.default_backend() != "cpu":
        large = jax.ShapeDtypeStruct((n, 2 * height, 2 * width, kernel.shape[2]), y.dtype)
        return jax.linear_transpose(lambda x: _plain(x, kernel), large)(y)[0]
    if kernel.shape[2] <= FEW:
        products = jnp.tensordot(y, kernel, (3, 3)).transpose(0, 1, 3, 2, 4, 5)
        return overlap(overlap(products, 1), 2)
    return interleave(
        [
            convolve(y, kernel[rows, columns][::-1, ::-1].swapaxes(2, 3), (vertical, horizontal))
            for rows, *vertical in _phases_of(kernel.shape[0])
            for columns, *horizontal in _phases_of(kernel.shape[0])
        ]
    )


def _phases_of(size):
    """For even and odd places of the result: the taps of a kernel that reach them, and how `y` is padded for these.

    Place p takes y[i] by the tap t = p + low - 2 i, with `low` zeros before the first pixel.
    """
    low = (size - 2) // 2
    for phase in (0, 1):
        first, later = (phase + low) % 2, (phase + low) // 2
        count = len(range(first, size, 2))
        yield slice(first, None, 2), count - 1 - later, later


def overlap(products: jax.Array, axis: int) -> jax.Array:
    """What each place of an axis gives to its neighbours in one of twice its length, by taps, added up where it meets.

    Args:
      products: [..., length, size, ...], the taps of a kernel behind the axis.
      axis: of the length.

    Returns: [..., 2 length, ...].
    """
    length, size = products.shape[axis : axis + 2]
    phases = []
    for taps, before, _ in _phases_of(size):
        found = []
        for reach, tap in enumerate(reversed(range(size)[taps]), start=-before):
            given = lax.index_in_dim(products, tap, axis + 1, keepdims=False)
            padding = [(0, 0, 0)] * given.ndim
            padding[axis] = (-reach, reach, 0)  # a negative one cuts
            found.append(lax.pad(given, jnp.zeros((), given.dtype), padding))
        phases.append(sum(found))
    return jnp.stack(phases, axis + 1).reshape(*phases[0].shape[:axis], 2 * length, *phases[0].shape[axis + 1 :])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _correlate(x: jax.Array, y: jax.Array, size: int) -> jax.Array:
    """The gradient of <halve(x, kernel), y> with respect to a kernel of a size: [size, size, channels, features]."""
    kernel = jax.ShapeDtypeStruct((size, size, x.shape[-1], y.shape[-1]), x.dtype)
    return jax.linear_transpose(lambda kernel: _plain(x, kernel), kernel)(y)[0]


def _halve_backward(saved, y):
    x, kernel = saved
    return _double(y, kernel), _correlate(x, y, kernel.shape[0])


def _double_backward(saved, x):
    y, kernel = saved
    return _halve(x, kernel), _correlate(x, y, kernel.shape[0])


def _correlate_backward(size, saved, kernel):
    del size
    x, y = saved
    return _double(y, kernel), _halve(x, kernel)


_halve.defvjp(lambda x, kernel: (_halve(x, kernel), (x, kernel)), _halve_backward)
_double.defvjp(lambda y, kernel: (_double(y, kernel), (y, kernel)), _double_backward)
_correlate.defvjp(lambda x, y, size: (_correlate(x, y, size), (x, y)), _correlate_backward)
