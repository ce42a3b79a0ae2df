"""Blur kernels: the point-spread functions of lenses out of focus, of cameras and things in motion.

Each is float32 [size, size] for an odd `size`, non-negative, with sum 1 and its centre of mass in the middle pixel, so
that blurring moves nothing. Lengths are in pixels; the x axis points right and the y axis up.
"""

import cmath
import math

import numpy as np

# Lines through each pixel on which the disc's coverage is exact, and samples on each pixel of a path.
_LINES = 32
_SAMPLES = 8


def disc(radius: float, size: int) -> np.ndarray:
    """The blur of a round aperture out of focus: a disc, each pixel weighing the part of it that the disc covers.

    Args:
      radius: in (0, size / 2]; within half a pixel nothing is blurred.
    """
    # Thinner discs would fall between the lines.
    radius = max(radius, 0.5)
    sub = (np.arange(size * _LINES) + 0.5) / _LINES - size / 2
    chord = np.sqrt(np.maximum(radius**2 - sub**2, 0))[:, None]
    left = np.arange(size) - size / 2
    # How much of [left, left + 1] lies within [-chord, chord].
    covered = np.maximum(np.minimum(chord, left + 1) - np.maximum(-chord, left), 0)
    return _normalised(covered.reshape(size, _LINES, size).mean(1))


def gaussian(sigma: float, size: int) -> np.ndarray:
    """The normal density of standard deviation `sigma` > 0 at the pixels' centres, cut off at the kernel's border."""
    bell = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    return _normalised(bell[:, None] * bell)


def line(length: float, angle: float, size: int) -> np.ndarray:
    """The blur of steady motion: a line of no width, each sample of it shared by the four pixels around it.

    Args:
      length: in (0, size - 1].
      angle: in radians, from the x axis to the y axis.
    """
    count = math.ceil(_SAMPLES * length) + 1
    return _splat(length * ((np.arange(count) + 0.5) / count - 0.5) * cmath.exp(1j * angle), size)


def trajectory(
    generator: np.random.Generator, length: float, size: int, anxiety: float = 0.005, steps: int = 2000
) -> np.ndarray:
    """The blur of a hand that shakes: a random path, walked with constant speed.

    Boracchi and Foi 2012 (IEEE TIP, "Modeling the performance of image restoration from motion blur"), with the
    ranges of Kupyn et al. 2018 (arXiv 1711.07064, Algorithm 1): the velocity is pushed at each step by a normal
    perturbation and by a pull back to where the path began, now and then it is almost reversed, and it is brought back
    to its length. How strong these are is drawn for each path.

    Args:
      length: of the whole path, in (0, size - 1]: a path of this length around its mean always fits.
      anxiety: how strongly the path differs from a line, 0: not at all; Kupyn et al. take 0.003 to 0.01.
      steps: positions on the path.
    """
    jitter, pull, reversals = anxiety * generator.uniform((0, 0, 0), (10, 0.7, 0.2))
    step = length / (steps - 1)
    pushes = step * jitter * (generator.standard_normal(steps) + 1j * generator.standard_normal(steps))
    reverses = generator.random(steps) < reversals
    turns = 2 * np.exp(1j * (math.pi + generator.uniform(-0.5, 0.5, steps)))
    velocity = step * cmath.exp(2j * math.pi * generator.random())
    position, path = 0j, []
    # Python's own complex numbers are the fast ones here.
    for push, reverse, turn in zip(pushes.tolist(), reverses.tolist(), turns.tolist(), strict=True):
        path.append(position)
        velocity += push - step * pull * position + (velocity * turn if reverse else 0)
        velocity *= step / abs(velocity)
        position += velocity
    path = np.array(path)
    return _splat(path - path.mean(), size)


def _splat(points, size) -> np.ndarray:
    """The kernel of complex points around 0: each is shared bilinearly by the four pixels around it."""
    x, y = points.real + size // 2, size // 2 - points.imag
    # Rounding may put a point that belongs on the outermost pixel's centre just outside it.
    x, y = np.clip(x, 0, size - 1), np.clip(y, 0, size - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, down = x - left, y - top
    # One row and one column more: for points on the last one, which give them nothing.
    wide = size + 1
    kernel = np.zeros(wide * wide)
    for row, rows in ((top, 1 - down), (top + 1, down)):
        for column, columns in ((left, 1 - right), (left + 1, right)):
            kernel += np.bincount(row * wide + column, rows * columns, wide * wide)
    return _normalised(kernel.reshape(wide, wide)[:size, :size])


def _normalised(kernel) -> np.ndarray:
    return (kernel / kernel.sum()).astype(np.float32)
