"""Nearest neighbours by Euclidean distance, in chunks that bound the memory."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

CHUNK = 1000  # rows: with 10,000 columns a block of distances takes 80 MB


class Nearest(NamedTuple):
    """The training picture nearest to each sample: `indices` int [n] and `distances` float64 [n]."""

    indices: np.ndarray
    distances: np.ndarray


def squared_distances(a: np.ndarray, b: np.ndarray, chunk: int = CHUNK) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances between all rows of a [n, d], of any dtype, and b [m, d] in float64.

    Yields:
      (rows of a, their distances float64 [chunk, m]), as |x|^2 + |y|^2 - 2 x.y: rounded, never below zero.
    """
    norms = np.square(b).sum(1)
    for start in range(0, len(a), chunk):
        part = a[start : start + chunk].astype(np.float64)
        block = part @ b.T
        block *= -2
        block += norms
        block += np.square(part).sum(1)[:, None]
        yield slice(start, start + len(part)), block.clip(0, out=block)


def nearest(samples: np.ndarray, training: np.ndarray, chunk: int = CHUNK) -> Nearest:
    """The training picture nearest to each sample, to see whether a generator only remembers.

    Args:
      samples: [n, ...], pictures or features.
      training: [m, ...], of the same trailing shape and range; it may be large, for only a chunk is held in float64.
      chunk: training pictures that are compared at a time.

    Returns:
      Nearest(indices int [n] into `training`, Euclidean distances float64 [n]); equal pictures are 0 apart.

    Raises:
      ValueError: if the shapes do not fit, or there is nothing to compare with.
    """
    samples, training = np.asarray(samples), np.asarray(training)
    if samples.shape[1:] != training.shape[1:] or not len(training):
        raise ValueError(f"samples {samples.shape} and training pictures {training.shape} do not compare")
    size = math.prod(samples.shape[1:])
    samples, training = samples.reshape(-1, size).astype(np.float64), training.reshape(-1, size)
    indices, smallest = np.zeros(len(samples), np.int64), np.full(len(samples), np.inf)
    for rows, squared in squared_distances(training, samples, chunk):
        closest = squared.argmin(0)
        found = squared[closest, np.arange(len(samples))]
        closer = found < smallest
        indices[closer], smallest[closer] = rows.start + closest[closer], found[closer]
    # The search rounds; the distance to what it found is exact.
    distances = [np.linalg.norm(sample - training[index]) for sample, index in zip(samples, indices, strict=True)]
    return Nearest(indices, np.array(distances, np.float64))
