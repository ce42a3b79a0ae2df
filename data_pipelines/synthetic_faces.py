"""Drawn faces with known identity and known age, made on this machine: a stand-in for photographs, and it looks it.

Each person is photographed once in every age group, each time in another pose and light. What makes a person stays
through life; what age does is the same for all, so that a picture's age can be read from it.
"""

import os
import sys

import numpy as np
from tqdm import tqdm

from data_pipelines import DataError, ages, face_drawing, face_numbers, npz

# {set: persons in each split}; the test split's come after the training split's.
SETS = {"synthetic_faces": {"train": 3_400, "test": 340}, "few_synthetic_faces": {"train": 100, "test": 10}}
# The youngest of each group, and the first age that is too old.
_BOUNDS = np.array([1, 19, 30, 40, 50, 60, 86])
_SEED = 0
# Raised with every change to what is drawn.
_VERSION = 1
# Pictures drawn at a time: their arrays stay in a core's cache.
_AT_ONCE = 16


def render(seed: int, identity: np.ndarray, age: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Photographs of persons, uint8 [n, 64, 64, 3]; each depends on the seed and its own three numbers alone.

    Equal up to the last bit of a pixel wherever numpy rounds its functions in another way.

    Args:
      seed: of everything, in [0, 2**64).
      identity: the person, int [n].
      age: in years, [n].
      picture: the photograph, int [n]: pose, expression, light and surroundings.
    """
    persons = face_numbers.grown(face_numbers.persons(seed, identity), age)
    return face_drawing.draw(persons, face_numbers.views(seed, picture), _speckles(seed, picture))


def _speckles(seed, pictures):
    """Noise in [-1, 1], densest at 0: float32 [n, 64, 64, 3]."""
    side = face_drawing.SIDE
    words = face_numbers.words(seed, 3, pictures, side * side * 3 // 4)
    return words.view(np.uint8).reshape(-1, 2, side, side, 3).sum(1, dtype=np.float32) / 255 - 1


def examples(seed: int, first: int, persons: int) -> dict[str, np.ndarray]:
    """Six photographs of each of some persons, one in each age group, each group's ages densest in its middle.

    Args:
      first, persons: the persons are first..first + persons - 1.

    Returns: {'image': uint8 [6 persons, 64, 64, 3], 'label': the age group, 'age': in years, 'identity': int64 all}.
    """
    picture = np.arange(6 * first, 6 * (first + persons))
    identity, group = picture // 6, picture % 6
    where = face_numbers.uniforms(seed, 4, picture, 2).mean(1)
    low, high = _BOUNDS[group], _BOUNDS[group + 1]
    age = low + ((high - low) * where).astype(np.int64)
    image = np.empty((len(picture), face_drawing.SIDE, face_drawing.SIDE, 3), np.uint8)
    every = 0.5 if sys.stderr.isatty() else 15
    with tqdm(total=len(picture), desc="faces", unit="face", mininterval=every, dynamic_ncols=True) as bar:
        for start in range(0, len(picture), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            image[part] = render(seed, identity[part], age[part], picture[part])
            bar.update(len(picture[part]))
    return {"image": image, "label": ages.groups(age), "age": age, "identity": identity}


def read(name: str = "synthetic_faces") -> dict[str, dict[str, np.ndarray]]:
    """A set of drawn faces: 20,400 of 3,400 persons to train with, 2,040 of 340 others to test with, or a few to try.

    Drawn once, which takes a minute or two, and kept in the user's cache folder, $XDG_CACHE_HOME/gans or ~/.cache/gans.

    Returns: {'train': as `examples`, 'test': the same}.

    Raises:
      DataError: what was kept is damaged, or nothing can be kept.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = os.path.join(base, "gans", "data", f"{name}-{_VERSION}.npz")
    if not os.path.isfile(path):
        _keep(path, _all(SETS[name]))
    try:
        kept, names = npz.read(path), ("image", "label", "age", "identity")
        return {split: {key: kept[f"{split}_{key}"] for key in names} for split in SETS[name]}
    except (DataError, KeyError) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it, and the faces are drawn again") from error


def _all(sizes):
    first = 0
    for split, persons in sizes.items():
        for name, array in examples(_SEED, first, persons).items():
            yield f"{split}_{name}", array
        first += persons


def _keep(path, arrays) -> None:
    part = f"{path}.{os.getpid()}.part"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # Asked before the work.
        with open(part, "wb") as file:
            np.savez(file, **dict(arrays))
        os.replace(part, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be kept ({error}); let XDG_CACHE_HOME name a writable folder") from error
    finally:
        if os.path.exists(part):
            os.unlink(part)
