"""Scores of what a classifier says about generated samples."""

import numpy as np

from gans.scores.modes import kl_divergence


def _rows(probabilities):
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or not len(probabilities):
        raise ValueError(f"probabilities must be [n, classes], not {probabilities.shape}")
    return probabilities


def _mutual_information(probabilities):
    return kl_divergence(probabilities, probabilities.mean(0)).mean()


def inception_score(probabilities: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """exp(E_x KL(p(y|x) || p(y))): Salimans et al. 2016, arXiv 1606.03498, section 4.

    It lies between 1 and the number of classes. The paper takes 50,000 samples, and splits keep their order.

    Args:
      probabilities: p(y|x), [n, classes].
      splits: parts of consecutive samples that are scored by themselves.

    Returns:
      (mean, standard deviation over the splits).

    Raises:
      ValueError: if the rows are no distributions, or fewer than `splits`.
    """
    probabilities = _rows(probabilities)
    if not 1 <= splits <= len(probabilities):
        raise ValueError(f"cannot split {len(probabilities)} samples into {splits}")
    scores = [np.exp(_mutual_information(part)) for part in np.array_split(probabilities, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def mode_score(probabilities: np.ndarray, data_probabilities: np.ndarray) -> float:
    """exp(E_x KL(p(y|x) || p(y)) - KL(p(y) || p*(y))), with p(y) of the samples and p*(y) of the data.

    Che et al. 2017, arXiv 1612.02136, in the form of Xu et al. 2018, arXiv 1806.07755. (It matters that the first term
    holds p(y): with p*(y) in both, the second cancels and the Inception score remains.)

    Args:
      probabilities: p(y|x) of generated samples, [n, classes].
      data_probabilities: p(y|x) of the data, [m, classes].

    Returns:
      At most the Inception score of the samples in one split; 0 if they reach a class that the data lack.

    Raises:
      ValueError: if the rows are no distributions over the same classes.
    """
    probabilities, data_probabilities = _rows(probabilities), _rows(data_probabilities)
    shift = kl_divergence(probabilities.mean(0), data_probabilities.mean(0))
    return float(np.exp(_mutual_information(probabilities) - shift))
