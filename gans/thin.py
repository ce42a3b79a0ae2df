"""Convolutions to or from few channels, as products of matrices; XLA:CPU has no fast programs for them.

A product of each pixel with all taps of a kernel is made in one go, and `overlap` adds up what falls on one place. Its
adjoint is `spread`; each is the other's derivative, so that derivatives of any order are products of the same kind.

On one core beside other work, JAX 0.10.2, milliseconds for the value and the gradients with respect to image and
kernel, here and as XLA's own: 64 maps of 28x28x64 to 1 channel by kernels of 3: 1.5, 1.5, 0.8 and 12, 3.6, 24; 32 of
32x32x64, doubled, to 3 channels by kernels of 5: 11, 9, 17 and 96, 27, 98.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from gans.bilinear import closed

FEW = 8  # channels
Phases = tuple[tuple[tuple[int, int], ...], ...]


def few(channels: int) -> bool:
    """Whether so many are few here: on the CPU alone."""
    return channels <= FEW and jax.default_backend() == "cpu"


def taps(size: int) -> Phases:
    """A convolution's taps, with an odd size of the kernel and "same" padding.

    Phases are what `overlap` and `spread` go by. The places of an axis that is to be `len(phases)` times as long are
    those of each phase by turns; place i of a phase takes what place i + reach gives by a tap, for each (tap, reach).
    """
    return (tuple((tap, tap - size // 2) for tap in range(size)),)


def upsampled(size: int) -> Phases:
    """The taps of that convolution after nearest-neighbour upsampling by 2."""
    return tuple(tuple((tap, (phase + tap - size // 2) // 2) for tap in range(size)) for phase in (0, 1))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def overlap(products: jax.Array, axis: int, phases: Phases) -> jax.Array:
    """What each place of an axis gives by each tap, added up where it meets.

    [..., length, taps, ...] -> [..., length * len(phases), ...], `axis` being that of the length.
    """
    made = [
        sum(_moved(lax.index_in_dim(products, tap, axis + 1, keepdims=False), axis, reach) for tap, reach in phase)
        for phase in phases
    ]
    if len(made) == 1:
        return made[0]
    before, after = made[0].shape[:axis], made[0].shape[axis + 1 :]
    return jnp.stack(made, axis + 1).reshape(*before, len(made) * made[0].shape[axis], *after)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def spread(x: jax.Array, axis: int, phases: Phases) -> jax.Array:
    """The adjoint of `overlap`: [..., length * len(phases), ...] -> [..., length, taps, ...]."""
    split = x.reshape(*x.shape[:axis], x.shape[axis] // len(phases), len(phases), *x.shape[axis + 1 :])
    parts = [lax.index_in_dim(split, phase, axis + 1, keepdims=False) for phase in range(len(phases))]
    taps = 1 + max(tap for phase in phases for tap, _ in phase)
    met = [
        [(part, reach) for part, phase in zip(parts, phases, strict=True) for tap, reach in phase if tap == own]
        for own in range(taps)
    ]
    return jnp.stack([sum(_moved(part, axis, -reach) for part, reach in one) for one in met], axis + 1)


def _moved(x, axis, reach):
    """Place i of an axis is what was at i + reach, or 0."""
    padding = [(0, 0, 0)] * x.ndim
    padding[axis] = (-reach, reach, 0)  # a negative one cuts
    return lax.pad(x, jnp.zeros((), x.dtype), padding)


overlap.defvjp(
    lambda products, axis, phases: (overlap(products, axis, phases), None),
    lambda axis, phases, _, x: (spread(x, axis, phases),),
)
spread.defvjp(
    lambda x, axis, phases: (spread(x, axis, phases), None),
    lambda axis, phases, _, products: (overlap(products, axis, phases),),
)


def to_few(x: jax.Array, kernel: jax.Array, phases: Phases) -> jax.Array:
    """[batch, height, width, channels] by [size, size, channels, few] to [batch, times height, times width, few]."""
    products = jnp.tensordot(x, kernel, (3, 2)).transpose(0, 1, 3, 2, 4, 5)
    return overlap(overlap(products, 1, phases), 2, phases)


def from_few(x: jax.Array, kernel: jax.Array, phases: Phases) -> jax.Array:
    """The adjoint of `to_few`: [batch, times height, times width, few] to [batch, height, width, channels]."""
    return jnp.tensordot(spread(spread(x, 2, phases), 1, phases), kernel, ((2, 4, 5), (0, 1, 3)))


def convolve(x: jax.Array, kernel: jax.Array, padding="SAME", stride: int = 1) -> jax.Array:
    """XLA's own convolution of images."""
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def worthwhile(kernel: jax.Array) -> bool:
    """Whether `same` is faster than XLA's own: on the CPU, for odd sizes above 1, to or from few channels."""
    size, width, channels, features = kernel.shape
    few_of_many = min(channels, features) <= FEW < max(channels, features)
    return jax.default_backend() == "cpu" and size == width and size > 1 and size % 2 == 1 and few_of_many


def same(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution with stride 1 and "same" padding, to or from few channels."""
    return to_few(x, kernel, taps(len(kernel))) if kernel.shape[3] <= FEW else _from_few(x, kernel)


def _adjoint(y, kernel):
    return to_few(y, kernel[::-1, ::-1].swapaxes(2, 3), taps(len(kernel)))


# Of a convolution from few channels only the gradient with respect to the image is slow.
_from_few, _ = closed(convolve, _adjoint)
