"""Fidelity and variety apart: precision and recall, density and coverage, from nearest neighbours of features."""

from typing import NamedTuple

import numpy as np

from gans.scores.nearest import CHUNK, squared_distances


class ManifoldScores(NamedTuple):
    """Shares in [0, 1], but for the density, whose expectation is 1 for equal distributions and which has no bound."""

    precision: float  # samples inside the real manifold
    recall: float  # real ones inside the manifold of the samples
    density: float  # real balls around a sample, in units of k
    coverage: float  # real ones with a sample in their own ball


def _squared_radii(features, k, chunk):
    radii = np.empty(len(features))
    for rows, squared in squared_distances(features, features, chunk):
        squared.partition(k, axis=1)  # the nearest of all is the point itself, hence k and not k - 1
        radii[rows] = squared[:, k]
    return radii


def manifold_scores(real: np.ndarray, generated: np.ndarray, k: int = 5, chunk: int = CHUNK) -> ManifoldScores:
    """Improved precision and recall, density and coverage.

    A set's manifold is the union of balls around its points that reach to their k-th nearest neighbour. Precision and
    recall: Kynkäänniemi et al. 2019, arXiv 1904.06991, equations 1 and 2, where k = 3 and balls are closed. Density
    and coverage: Naeem et al. 2020, arXiv 2002.09797, where k = 5; their balls are open, as in the authors' program,
    so that a set has density 1 against itself.

    Args:
      real: features [n, d] of the data.
      generated: features [m, d] of the samples.
      k: which neighbour bounds a ball.
      chunk: rows that are compared at a time; memory beyond the features is about 20 max(n, m) chunk bytes.

    Raises:
      ValueError: if the shapes do not fit, or a side has fewer than k + 1 rows.
    """
    real, generated = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(f"features must be [n, d] and [m, d], not {real.shape} and {generated.shape}")
    if k < 1 or min(len(real), len(generated)) <= k:
        raise ValueError(f"neighbour {k} needs at least {k + 1} rows, not {len(real)} and {len(generated)}")
    real_radii, generated_radii = _squared_radii(real, k, chunk), _squared_radii(generated, k, chunk)
    reached = np.zeros(len(generated), bool)  # samples that some real ball holds
    recalled = covered = balls = 0
    for rows, squared in squared_distances(real, generated, chunk):
        radii = real_radii[rows, None]
        reached |= (squared <= radii).any(0)
        recalled += np.count_nonzero((squared <= generated_radii).any(1))
        inside = squared < radii
        balls += np.count_nonzero(inside)
        covered += np.count_nonzero(inside.any(1))
    shares = reached.mean(), recalled / len(real), balls / (k * len(generated)), covered / len(real)
    return ManifoldScores(*map(float, shares))
