"""Sets of voxel volumes beside each other: distances of shapes, and what they say of the whole sets.

A volume is solid where it is at least 1/2. Volumes are [n, r, r, r] or [n, r, r, r, 1].
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

CHUNK = 2**25  # voxels that are held in float32 at a time: 128 MiB
# Voxels that touch by a face, an edge or a corner: a slanted leg one voxel thin hangs together by edges.
NEIGHBOURS = np.ones((3, 3, 3), bool)


class Components(NamedTuple):
    """Of each volume the number of parts that do not touch, int [n], and the largest one's share, float64 [n]."""

    counts: np.ndarray
    largest: np.ndarray


def _solid(volumes):
    volumes = np.asarray(volumes)
    if volumes.ndim == 5 and volumes.shape[4] == 1:
        volumes = volumes[..., 0]
    if volumes.ndim != 4 or len(set(volumes.shape[1:])) != 1 or not volumes.size:
        raise ValueError(f"volumes must be [n, r, r, r] or [n, r, r, r, 1], not {volumes.shape}")
    return volumes >= 0.5


def _pair(a, b):
    a, b = _solid(a), _solid(b)
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"volumes of {a.shape[1:]} and {b.shape[1:]} voxels do not compare")
    return a, b


def _products(a, b):
    """The sums over the voxels of a[i] * b[j], float64 [n, m], of arrays [n, r, r, r] and [m, r, r, r]."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    width = max(1, CHUNK // (len(a) + len(b)))
    found = np.zeros((len(a), len(b)))
    for start in range(0, a.shape[1], width):
        part = slice(start, start + width)
        found += a[:, part].astype(np.float32) @ b[:, part].astype(np.float32).T
    return found


def iou_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 - |a and b| / |a or b| of all pairs of volumes, float64 [n, m] in [0, 1]; two empty ones are 0 apart.

    Raises:
      ValueError: if the shapes do not fit.
    """
    a, b = _pair(a, b)
    both = _products(a, b)
    either = a.sum((1, 2, 3))[:, None] + b.sum((1, 2, 3))[None] - both
    return 1 - np.divide(both, either, out=np.ones_like(both), where=either > 0)


def surfaces(volumes: np.ndarray) -> np.ndarray:
    """The solid voxels that have a face towards an empty one or the outside, bool [n, r, r, r]."""
    solid = np.pad(_solid(volumes), ((0, 0), (1, 1), (1, 1), (1, 1)))
    inner = solid[:, 1:-1, 1:-1, 1:-1].copy()
    for axis in (1, 2, 3):
        for shift in (-1, 1):
            inner &= np.roll(solid, shift, axis)[:, 1:-1, 1:-1, 1:-1]
    return solid[:, 1:-1, 1:-1, 1:-1] & ~inner


def chamfer_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The Chamfer distance of all pairs, float64 [n, m]: Achlioptas et al. 2018, arXiv 1707.02392, section 2.

    mean over x in A of min |x - y|^2 + mean over y in B of min |x - y|^2, with A and B the centres of the surfaces'
    voxels and the grid's side as the unit. Both are points of one grid, so that each minimum is read from the other
    volume's distance transform, and the means of all pairs are one matrix product. An empty volume is as far as can
    be, 3 each way (the grid's diagonal squared), from every other; two empty ones are 0 apart.

    Raises:
      ValueError: if the shapes do not fit.
    """
    a, b = _pair(a, b)
    a, b = surfaces(a), surfaces(b)
    there = _one_way(a, b)
    found = there + (there if b is a else _one_way(b, a)).T
    empty_a, empty_b = (~side.any((1, 2, 3)) for side in (a, b))
    found[empty_a[:, None] | empty_b[None]] = 6
    found[empty_a[:, None] & empty_b[None]] = 0
    return found


def _one_way(a, b):
    """The mean over a's points of the squared distance to the nearest of b's, [n, m]; for non-empty surfaces."""
    side = a.shape[1]
    squared = np.zeros(b.shape, np.float32)
    for one, surface in zip(squared, b, strict=True):
        if surface.any():
            one[:] = ndimage.distance_transform_edt(~surface) ** 2
    return _products(a, squared) / np.maximum(a.sum((1, 2, 3)), 1)[:, None] / side**2


def minimum_matching_distance(distances: np.ndarray) -> float:
    """The mean over the real volumes of the distance to the nearest generated one: Achlioptas et al. 2018, section 2.

    Args:
      distances: [generated, real].
    """
    return float(_distances(distances).min(0).mean())


def coverage(distances: np.ndarray) -> float:
    """The share of real volumes that are the nearest one to some generated volume: Achlioptas et al. 2018, section 2.

    Args:
      distances: [generated, real].
    """
    distances = _distances(distances)
    return len(np.unique(distances.argmin(1))) / distances.shape[1]


def nearest_neighbour_accuracy(generated: np.ndarray, between: np.ndarray, real: np.ndarray) -> float:
    """How often a volume's nearest neighbour among all others is of its own set, in [0, 1].

    The leave-one-out accuracy of a 1-nearest-neighbour classifier: Lopez-Paz & Oquab 2017, arXiv 1610.06545; Yang et
    al. 2019, arXiv 1906.12320, equation 8. 1/2 for sets from one distribution, 1 for sets apart, and towards 0 where
    the samples are copies of the real ones. Of neighbours equally near each counts its part.

    Args:
      generated, real: distances within the sets, [n, n] and [m, m].
      between: distances between them, [n, m].

    Raises:
      ValueError: if the shapes do not fit, or a set has no volume.
    """
    between = _distances(between)
    n, m = between.shape
    if generated.shape != (n, n) or real.shape != (m, m):
        raise ValueError(f"distances {generated.shape}, {between.shape}, {real.shape} must be [n, n], [n, m], [m, m]")
    distances = np.block([[generated, between], [between.T, real]]).astype(np.float64)
    np.fill_diagonal(distances, np.inf)
    nearest = distances == distances.min(1, keepdims=True)
    own = np.arange(n + m) < n
    return float(((nearest & (own[:, None] == own[None])).sum(1) / nearest.sum(1)).mean())


def _distances(distances):
    distances = np.asarray(distances)
    if distances.ndim != 2 or not distances.size:
        raise ValueError(f"distances must be [generated, real] with at least one of each, not {distances.shape}")
    return distances


def occupancy(volumes: np.ndarray) -> np.ndarray:
    """The share of each grid that is solid, float64 [n]."""
    return _solid(volumes).mean((1, 2, 3))


def components(volumes: np.ndarray) -> Components:
    """The parts of each volume, see `NEIGHBOURS`; an empty one has none, and a largest share of 0."""
    counts, largest = [], []
    for solid in _solid(volumes):
        labels, count = ndimage.label(solid, NEIGHBOURS)
        sizes = np.bincount(labels.ravel())[1:]
        counts.append(count)
        largest.append(sizes.max() / sizes.sum() if count else 0.0)
    return Components(np.array(counts), np.array(largest))
