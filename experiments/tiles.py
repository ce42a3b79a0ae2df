"""Pictures of any size through a network, tile by tile: without seams and in bounded memory.

What a network makes of a pixel depends on the source within its reach alone. So a tile is made from a window of the
source that shows as much more to each side, and only what stands far enough from the window's own border is kept. Where
the window touches the picture's border both end, and the network pads there as it does for the whole picture. Hence
each kept pixel is what the whole picture would give, to rounding, and no seam can be: nothing has to be blended. Batch
norm in inference mode works on each pixel alone and changes nothing of this.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

MEMORY = 2**30  # bytes that one tile's intermediate results may take
LARGEST = 2048  # side of a tile's pictures, pixels; XLA:CPU breaks off at some convolutions from 4,608 on
STEP = 64  # pixels by which windows grow, so that pictures of many sizes share compiled programs


class Network(NamedTuple):
    """What is applied to a picture.

    program:   (height, width) -> a compiled program from `variables` and a source float32 [1, height, width, 3] in
               [-1, 1] to a tuple of pictures [1, scale * height, scale * width, 3]; it keeps what it has compiled.
    variables: whatever the program takes.
    scale:     of the pictures.
    reach:     how many pixels of the source beyond its own a pixel can see, to each side.
    multiple:  what a source's sides must be divisible by.
    """

    program: Callable[[int, int], jax.stages.Compiled]
    variables: Any
    scale: int
    reach: int
    multiple: int


class Window(NamedTuple):
    """A window from `start` to `stop` along one side of a picture, of which `first` to `last` is kept; pixels."""

    start: int
    stop: int
    first: int
    last: int


def windows(length: int, largest: int, margin: int, step: int) -> list[Window]:
    """Windows of one size along a side of a picture, whose kept parts cover it without overlap.

    Args:
      length: of the side.
      largest: size of a window, above twice the margin.
      margin: what is not kept at those ends of a window that are not the side's.
      step: what sizes are rounded up to, where `largest` and the side allow it.

    Returns: windows that start at multiples of whatever divides all four.
    """
    if length <= largest:
        return [Window(0, length, 0, length)]
    count = math.ceil((length - 2 * margin) / (largest - 2 * margin))
    size = min(_rounded_up(math.ceil((length - 2 * margin) / count) + 2 * margin, step), largest)
    starts = [min(index * (size - 2 * margin), length - size) for index in range(count)]
    ends = [0, *(start + margin for start in starts[1:]), length]
    return [Window(*one) for one in zip(starts, (s + size for s in starts), ends[:-1], ends[1:], strict=True)]


def _rounded_up(number, multiple):
    return math.ceil(number / multiple) * multiple


def apply(
    network: Network, picture: np.ndarray, memory: int = MEMORY
) -> Iterator[tuple[int, int, tuple[np.ndarray, ...]]]:
    """The network's pictures in pieces that lie side by side.

    A picture with sides that are not divisible as the network wants is mirrored at the right and at the bottom, and
    the pieces end where the picture does.

    Args:
      network: what is applied.
      picture: uint8 [height, width, 3].
      memory: bytes that the intermediate results of one tile may take; tiles of the smallest useful size may take more.

    Yields: (top, left, pieces): float32 [rows, columns, 3] of each of the network's pictures, and where they begin.
    """
    height, width = picture.shape[:2]
    down, right = -height % network.multiple, -width % network.multiple
    padded = np.pad(picture, ((0, down), (0, right), (0, 0)), "symmetric") if down or right else picture
    margin, step = (_rounded_up(least, network.multiple) for least in (network.reach, STEP))
    largest = _largest(network, padded.shape, 2 * margin + step, step, memory)
    columns = windows(padded.shape[1], largest, margin, step)
    for row in windows(padded.shape[0], largest, margin, step):
        for column in columns:
            window = padded[row.start : row.stop, column.start : column.stop]
            source = (window[None].astype(np.float32) - 127.5) * np.float32(1 / 127.5)
            pieces = network.program(*window.shape[:2])(network.variables, source)
            cut = tuple(
                slice(network.scale * (one.first - one.start), network.scale * (min(one.last, end) - one.start))
                for one, end in ((row, height), (column, width))
            )
            yield (
                network.scale * row.first,
                network.scale * column.first,
                tuple(np.asarray(piece)[0][cut] for piece in pieces),
            )


def _largest(network: Network, shape: tuple[int, ...], smallest: int, step: int, memory: int) -> int:
    """The size of the largest windows that `memory` allows, told from what the compiler says of the smallest."""
    if max(shape[:2]) <= smallest:
        return smallest
    used = network.program(smallest, smallest).memory_analysis().temp_size_in_bytes
    side = min(LARGEST // network.scale, int(smallest * math.sqrt(memory / used)))
    return max(side // step * step, smallest)
