"""Folders of blurred photographs and the sharp ones of the same scenes."""

import os

from data_pipelines import DataError, pictures
from data_pipelines.cells import Scene

# What the folders are called: one of the first lies beside one of the second.
BLURRED, SHARP = ("blurred", "blur", "input"), ("sharp", "target")


def find(folder: str) -> tuple[list[Scene], dict[str, str]]:
    """The pairs in `folder` and below it, matched by their names without the ending.

    The two pictures of a pair lie in folders side by side, of which one is called blurred, blur or input, the other
    sharp or target. They may be `folder`'s own or lie deeper, as GoPro's (Nah et al. 2017, arXiv 1612.02177) do:
    `train/GOPR0372_07_00/blur/000047.png`. Where there are several such places each is a group, since the frames of a
    sequence are alike; where there is one, each pair is a group. A place in or below a folder train or test belongs to
    that split.

    Returns: the scenes, sorted, with files (sharp, blurred), and the pictures in such folders that have no partner or
      no name of their own, {path: why}.

    Raises:
      DataError: as `pictures.find`; no pair.
    """
    found: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for path in pictures.find(folder).paths:
        place, is_blurred, name = _place(path)
        if place is not None:
            found.setdefault((place, name), ([], []))[is_blurred].append(path)
    pairs, unmatched = [], {}
    for (place, _), (sharp, blurred) in sorted(found.items()):
        if len(sharp) == len(blurred) == 1:
            pairs.append((place, sharp[0], blurred[0]))
        else:
            why = "several pictures have its name" if sharp and blurred else "no picture beside has its name"
            unmatched |= dict.fromkeys(sharp + blurred, why)
    if not pairs:
        raise DataError(
            f"{folder}: has no two pictures of one name in a folder {' or '.join(BLURRED)} and in one beside it called "
            f"{' or '.join(SHARP)}; give another folder"
        )
    places = {place for place, _, _ in pairs}
    return sorted(_scene(folder, *pair, alone=len(places) == 1) for pair in pairs), unmatched


def _place(path):
    """Where the picture's pair of folders is (None: nowhere), whether it is blurred, and its name in its folder."""
    parts = path.split("/")
    for i in reversed(range(len(parts) - 1)):
        if parts[i].lower() in BLURRED + SHARP:
            name, _ = os.path.splitext("/".join(parts[i + 1 :]))
            return "/".join(parts[:i]), parts[i].lower() in BLURRED, name
    return None, False, ""


def _scene(folder, place, sharp, blurred, alone):
    split = next((part for part in place.lower().split("/") if part in ("train", "test")), "")
    files = tuple(os.path.join(folder, path) for path in (sharp, blurred))
    return Scene(sharp, files, sharp if alone else place, split)
