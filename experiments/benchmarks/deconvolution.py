"""Deblurring without learning, given the true kernel: Wiener's filter and Richardson-Lucy, from scikit-image.

Pictures are [height, width, 3] in [-1, 1]. Both methods take what lies beyond the border into account: here it is the
picture mirrored.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from skimage import restoration

Scores = Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]]


class Method(NamedTuple):
    """A way to deconvolve.

    restore:    (source, kernel, parameter) -> the restored picture.
    parameter:  its name.
    candidates: values of the parameter to choose from.
    """

    restore: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    parameter: str
    candidates: Sequence[float]


def wiener(source: np.ndarray, kernel: np.ndarray, balance: float) -> np.ndarray:
    """The linear filter of Hunt 1973, with a Laplacian that weighs `balance` against noise."""

    def deconvolve(padded):
        channels = [restoration.wiener(padded[..., c], kernel, balance, clip=False) for c in range(3)]
        return np.stack(channels, -1)

    return _mirrored(source, kernel, deconvolve)


def richardson_lucy(source: np.ndarray, kernel: np.ndarray, iterations: int) -> np.ndarray:
    """Richardson 1972 and Lucy 1974: so many steps towards the likeliest picture under Poisson noise."""
    return _mirrored(
        source, kernel, lambda padded: restoration.richardson_lucy(padded, kernel[..., None], iterations, clip=False)
    )


def _mirrored(source, kernel, deconvolve):
    margin = kernel.shape[0]
    padded = np.pad(source / 2 + 0.5, ((margin, margin), (margin, margin), (0, 0)), "symmetric")
    return np.clip(2 * deconvolve(padded)[margin:-margin, margin:-margin] - 1, -1, 1).astype(np.float32)


METHODS = MappingProxyType(
    {
        "Wiener": Method(wiener, "balance", tuple(10 ** (-half / 2) for half in range(1, 10))),
        "Richardson-Lucy": Method(richardson_lucy, "iterations", (3, 5, 10, 20, 40, 80)),
    }
)


def batch(method: Method, examples: Mapping[str, np.ndarray], value: float) -> np.ndarray:
    """The method on all of a batch's `source` [n, height, width, 3] with their `kernel`."""
    pairs = zip(examples["source"], examples["kernel"], strict=True)
    return np.stack([method.restore(np.asarray(source), np.asarray(kernel), value) for source, kernel in pairs])


def tune(method: Method, examples: Mapping[str, np.ndarray], scores: Scores) -> dict[str, float]:
    """The value of the method's parameter that is best on training photographs, {score: value} for each score.

    Args:
      method: in `METHODS`.
      examples: `source`, `kernel` and `image`, the originals.
      scores: (restored, originals) -> {score: one value a picture}; larger is better but for names that begin `lpips`.
    """
    found = {}
    for value in method.candidates:
        for name, values in scores(batch(method, examples, value), examples["image"]).items():
            worth = float(np.mean(values)) * (-1 if name.startswith("lpips") else 1)
            found.setdefault(name, []).append((worth, value))
    return {name: max(worths)[1] for name, worths in found.items()}
