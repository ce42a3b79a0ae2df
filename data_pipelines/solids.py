"""Solids: drawn tables, chairs and aeroplanes, a set of voxels that needs neither files nor a network.

Every solid is a few boxes, cylinders and swept plates in proportions of its own, in the axes of `volumes`: y points
up, a chair faces +z, an aeroplane flies towards +z. It is a pure function of (seed, index), the same at every
resolution but for the size of its voxels, and in every numpy.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from data_pipelines import DataError

CLASSES = ("table", "chair", "aeroplane")


# Sides of the grids of both sets.
SETS = {"solids": 32, "solids64": 64}
# Of each split the number of solids, a third a class, and the seed, so that no solid is in both.
COUNTS, SEEDS = {"train": 3_000, "test": 300}, {"train": 0, "test": 1}
# Like meshes, a solid leaves this part of the grid free on each side.
_MARGIN = 1 / 32
# Nothing is thinner than this: a voxel of the coarser grid where a solid is at its longest (1.07) shrunk to fit, so
# that every part meets the centre of a voxel.
_THIN = 1.25 / 32


def read(resolution: int, classes: tuple[str, ...] = ()) -> dict[str, dict[str, np.ndarray]]:
    """The solids of both splits.

    Args:
      resolution: as of `solid`.
      classes: those wanted, numbered in this order; none means all of `CLASSES`.

    Returns: {'train': {'image': uint8 [n, r, r, r, 1] in {0, 1}, 'label': int64 [n]}, 'test': the same}.

    Raises:
      DataError: a class that there is not.
    """
    chosen = tuple(classes) or CLASSES
    if strange := [name for name in chosen if name not in CLASSES]:
        raise DataError(f"solids have no class {strange[0]!r}; choose from {', '.join(CLASSES)}")
    return {split: _split(SEEDS[split], count, resolution, chosen) for split, count in COUNTS.items()}


def _split(seed, count, resolution, chosen):
    numbers = [i for i in range(count) if CLASSES[i % len(CLASSES)] in chosen]
    image = np.empty((len(numbers), resolution, resolution, resolution, 1), np.uint8)
    for row, index in enumerate(numbers):
        image[row, ..., 0] = solid(seed, index, resolution)
    label = [chosen.index(CLASSES[i % len(CLASSES)]) for i in numbers]
    return {"image": image, "label": np.array(label, np.int64)}


def solid(seed: int, index: int, resolution: int) -> np.ndarray:
    """One solid, of class CLASSES[index % 3], uint8 [resolution, resolution, resolution] in {0, 1}.

    Args:
      seed, index: in [0, 2**64).
      resolution: at least 32.
    """
    # Raw words, since raw streams never change; Generator.uniform may from one numpy to the next.
    words = np.random.Philox(key=np.array([seed, index], np.uint64)).random_raw(32)
    numbers = iter((words >> np.uint64(11)) * 2.0**-53)
    parts = (_table, _chair, _aeroplane)[index % len(CLASSES)](numbers)
    return _rasterise(list(parts), resolution)


class _Box(NamedTuple):
    """Low and high corner (x, y, z)."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def bounds(self):
        return self.low, self.high

    def mask(self, x, y, z):
        inside = [(a <= c) & (c <= b) for a, c, b in zip(self.low, (x, y, z), self.high, strict=True)]
        return inside[0] & inside[1] & inside[2]


class _Cylinder(NamedTuple):
    """Along an axis (0, 1, 2) from `low` to `high`, round the centre (of the other two axes, in their order).

    Its radius goes in a straight line from `start` at the low end to `end` at the high one.
    """

    axis: int
    low: float
    high: float
    centre: tuple[float, float]
    start: float
    end: float

    def bounds(self):
        widest = max(self.start, self.end)
        low, high = ([c + sign * widest for c in self.centre] for sign in (-1, 1))
        low.insert(self.axis, self.low)
        high.insert(self.axis, self.high)
        return low, high

    def mask(self, *axes):
        a, b = (c for axis, c in enumerate(axes) if axis != self.axis)
        along = axes[self.axis]
        radius = self.start + (self.end - self.start) * (along - self.low) / (self.high - self.low)
        inside = (a - self.centre[0]) ** 2 + (b - self.centre[1]) ** 2 <= radius**2
        return inside & (along >= self.low) & (along <= self.high)


class _Plate(NamedTuple):
    """A plate swept backwards, as wings and fins are: thick along one axis, and from `root` to `tip` along another.

    `span` is the axis (0 or 1) along which it reaches; both signs of x where it is 0 and `mirrored`. At its root it
    covers z from `front` - `chord` to `front`; at its tip both are moved back by `sweep`, and the chord is `tip_chord`.
    """

    span: int
    root: float
    tip: float
    middle: float  # of its thickness, on the axis across
    thickness: float
    front: float
    chord: float
    sweep: float
    tip_chord: float
    mirrored: bool

    def bounds(self):
        half = self.thickness / 2
        low, high = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        low[self.span], high[self.span] = (-self.tip if self.mirrored else self.root), self.tip
        low[1 - self.span], high[1 - self.span] = self.middle - half, self.middle + half
        low[2] = min(self.front - self.chord, self.front - self.sweep - self.tip_chord)
        high[2] = max(self.front, self.front - self.sweep)
        return low, high

    def mask(self, *axes):
        along = np.abs(axes[self.span]) if self.mirrored else axes[self.span]
        share = (along - self.root) / (self.tip - self.root)
        front = self.front - self.sweep * share
        chord = self.chord + (self.tip_chord - self.chord) * share
        inside = (axes[2] <= front) & (axes[2] >= front - chord) & (share >= 0) & (share <= 1)
        return inside & (np.abs(axes[1 - self.span] - self.middle) <= self.thickness / 2)


def _rasterise(parts, resolution):
    """Solid is each voxel whose centre lies in a part, when all parts are moved and scaled together to fit the grid."""
    corners = np.array([part.bounds() for part in parts])
    low, high = corners[:, 0].min(0), corners[:, 1].max(0)
    scale = (high - low).max() / (1 - 2 * _MARGIN)
    centres = (np.arange(resolution) + 0.5) / resolution - 0.5
    x, y, z = (
        (centres * scale + (a + b) / 2).reshape(shape)
        for a, b, shape in zip(low, high, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True)
    )
    volume = np.zeros((resolution,) * 3, bool)
    for part in parts:
        volume |= part.mask(x, y, z)
    return volume.astype(np.uint8)


def _between(numbers: Iterator[float], low: float, high: float) -> float:
    return low + (high - low) * next(numbers)


def _leg(x, z, low, high, thickness, round_):
    half = thickness / 2
    if round_:
        # The circle of a thin leg could fall between the centres of voxels; its square cannot.
        return _Cylinder(1, low, high, (x, z), max(half, 0.75 / 32), max(half, 0.75 / 32))
    return _Box((x - half, low, z - half), (x + half, high, z + half))


def _legs(width, depth, height, thickness, round_):
    inset = thickness / 2
    for x in (inset - width / 2, width / 2 - inset):
        for z in (inset - depth / 2, depth / 2 - inset):
            yield _leg(x, z, 0, height, thickness, round_)


def _table(numbers):
    width, depth = _between(numbers, 0.7, 1.0), _between(numbers, 0.4, 0.95)
    height, top = _between(numbers, 0.3, 0.75), _between(numbers, _THIN, 0.09)
    thickness = _between(numbers, 0.05, 0.11)
    round_top, kind, round_legs = next(numbers) < 0.3, next(numbers), next(numbers) < 0.5
    shelf, apron = next(numbers), next(numbers)
    if round_top:
        depth = width
        yield _Cylinder(1, height - top, height, (0, 0), width / 2, width / 2)
    else:
        yield _Box((-width / 2, height - top, -depth / 2), (width / 2, height, depth / 2))
    if kind < 0.25:
        # One column on a foot.
        foot = 0.32 * min(width, depth)
        yield _Cylinder(1, 0, height, (0, 0), thickness, 0.7 * thickness)
        if round_legs:
            yield _Cylinder(1, 0, max(top, _THIN), (0, 0), foot, foot)
        else:
            yield _Box((-foot, 0, -thickness / 2), (foot, max(top, _THIN), thickness / 2))
            yield _Box((-thickness / 2, 0, -foot), (thickness / 2, max(top, _THIN), foot))
        return
    if kind < 0.4 and not round_top:
        # Two walls.
        wall = max(thickness, 0.06)
        for x in (-0.5 * width + 0.5 * wall + 0.05, 0.5 * width - 0.5 * wall - 0.05):
            yield _Box((x - wall / 2, 0, -0.42 * depth), (x + wall / 2, height, 0.42 * depth))
    else:
        # Legs within the circle of a round top.
        inner = 0.68 if round_top else 1.0
        yield from _legs(inner * width, inner * depth, height, thickness, round_legs)
    if shelf < 0.35 and not round_top:
        level = height * (0.15 + 0.4 * shelf)
        yield _Box((-0.48 * width, level, -0.48 * depth), (0.48 * width, level + _THIN, 0.48 * depth))
    elif apron < 0.4 and not round_top:
        edge = height - top - 0.06
        for z in (-depth / 2 + thickness / 2, depth / 2 - thickness / 2):
            yield _Box((-width / 2, edge, z - _THIN / 2), (width / 2, height, z + _THIN / 2))


def _chair(numbers):
    width, depth = _between(numbers, 0.42, 0.62), _between(numbers, 0.42, 0.6)
    seat, thickness = _between(numbers, 0.36, 0.5), _between(numbers, _THIN, 0.09)
    leg, back = _between(numbers, 0.04, 0.075), _between(numbers, 0.85, 1.05)
    kind, arms, panel, round_legs = next(numbers), next(numbers), next(numbers), next(numbers) < 0.5
    slats, bars, board = int(_between(numbers, 3, 6)), int(_between(numbers, 2, 4)), _between(numbers, _THIN, 0.055)
    yield _Box((-width / 2, seat - thickness, -depth / 2), (width / 2, seat, depth / 2))
    if kind < 0.62:
        yield from _legs(width, depth, seat, leg, round_legs)
        if kind < 0.2:
            level = 0.35 * seat
            for x in (leg / 2 - width / 2, width / 2 - leg / 2):
                yield _Box((x - _THIN / 2, level, -depth / 2), (x + _THIN / 2, level + _THIN, depth / 2))
    elif kind < 0.82:
        # An office chair: a column on a star of four feet.
        yield _Cylinder(1, 0, seat, (0, 0), 0.045, 0.045)
        yield _Box((-width / 2, 0, -0.03), (width / 2, 0.05, 0.03))
        yield _Box((-0.03, 0, -depth / 2), (0.03, 0.05, depth / 2))
    else:
        # A solid seat that stands on the floor, as armchairs do.
        yield _Box((-width / 2, 0.06, -depth / 2), (width / 2, seat, depth / 2))
        yield from _legs(width, depth, 0.06, leg, round_legs)
    yield from _back(width, depth, seat, back, panel, slats, bars, board, leg)
    if arms < 0.45 or kind >= 0.82:
        level, arm = seat + 0.2 + 0.1 * arms, max(leg, 0.05)
        for x in (arm / 2 - width / 2, width / 2 - arm / 2):
            low = seat if kind >= 0.82 else level - arm
            yield _Box((x - arm / 2, low, -depth / 2), (x + arm / 2, level, 0.4 * depth))
            yield _Box((x - arm / 2, seat, 0.4 * depth - arm), (x + arm / 2, level, 0.4 * depth))


def _back(width, depth, seat, top, panel, slats, bars, board, post):
    rear, side = -depth / 2, width / 2
    if panel < 0.4:
        gap = 0.12 * (panel < 0.12)
        yield _Box((-side, seat + gap, rear), (side, top, rear + board))
        if not gap:
            return
    for x in (post / 2 - side, side - post / 2):
        yield _Box((x - post / 2, seat, rear), (x + post / 2, top, rear + max(post, board)))
    if panel < 0.4:
        return
    yield _Box((-side, top - 0.08, rear), (side, top, rear + board))
    if panel < 0.7:
        for x in np.linspace(-side, side, slats + 2)[1:-1]:
            yield _Box((x - 0.018, seat, rear), (x + 0.018, top, rear + board))
    else:
        for y in np.linspace(seat, top - 0.04, bars + 1)[1:-1]:
            yield _Box((-side, y - 0.03, rear), (side, y + 0.03, rear + board))


def _aeroplane(numbers):
    length, radius = 1.0, _between(numbers, 0.05, 0.085)
    span, chord = _between(numbers, 0.36, 0.52), _between(numbers, 0.13, 0.24)
    sweep, taper, place = _between(numbers, 0.0, 0.3), _between(numbers, 0.3, 0.8), _between(numbers, 0.5, 0.66)
    high, engines, tail = next(numbers), next(numbers), next(numbers)
    fin, nose, rear = _between(numbers, 0.14, 0.24), _between(numbers, 0.08, 0.18), _between(numbers, 0.2, 0.34)
    thin = _THIN
    # z runs from the tail (0) to the tip of the nose.
    yield _Cylinder(2, rear, length - nose, (0, 0), radius, radius)
    yield _Cylinder(2, length - nose, length, (0, 0), radius, max(0.3 * radius, 0.75 * thin))
    yield _Cylinder(2, 0, rear, (0, 0.3 * radius), 0.35 * radius, radius)
    level = 0.8 * radius if high < 0.3 else -0.5 * radius
    front = place * length + chord / 2
    yield _Plate(0, 0.0, span, level, thin, front, chord, sweep, taper * chord, True)
    lift = fin if tail < 0.35 else 0.4 * radius
    yield _Plate(0, 0.0, 0.38 * span, lift, thin, 0.13 if lift == fin else 0.17, 0.12, 0.3 * sweep, 0.08, True)
    yield _Plate(1, 0.0, fin + thin / 2, 0.0, thin, 0.2, 0.17, 0.1, 0.1, False)
    size = _between(numbers, 0.028, 0.04)
    if engines < 0.65:
        # Under each wing one engine, or two.
        for share in (0.35,) if engines < 0.4 else (0.3, 0.6):
            ahead = front - sweep * share
            for x in (-share * span, share * span):
                yield _Cylinder(2, ahead - 0.1, ahead + 0.05, (x, level - size), size, size)
    elif engines < 0.85:
        for x in (-radius - size / 4, radius + size / 4):
            yield _Cylinder(2, 0.2, 0.36, (x, 0.5 * radius), size, size)
    else:
        # A propeller at the nose.
        yield _Box((-0.14, -thin / 2, length - thin), (0.14, thin / 2, length + thin / 4))
