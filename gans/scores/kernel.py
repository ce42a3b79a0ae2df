"""The kernel distance between two sets of features; with Inception features the Kernel Inception Distance (KID)."""

import numpy as np


def _pair(features_a, features_b):
    a, b = np.asarray(features_a, np.float64), np.asarray(features_b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features must be [n, d] and [m, d], not {a.shape} and {b.shape}")
    return a, b


def _cubic(a, b):
    return (a @ b.T / a.shape[1] + 1) ** 3


def _mean_off_diagonal(kernel):
    count = len(kernel)
    return (kernel.sum() - np.trace(kernel)) / (count * (count - 1))


def squared_mmd(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel k(x, y) = (x.y / d + 1)^3.

    Bińkowski et al. 2018, arXiv 1801.01401; the estimator is Gretton et al. 2012, equation 3. It can
    fall below zero.

    Args:
      features_a, features_b: [n, d] and [m, d].

    Raises:
      ValueError: for other shapes, or fewer than two samples on a side.
    """
    a, b = _pair(features_a, features_b)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"the estimate needs at least 2 samples on each side, not {len(a)} and {len(b)}")
    return float(_mean_off_diagonal(_cubic(a, a)) + _mean_off_diagonal(_cubic(b, b)) - 2 * _cubic(a, b).mean())


def kernel_distance(
    features_a: np.ndarray, features_b: np.ndarray, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """KID: mean and deviation of `squared_mmd` over random subsets, Bińkowski et al. 2018, arXiv 1801.01401.

    Args:
      features_a, features_b: [n, d] and [m, d].
      subsets: how many pairs of subsets.
      subset_size: samples that each subset draws from each side without replacement; the paper's is 1000.
      seed: chooses the subsets.

    Returns:
      (mean, standard deviation over the subsets).

    Raises:
      ValueError: for other shapes, no subsets, or a side with fewer than `subset_size` samples.
    """
    a, b = _pair(features_a, features_b)
    if subsets < 1 or not 2 <= subset_size <= min(len(a), len(b)):
        raise ValueError(f"cannot draw {subsets} subsets of {subset_size} from {len(a)} and {len(b)} samples")
    generator = np.random.default_rng(seed)
    values = [
        squared_mmd(*(side[generator.choice(len(side), subset_size, replace=False)] for side in (a, b)))
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values))
