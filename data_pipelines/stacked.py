"""Stacked digits: three digits as the colours of one picture, a thousand modes whose number is known.

A generator that loses modes shows here: Metz et al. (arXiv 1611.02163) and PacGAN (arXiv 1712.04086) count
how many of the thousand combinations appear among its samples.
"""

from typing import NamedTuple

import numpy as np

from data_pipelines import DataError


class Sizes(NamedTuple):
    """What a stacked set is made of: the set of its digits, and how many pictures each split has."""

    base: str
    train: int
    test: int


# As many pictures of MNIST as PacGAN takes to train with, and to judge.
SETS = {"stacked_mnist": Sizes("mnist", 128_000, 26_000), "stacked_digits5k": Sizes("digits5k", 20_000, 2_000)}
# Philox' key of each split.
KEYS = {"train": 1000, "test": 1001}


def stack(images: np.ndarray, labels: np.ndarray, count: int, key: int) -> dict[str, np.ndarray]:
    """Pictures whose red, green and blue are three digits drawn independently, with replacement.

    Word 3 * i + c of Philox' raw stream, modulo n, is the digit in channel c of picture i: so the first pictures of
    a longer set are the shorter one's, and every numpy gives the same.

    Args:
      images: uint8 [n, height, width, 1].
      labels: int64 [n], in 0..9.
      count: pictures to make, at least 1.
      key: of the stream, in [0, 2**128).

    Returns: {'image': uint8 [count, height, width, 3], 'label': int64 [count]}, label = 100 red + 10 green + blue.

    Raises:
      DataError: images of several channels, or labels outside 0..9.
    """
    if images.shape[-1] != 1 or labels.min() < 0 or labels.max() > 9:
        raise DataError(
            f"stacking takes pictures of one channel with labels 0..9, not of {images.shape[-1]} with labels "
            f"{labels.min()}..{labels.max()}: give digits as MNIST has them"
        )
    words = np.random.Philox(key=key).random_raw(3 * count)
    rows = (words % np.uint64(len(images))).astype(np.int64).reshape(count, 3)
    image = np.empty((count, *images.shape[1:3], 3), np.uint8)
    for channel in range(3):
        image[..., channel] = images[rows[:, channel], ..., 0]
    return {"image": image, "label": labels[rows] @ np.array([100, 10, 1])}
