"""Pickles of NumPy arrays in dictionaries, read without executing what a pickle may hold."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import strict_pickles
from experiments.commands import UsageError
from experiments.torch_files import LARGEST, UNREADABLE

DEEPEST = 8  # dictionaries in each other


class _Recorded:
    """Stands in for an array or its type: keeps the state that the pickle gives it, and does nothing with it."""

    def __init__(self, *arguments):
        self.arguments, self.state = arguments, ()

    def __setstate__(self, state):
        self.state = state


def _recorded(*arguments):
    return _Recorded(*arguments)


# The names in a pickled array, of NumPy 1 and 2, and what stands in for them.
ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _recorded,
    ("numpy._core.multiarray", "_reconstruct"): _recorded,
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _recorded,
}


def _array(recorded):
    _, shape, dtype, in_columns, content = recorded.state
    if (dtype.arguments[0], dtype.state[1]) != ("f4", "<"):
        raise ValueError("it holds arrays of another type than float32")
    return np.frombuffer(content, "<f4").reshape(shape, order="F" if in_columns else "C")


def _arrays(value, deepest=DEEPEST):
    if isinstance(value, dict):
        if not deepest:
            raise ValueError("it holds dictionaries in dictionaries in dictionaries")
        return {str(name): _arrays(entry, deepest - 1) for name, entry in value.items()}
    if not isinstance(value, _Recorded):
        raise ValueError(f"it holds {type(value).__name__}, not only arrays")
    return _array(value)


def read(path: Path) -> dict[str, Any]:
    """The dictionary of float32 arrays, or of further such dictionaries, that a pickle holds.

    Raises:
      UsageError: if it is no such file, or asks for anything that such arrays do not need.
    """
    try:
        value = strict_pickles.Unpickler(strict_pickles.content(path, LARGEST), ADMITTED).load()
        if not isinstance(value, dict):
            raise ValueError("it holds no dictionary")
        return _arrays(value)
    except UNREADABLE as error:
        raise UsageError(f"{path} cannot be read as a pickle of arrays: {error}.") from error
