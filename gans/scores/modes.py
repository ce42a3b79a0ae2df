"""Which modes a generator reaches, and how evenly: divergences of discrete distributions, in nats."""

import numpy as np
from scipy.special import rel_entr

SUM_TOLERANCE = 1e-3  # a softmax in float32 is off by less; what is off by more was never a distribution


def _normalised(p):
    p = np.asarray(p, np.float64)
    if p.ndim == 0 or p.size == 0 or not (p >= 0).all():  # false for NaN too
        raise ValueError(f"a distribution must be [..., classes] with values of at least 0: {p}")
    sums = p.sum(-1, keepdims=True)
    if not (np.abs(sums - 1) <= SUM_TOLERANCE).all():
        raise ValueError(f"a distribution must sum to 1, not to {sums.min()}..{sums.max()}")
    return p / sums


def _pair(p, q):
    p, q = _normalised(p), _normalised(q)
    if p.shape[-1] != q.shape[-1]:
        raise ValueError(f"distributions over {p.shape[-1]} and {q.shape[-1]} classes do not compare")
    return p, q


def kl_divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The Kullback-Leibler divergence KL(p || q) = sum p log(p / q) over the last axis, in nats.

    A class with p = 0 adds nothing; one with p > 0 where q = 0 makes the divergence infinite.

    Args:
      p, q: [..., classes], leading axes broadcast.

    Returns:
      float64 [...].

    Raises:
      ValueError: for negative values, sums that are not 1, or different numbers of classes.
    """
    return rel_entr(*_pair(p, q)).sum(-1)


def js_divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The Jensen-Shannon divergence over the last axis, in nats: 0 for equal p and q, log 2 for disjoint ones.

    Arguments, result and errors as in `kl_divergence`; it is always finite.
    """
    p, q = _pair(p, q)
    middle = (p + q) / 2
    return (rel_entr(p, middle).sum(-1) + rel_entr(q, middle).sum(-1)) / 2


def label_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """How often each class occurs: int [classes] of labels [n] in 0..classes - 1.

    Raises:
      ValueError: if labels are empty, no integers, of another shape, or out of range.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not labels.size or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers [n], not {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must lie in 0..{classes - 1}, not in {labels.min()}..{labels.max()}")
    return np.bincount(labels, minlength=classes)


def modes(labels: np.ndarray, classes: int) -> int:
    """The number of classes that occur among labels [n]: Lin et al. 2018, arXiv 1712.04086, section 4 (PacGAN).

    Raises:
      ValueError: as `label_counts`.
    """
    return int(np.count_nonzero(label_counts(labels, classes)))


def kl_of_labels(labels: np.ndarray, data: np.ndarray, classes: int) -> float:
    """KL(generated || data) of labels: Lin et al. 2018, arXiv 1712.04086, section 4 (Stacked MNIST).

    Args:
      labels: int [n], the classes of the generated samples.
      data: the classes of the data, int [m], or their distribution, float [classes].
      classes: how many there are.

    Returns:
      The divergence in nats; infinite if a class is generated that the data lack.

    Raises:
      ValueError: as `label_counts` and `kl_divergence`.
    """
    data = np.asarray(data)
    if data.dtype.kind in "iu":
        counts = label_counts(data, classes)
        data = counts / counts.sum()
    counts = label_counts(labels, classes)
    return float(kl_divergence(counts / counts.sum(), data))
