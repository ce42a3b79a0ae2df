"""Square cells of photographs of any sizes, read by index: arrays for `batching` that need not fit into memory."""

import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines import DataError, pictures

# Bytes of decoded photographs that a library keeps.
BUDGET = 4 * 2**30


class Scene(NamedTuple):
    """A photograph, or several pictures of one scene that agree pixel by pixel.

    `name` is told to the user; `files` are the pictures' paths, and `height` and `width` are those of each, after one
    pixel was made of each square of `shrink` by `shrink`; scenes of one `group` are too alike to be split; `split` is
    where the set itself puts the scene, '' if it does not say.
    """

    name: str
    files: tuple[str, ...]
    group: str
    split: str = ""
    height: int = 0
    width: int = 0
    shrink: int = 1

    def shrunk(self, shrink: int) -> "Scene":
        """The scene with its measured pictures shrunk; what is left of a square at an edge makes a pixel too."""
        height, width = -(-self.height // shrink), -(-self.width // shrink)
        return self._replace(height=height, width=width, shrink=shrink)


class Library:
    """Decodes scenes and keeps as many as fit into `budget` bytes, the latest asked for. Threads may share it.

    `damaged`: {name: why} of the scenes that could not be decoded so far.
    """

    def __init__(self, budget: int = BUDGET):
        self.damaged: dict[str, str] = {}
        self._budget, self._used = budget, 0
        self._kept: OrderedDict[tuple[str, ...], tuple[np.ndarray, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, scene: Scene) -> tuple[np.ndarray, ...] | None:
        """The scene's pictures, uint8 [height, width, 3] each; None, with one warning, if one of them is damaged."""
        with self._lock:
            if scene.name in self.damaged:
                return None
            if scene.files in self._kept:
                self._kept.move_to_end(scene.files)
                return self._kept[scene.files]
        # Without the lock, so that threads decode side by side; at worst two decode the same.
        try:
            decoded = tuple(_decode(path, scene) for path in scene.files)
        # A damaged file shows itself in many ways.
        except Exception as error:
            self._mark(scene, f"{type(error).__name__}: {error}")
            return None
        with self._lock:
            if scene.files not in self._kept:
                self._kept[scene.files] = decoded
                self._used += sum(picture.nbytes for picture in decoded)
            while self._used > self._budget:
                _, dropped = self._kept.popitem(last=False)
                self._used -= sum(picture.nbytes for picture in dropped)
        return decoded

    def _mark(self, scene, why):
        with self._lock:
            known = scene.name in self.damaged
            self.damaged[scene.name] = why
        if not known:
            warnings.warn(f"{scene.name}: is left out, as it cannot be read ({why})", stacklevel=3)


def whole(scenes: Iterable[Scene]) -> Iterator[tuple[Scene, tuple[np.ndarray, ...]]]:
    """Each scene with its pictures, one at a time; with one warning each, damaged ones are left out."""
    library = Library(budget=0)
    for scene in scenes:
        found = library.read(scene)
        if found is not None:
            yield scene, found


def _decode(path, scene):
    picture = np.asarray(pictures.decode(path).reduce(scene.shrink))
    if picture.shape[:2] != (scene.height, scene.width):
        raise ValueError(f"is {picture.shape[:2]}, but its head says {(scene.height, scene.width)}")
    return picture


class Cells:
    """Cells on a regular grid over scenes, as uint8 [n, cell, cell, 3] that integers, arrays of them or slices index.

    Cells whose grid overlaps end with one that touches the scene's border, so a crop of at most cell - stride + 1
    pixels reaches every place. The cells of a scene that turns out to be damaged are taken, always the same, from the
    next whole one. Threads may share it.

    Args:
      scenes: none smaller than a cell.
      library: decodes them; several `Cells` may share it.
      cell: side, pixels.
      stride: pixels from one cell to the next, at most `cell`.
      picture: which of each scene's pictures.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, scenes: Sequence[Scene], library: Library, cell: int, stride: int, picture: int = 0):
        self._scenes, self._library, self._cell, self._picture = list(scenes), library, cell, picture
        self._corners = [_corners(scene, cell, stride) for scene in self._scenes]
        # The first cell of each scene, and the end.
        self._starts = np.cumsum([0, *(len(corners) for corners in self._corners)])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self), self._cell, self._cell, 3

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, rows) -> np.ndarray:
        # Whatever indexes an array: out of range, negative, slices.
        rows = np.arange(len(self))[rows]
        numbers = np.searchsorted(self._starts, rows.ravel(), side="right") - 1
        cells = np.empty((rows.size, self._cell, self._cell, 3), np.uint8)
        for number in np.unique(numbers):
            places = np.flatnonzero(numbers == number)
            photograph, corners = self._find(number)
            for place, row in zip(places, rows.ravel()[places] - self._starts[number], strict=True):
                top, left = corners[row % len(corners)]
                cells[place] = photograph[top : top + self._cell, left : left + self._cell]
        return cells.reshape(*rows.shape, *cells.shape[1:])

    def _find(self, number):
        """The pixels and the cells' corners of a scene, or of the next that is whole."""
        for i in np.roll(np.arange(len(self._scenes)), -number):
            found = self._library.read(self._scenes[i])
            if found is not None:
                return found[self._picture], self._corners[i]
        raise DataError(f"none of the {len(self._scenes)} photographs can be read: {self._library.damaged}")


def _corners(scene, cell, stride) -> np.ndarray:
    """Top and left of the scene's cells: int [n, 2]."""
    tops, lefts = (_starts(length, cell, stride) for length in (scene.height, scene.width))
    return np.stack(np.meshgrid(tops, lefts, indexing="ij"), -1).reshape(-1, 2)


def _starts(length, cell, stride):
    starts = np.arange(0, length - cell + 1, stride)
    last = length - cell
    return np.append(starts, last) if stride < cell and starts[-1] < last else starts
