"""A run's samples over time, as PNG files in so few bytes that a page can hold those of all runs."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

BYTES = 3_500_000  # of all runs together
FRAMES = 24  # of a run, at most
FEW = 3  # pictures that are kept at the price of their size
SIDE, LEAST = 1600, 240  # pixels: the longer side of a picture, at most, and when it is made smaller


class Film(NamedTuple):
    """Some of a run's pictures.

    frames: (step, PNG file) by step.
    size:   (width, height) of the last.
    said:   what was done to make them few and small, or ''.
    """

    frames: list[tuple[int, bytes]]
    size: tuple[int, int]
    said: str


def film(pictures: Sequence[tuple[int, Path]], allowance: int) -> Film | None:
    """A run's pictures in at most `allowance` bytes, unless a single small one is larger; None if there is none.

    First there are fewer, evenly in time and with the first and the last, then they are made smaller, and then there
    are fewer still. A file that is no picture is left out.
    """
    whole = {step: opened for step, path in pictures if (opened := _read(path))}
    if not whole:
        return None
    steps = list(whole)
    side = min(SIDE, max(max(size) for size, _ in whole.values()))
    least = min(LEAST, side)
    chosen = _spread(steps, FRAMES)
    frames = _at(whole, chosen, side)
    while _bytes(frames) > allowance and (len(chosen) > 1 or side > least):
        if len(chosen) > FEW or side == least:
            fitting = int(len(chosen) * allowance / _bytes(frames))
            floor = FEW if len(chosen) > FEW else 1
            chosen = _spread(chosen, max(min(fitting, len(chosen) - 1), floor))
        else:
            side = max(int(side * max(0.9 * math.sqrt(allowance / _bytes(frames)), 0.5)), least)
        frames = _at(whole, chosen, side)
    last = Image.open(io.BytesIO(frames[-1][1])).size
    return Film(frames, last, _said(len(steps), len(chosen), whole[steps[-1]][0], last))


def _said(all_, shown, before, after):
    said = [f"{shown} of {all_} pictures"] if shown < all_ else []
    if after != before:
        said.append(f"scaled down from {before[0]} × {before[1]} to {after[0]} × {after[1]} pixels")
    return ", ".join(said)


def _read(path):
    """((width, height), the file's bytes), or None for what is no whole PNG."""
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
            picture.load()
            return picture.size, content
    except (OSError, ValueError, SyntaxError):
        return None


def _spread(steps, count):
    """`count` of the steps, evenly, the last always and the first unless the last stands alone."""
    if len(steps) <= count:
        return list(steps)
    if count == 1:
        return [steps[-1]]
    return [steps[round(index * (len(steps) - 1) / (count - 1))] for index in range(count)]


def _at(whole, steps, side):
    return [(step, _scaled(*whole[step], side)) for step in steps]


def _scaled(size, content, side):
    factor = side / max(size)
    if factor >= 1:
        return content
    with Image.open(io.BytesIO(content)) as picture:
        mode = "RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB"
        smaller = picture.convert(picture.mode if picture.mode == "L" else mode)
        smaller = smaller.resize([max(round(length * factor), 1) for length in size], Image.Resampling.LANCZOS)
    with io.BytesIO() as file:
        smaller.save(file, "PNG")
        return file.getvalue()


def _bytes(frames):
    return sum(len(content) for _, content in frames)
