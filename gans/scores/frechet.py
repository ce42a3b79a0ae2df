"""The Fréchet distance between two sets of features; with Inception features the Fréchet Inception Distance (FID)."""

import numpy as np


def gaussian(features: np.ndarray, *, few: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the unbiased covariance of features.

    Args:
      features: [n, d].
      few: accept n <= d samples. Their covariance is singular, and a distance from it is biased upwards by far: such
        numbers compare only with numbers from the same n.

    Returns:
      (mean [d], covariance [d, d]), float64.

    Raises:
      ValueError: for another shape, values that are not finite, fewer than two samples, or n <= d without `few`.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2:
        raise ValueError(f"features must be [n, d], not {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError("features hold values that are not finite")
    count, size = features.shape
    if count < 2:
        raise ValueError(f"a covariance needs at least 2 samples, not {count}")
    if count <= size and not few:
        raise ValueError(
            f"{count} samples of {size} features have a singular covariance: "
            f"at least {size + 1} are needed, or few=True for a biased distance"
        )
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / (count - 1)


def distance(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """The squared Fréchet distance of two Gaussians: Heusel et al. 2017, arXiv 1706.08500, equation 6.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2). The inner matrix has the eigenvalues of S1 S2 but is
    symmetric, so that its root is real even where the covariances are singular.

    Args:
      mean1, mean2: [d].
      cov1, cov2: [d, d], symmetric and positive semi-definite.

    Raises:
      ValueError: if the shapes do not fit together.
    """
    mean1, cov1, mean2, cov2 = (np.asarray(array, np.float64) for array in (mean1, cov1, mean2, cov2))
    size = mean1.size
    shapes = (mean1.shape, cov1.shape, mean2.shape, cov2.shape)
    if shapes != ((size,), (size, size), (size,), (size, size)):
        raise ValueError(f"means must be [d] and covariances [d, d], not {shapes}")
    values, vectors = np.linalg.eigh(cov1)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ cov2 @ root)
    squared = np.square(mean1 - mean2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * np.sqrt(inner.clip(0)).sum()
    return float(max(squared, 0.0))  # rounding alone can bring it below zero


def frechet_distance(features_a: np.ndarray, features_b: np.ndarray, *, few: bool = False) -> float:
    """The squared Fréchet distance of Gaussians fitted to two sets of features, [n, d] and [m, d].

    FID where the features are Inception's: Heusel et al. 2017, arXiv 1706.08500. Its bias depends on the number of
    samples, so that only distances from equal numbers compare (Bińkowski et al. 2018, arXiv 1801.01401).

    Raises:
      ValueError: as `gaussian`, which explains `few`, and `distance`.
    """
    return distance(*gaussian(features_a, few=few), *gaussian(features_b, few=few))
