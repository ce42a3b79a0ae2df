"""Deblurring without learning, given the true kernel: Wiener's filter and Richardson-Lucy, from scikit-image.

Pictures are [height, width, 3] in [-1, 1]. Both methods see the picture as part of a larger one, whose margin is
estimated first, see `_extended`: without that they fall far behind for large kernels.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from scipy import fft
from skimage import restoration

ROUNDS = 8  # in which the margin is found
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
    wide = _extended(source / 2 + 0.5, kernel, balance)
    return _inner(_filtered(wide, kernel, balance), kernel)


def richardson_lucy(source: np.ndarray, kernel: np.ndarray, iterations: int) -> np.ndarray:
    """Richardson 1972 and Lucy 1974: so many steps towards the likeliest picture under Poisson noise."""
    wide = _extended(source / 2 + 0.5, kernel, 0.1)
    return _inner(restoration.richardson_lucy(wide, kernel[..., None], iterations, clip=False), kernel)


def _extended(source, kernel, balance):
    """The blurred picture with a margin, found by turns: what would the filter's result look like there, blurred?

    Mirrored margins are no blurred picture, and the filter would answer them with waves all over the picture.
    """
    margin = kernel.shape[0]
    wide = np.pad(source, ((margin, margin), (margin, margin), (0, 0)), "symmetric")
    inside = np.zeros((*wide.shape[:2], 1), bool)
    inside[margin:-margin, margin:-margin] = True
    around = np.pad(kernel, [(0, side - margin) for side in wide.shape[:2]])
    spectrum = fft.rfft2(np.roll(around, (-(margin // 2),) * 2, (0, 1)))[..., None]
    for _ in range(ROUNDS):
        sharp = np.clip(_filtered(wide, kernel, balance), 0, 1)
        blurred = fft.irfft2(fft.rfft2(sharp, axes=(0, 1)) * spectrum, wide.shape[:2], axes=(0, 1))
        wide = np.where(inside, wide, blurred)
    return wide


def _filtered(wide, kernel, balance):
    return np.stack([restoration.wiener(wide[..., c], kernel, balance, clip=False) for c in range(3)], -1)


def _inner(wide, kernel):
    margin = kernel.shape[0]
    return np.clip(2 * wide[margin:-margin, margin:-margin] - 1, -1, 1).astype(np.float32)


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
