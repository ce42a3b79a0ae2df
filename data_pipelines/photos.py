"""Sets of photographs, to be restored: found, measured, split by photograph and cut into cells."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_pipelines import DataError, blur_pairs, certh_blur, pictures
from data_pipelines.cells import BUDGET, Cells, Library, Scene

SETS = ("photos", "photo_folder", "blur_pairs", "certh_blur")
# Inside two packages: the photographs in colour, without those made by microscopes.
_EMBEDDED = {
    "skimage": (
        "data",
        ("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "rocket.jpg")
        + ("motorcycle_left.png", "motorcycle_right.png"),
    ),
    "sklearn": (os.path.join("datasets", "images"), ("china.jpg", "flower.jpg")),
}
# Philox' key of the order that makes the split.
_KEY = 65


class Tally(NamedTuple):
    """What became of a set's pictures.

    `splits`: {split: photographs}. What was left out, {name: why}: `small`, smaller than a cell; `unreadable`;
    `unmatched`, without its partner or its label.
    """

    splits: dict[str, int]
    small: dict[str, str]
    unreadable: dict[str, str]
    unmatched: dict[str, str]

    def lines(self) -> list[str]:
        """One line for each picture left out, and a last one with all counts."""
        groups = {"too small": self.small, "not read": self.unreadable, "not matched": self.unmatched}
        left_out = [f"{label}: {name}: {why}" for label, group in groups.items() for name, why in group.items()]
        counts = [f"{count} {split}" for split, count in self.splits.items()]
        gone = [f"{len(group)} {label}" for label, group in groups.items()]
        return [*left_out, f"photographs: {', '.join(counts) or 'none'}; left out: {', '.join(gone)}"]


def load(
    name: str, path: str = "", *, cell: int = 256, budget: int = BUDGET, **options
) -> tuple[dict[str, dict[str, Cells]], Tally]:
    """Photographs as square cells; only the heads of their files are read at first.

    The cells of the train split overlap by half, so that random crops of at most cell / 2 + 1 pixels reach every
    place; those of the other splits do not overlap.

    Args:
      name, path: as of `scenes`, and so are its `shrink`, `test`, `held_out` and `validation`, the `options`.
      cell: side of the cells, pixels, at least 2; smaller photographs are left out.
      budget: bytes of decoded photographs to keep in memory.

    Returns: {'train': {'image': Cells}, 'test': {'image': Cells}, further splits} and the tally. 'blur_pairs' have
      `source`, the blurred picture, beside `image`.

    Raises:
      DataError: as `scenes`; cell < 2.
    """
    if cell < 2:
        raise DataError(f"{name}: {cell=} must be at least 2")
    found, tally = scenes(name, path, smallest=cell, **options)
    library, keys = Library(budget), ("image", "source") if name == "blur_pairs" else ("image",)
    data = {}
    for split in tally.splits:
        own, stride = [scene for scene in found if scene.split == split], cell // 2 if split == "train" else cell
        data[split] = {key: Cells(own, library, cell, stride, picture) for picture, key in enumerate(keys)}
    return data, tally


def scenes(
    name: str,
    path: str = "",
    *,
    smallest: int = 1,
    shrink: int = 1,
    test: float = 0.1,
    held_out: Sequence[str] = (),
    validation: float = 0.0,
) -> tuple[list[Scene], Tally]:
    """The photographs of a set, each in one split; no group of photographs of one scene is in two.

    Where the set has no splits of its own, the sorted groups are laid in the order of Philox' raw words, and of those
    that can be used the first are the test split: so the split depends on the names and on which can be used.

    Args:
      name: 'photos', the nine inside the packages scikit-image and scikit-learn; 'photo_folder', any pictures in
        `path` and below it; 'blur_pairs', sharp and blurred pictures in `path`, see `blur_pairs.find`; 'certh_blur',
        the CERTH image blur set in `path`, see `certh_blur.find`: the sharp photographs of its training set, those of
        its evaluation sets as 'test', and the blurred ones of these as 'natural_blur' and 'digital_blur'.
      path: a folder; for 'photos' it stays empty.
      smallest: photographs with a side shorter than this, pixels, are left out.
      shrink: one pixel is made of each square of this side, the mean. Cameras interpolate colours and lenses blur, so
        many photographs have no detail as fine as their pixels.
      test: share of the test split, in (0, 1); each split has at least one group.
      held_out: names of the test split's photographs or groups instead, with or without their ending; * and ? stand
        for any letters. The training split may then be empty.
      validation: share of the training split's groups that become a split of that name, in [0, 1).

    Returns: the scenes, sorted, with sizes and splits, and the tally.

    Raises:
      DataError: an unknown name, values out of range, a folder or a package that is not there or has other contents,
        a name held out that no photograph has, a split without a photograph.
    """
    if not (0 < test < 1 and 0 <= validation < 1 and shrink >= 1):
        raise DataError(f"{name}: {test=} must be in (0, 1), {validation=} in [0, 1), {shrink=} at least 1")
    found, unmatched = _find(name, path)
    measured, unreadable, unequal = measure(found)
    measured = [scene.shrunk(shrink) for scene in measured]
    usable = [scene for scene in measured if min(scene.height, scene.width) >= smallest]
    small = {s.name: f"{s.height} x {s.width}" for s in measured if min(s.height, s.width) < smallest}
    tally = Tally({}, small, unreadable, unmatched | unequal)
    where = path or name
    if not {"train", "test"} <= {scene.split for scene in found}:
        usable = _split(found, usable, test, held_out, where)
    elif held_out:
        raise DataError(f"{where}: has a test split of its own; leave config.data.held_out empty")
    if validation:
        usable = _without(usable, validation)
    names = [scene.split for scene in usable]
    asked = {"validation"} if validation else set()
    for split in ("train", "test", *sorted((set(names) | asked) - {"train", "test"})):
        tally.splits[split] = names.count(split)
        if not tally.splits[split] and not (held_out and split == "train"):
            *left_out, counts = tally.lines()
            raise DataError(f"{where}: has no photograph for the split {split}; {'; '.join([*left_out[:1], counts])}")
    return usable, tally


def _find(name, path) -> tuple[list[Scene], dict[str, str]]:
    """The scenes of a set, sorted and not yet measured, and the pictures that belong to none, {name: why}."""
    if name not in SETS:
        raise DataError(f"no set of photographs is called {name!r}; there are {', '.join(SETS)}")
    if (name == "photos") == bool(path):
        raise DataError(f"{name}: takes {'no path' if path else 'a folder as its path'}; set config.data.path")
    path = os.path.expanduser(path)
    if name == "photos":
        return _embedded(), {}
    if name == "blur_pairs":
        return blur_pairs.find(path)
    if name == "certh_blur":
        found, unmatched = certh_blur.find(path)
        return [_certh_scene(one) for one in found if one.part != "train" or one.label == "sharp"], unmatched
    names = pictures.find(path).paths
    return [Scene(one, (os.path.join(path, one),), one) for one in names], {}


def _certh_scene(one):
    split = "train" if one.part == "train" else "test" if one.label == "sharp" else f"{one.part}_blur"
    return Scene(one.name, (one.path,), one.name, split)


def _embedded() -> list[Scene]:
    scenes = []
    for package, (folder, names) in _EMBEDDED.items():
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise DataError(f'photos are inside the package {package}, not installed: pip install "gans[photos]"')
        for name in names:
            file = os.path.join(spec.submodule_search_locations[0], folder, name)
            if not os.path.isfile(file):
                raise DataError(f'{file}: is missing; install {package} again: pip install "gans[photos]"')
            # The motorcycle was taken by two cameras side by side.
            scenes.append(Scene(name, (file,), "motorcycle" if name.startswith("motorcycle") else name))
    return sorted(scenes)


def measure(found: Sequence[Scene]) -> tuple[list[Scene], dict[str, str], dict[str, str]]:
    """The scenes with their sizes, and {name: why} of those left out: unreadable ones, ones of unequal pictures."""
    measured, unreadable, unequal = [], {}, {}
    every = 0.5 if sys.stderr.isatty() else 15
    for scene in tqdm(found, desc="photographs", unit="photograph", delay=3, mininterval=every, dynamic_ncols=True):
        try:
            sizes = [pictures.size(file) for file in scene.files]
        # A damaged file shows itself in many ways.
        except Exception as error:
            unreadable[scene.name] = f"{type(error).__name__}: {error}"
            continue
        if len(set(sizes)) > 1:
            unequal[scene.name] = "sizes differ: " + ", ".join(f"{height} x {width}" for height, width in sizes)
        else:
            measured.append(scene._replace(height=sizes[0][0], width=sizes[0][1]))
    return measured, unreadable, unequal


def _split(found, usable, test, held_out, where) -> list[Scene]:
    """The usable scenes, with 'train' and 'test' chosen here; `found` are all, whose names alone order the groups."""
    free = [scene for scene in found if scene.split in ("", "train", "test")]
    tested = _held_out(free, held_out, where) if held_out else _share(free, usable, test)
    chosen = {scene.group: "test" if scene.group in tested else "train" for scene in free}
    return [scene._replace(split=chosen.get(scene.group, scene.split)) for scene in usable]


def _share(scenes, usable, share) -> set[str]:
    """The groups that are a share of those that can be used, at least one of them, and not all."""
    left = {scene.group for scene in usable}
    groups = sorted({scene.group for scene in scenes})
    # Sorted raw words stay the same in every numpy.
    order = np.argsort(np.random.Philox(key=_KEY).random_raw(len(groups)), kind="stable")
    ordered = [groups[i] for i in order if groups[i] in left]
    return set(ordered[: min(max(1, round(share * len(ordered))), len(ordered) - 1)])


def _without(usable, share) -> list[Scene]:
    """The scenes, with a share of the training split's groups as the split 'validation'."""
    train = [scene for scene in usable if scene.split == "train"]
    chosen = _share(train, train, share)
    return [
        scene._replace(split="validation") if scene.split == "train" and scene.group in chosen else scene
        for scene in usable
    ]


def _held_out(scenes, patterns, where) -> set[str]:
    """The groups of the scenes whose names, or whose group's, are like one of the patterns."""
    held = set()
    for pattern in patterns:
        # Brackets are part of a name here.
        like = pattern.replace("[", "[[]")
        groups = {scene.group for scene in scenes if any(fnmatchcase(name, like) for name in _names(scene))}
        if not groups:
            some = ", ".join(scene.name for scene in scenes[:3])
            raise DataError(f"{where}: no photograph is called {pattern!r}; names here are like {some}")
        held |= groups
    return held


def _names(scene):
    return {form for name in (scene.name, scene.group) for form in (name, os.path.splitext(name)[0])}
