"""Photographs of faces with ages, from a list of files, as arrays in a split that keeps persons apart."""

import hashlib
import math
import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_pipelines import DataError, ages, pictures

AGES = (1, 116)  # the oldest person on record lived to 122; nearly all above are errors
# Of 255, between the colours of a pixel, on average over the picture: below is grey, tinted by JPEG at most.
_COLOURLESS = 4


class Row(NamedTuple):
    """One photograph: its path from the folder on, the age or None, whose it is, and why it is dropped, if it is."""

    path: str
    age: float | None
    name: str
    fault: str = ""


class Tally(NamedTuple):
    """What was dropped: how many by each cause, and the files that could not be read, {path: why}."""

    dropped: Counter
    unreadable: dict[str, str]


def collect(
    folder: str, rows: Sequence[Row], *, size: int = 64, keep: float = 1.0, smallest: int = 40, test: float = 0.1
) -> tuple[dict[str, dict[str, np.ndarray]], Tally]:
    """The faces of a list of photographs, cut to squares of one size.

    Dropped are, by the first cause that holds: rows with a fault of their own; 'no age'; 'age out of range', see
    `AGES`; 'unreadable', missing files and such outside the folder too; 'tiny'; 'grey'. The split depends on the
    names alone: nobody is in both parts.

    Args:
      folder: where the paths of the rows begin.
      size: side of the pictures to make, pixels.
      keep: what part of the largest square in the middle is cut out, in (0, 1].
      smallest: side of the smallest square, after cutting, that is taken, pixels.
      test: share of the persons in the test split, in (0, 1).

    Returns: {'train': {'image': uint8 [n, size, size, 3], 'label': the age group, 'age': in whole years, 'identity': a
      number made of the name, int64 [n] all}, 'test': the same}, in the rows' order; and the tally.

    Raises:
      DataError: values out of range, too little memory, or a split without a face.
    """
    if min(size, smallest) < 1 or not 0 < keep <= 1 or not 0 < test < 1:
        raise DataError(f"{size=}, {smallest=}, {keep=}, {test=}: need sides >= 1, 0 < keep <= 1, 0 < test < 1")
    tally, kept = Tally(Counter(), {}), []
    try:
        images = np.empty((len(rows), size, size, 3), np.uint8)
    except (MemoryError, ValueError) as error:
        raise DataError(f"{folder}: {len(rows)} faces of {size} x {size} do not fit into memory") from error
    every = 0.5 if sys.stderr.isatty() else 15
    for row in tqdm(rows, desc="faces", unit="picture", mininterval=every, dynamic_ncols=True):
        cause = row.fault or _fault_of_age(row.age)
        if not cause:
            cause = _read(folder, row.path, images[len(kept)], keep, smallest, tally.unreadable)
        if cause:
            tally.dropped[cause] += 1
        else:
            kept.append(row)
    return _split(folder, kept, images, test, tally), tally


def _fault_of_age(age):
    if age is None or not math.isfinite(age):
        return "no age"
    return "" if AGES[0] <= age < AGES[1] + 1 else "age out of range"


def _read(folder, path, into, keep, smallest, unreadable):
    """Why a picture cannot be taken; empty, and the picture in `into`, if it can."""
    whole = os.path.normpath(os.path.join(folder, path))
    try:
        if os.path.isabs(path) or os.path.relpath(whole, folder).split(os.sep)[0] == os.pardir:
            raise ValueError("lies outside the folder")
        # Anything else than a file, a pipe for one, could make the reading wait for ever.
        if not os.path.isfile(whole):
            raise FileNotFoundError("is no file")
        picture = pictures.read(whole)
    # A damaged file shows itself in many ways.
    except Exception as error:
        unreadable[path] = f"{type(error).__name__}: {error}"
        return "unreadable"
    left, top, right, _ = pictures.center_square(picture)
    side = round(keep * (right - left))
    if side < smallest:
        return "tiny"
    left, top = left + (right - left - side) // 2, top + (right - left - side) // 2
    into[:] = pictures.resize(picture, (left, top, left + side, top + side), into.shape[0])
    return "grey" if np.ptp(into.astype(int), axis=-1).mean() < _COLOURLESS else ""


def _split(folder, kept, images, test, tally):
    digests = [hashlib.sha256(row.name.encode()).digest() for row in kept]
    identity = np.array([int.from_bytes(digest[:8]) >> 1 for digest in digests], np.int64)
    in_test = np.array([int.from_bytes(digest[8:16]) < test * 2**64 for digest in digests], bool)
    age = np.array([int(row.age) for row in kept], np.int64)
    found = {}
    for split, part in (("train", np.flatnonzero(~in_test)), ("test", np.flatnonzero(in_test))):
        if not len(part):
            causes = ", ".join(f"{count} {cause}" for cause, count in tally.dropped.most_common()) or "none"
            raise DataError(f"{folder}: the {split} split has no face; {len(kept)} can be used, dropped: {causes}")
        found[split] = {
            "image": images[part], "label": ages.groups(age[part]), "age": age[part], "identity": identity[part],
        }  # fmt: skip
    return found
