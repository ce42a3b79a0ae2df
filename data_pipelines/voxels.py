"""Sets of voxels by name: drawn solids, 3D ShapeNets, and whatever meshes there are."""

import os
import sys
from collections.abc import Sequence

import numpy as np

from data_pipelines import DataError, meshes, shapenet, solids

SETS = (*solids.SETS, "shapenet_voxels", "mesh_voxels")
# The most of what could not be read that is told one by one.
_TOLD = 10


def load(
    name: str,
    path: str = "",
    *,
    resolution: int | None = None,
    classes: Sequence[str] | str = (),
    filled: bool = False,
    up: str = "y",
    test: float = 0.1,
    cache: str = "",
) -> dict[str, dict[str, np.ndarray]]:
    """A set of `SETS`; what of it could not be read is counted and listed on stderr.

    Args:
      name: 'solids' (32^3) and 'solids64', drawn tables, chairs and aeroplanes; 'shapenet_voxels'; 'mesh_voxels'.
      path: for the latter two the user's own folder or, for meshes, .sh3f archive; see `shapenet.read_folder` and
        `meshes.read`.
      resolution: side of the grid; None means 32, or the set's own.
      classes: classes or categories to take, numbered in this order, also as 'chair,stool'; none means all.
      filled, up, test, cache: of 'mesh_voxels', see `meshes.read`.

    Returns: {'train': {'image': uint8 [n, r, r, r, 1] in {0, 1}, 'label': int64 [n]}, 'test': the same}, in the axes
      of `volumes`.

    Raises:
      DataError: as the readers; no path where one is needed.
    """
    classes = tuple(filter(None, classes.split(",")) if isinstance(classes, str) else classes)
    if name in solids.SETS:
        if path:
            raise DataError(f"{name} are drawn, not read from {path}: set config.data.name to mesh_voxels or the like")
        if resolution not in (None, solids.SETS[name]):
            raise DataError(f"{name} have {solids.SETS[name]} voxels a side, not {resolution}; see {list(solids.SETS)}")
        return solids.read(solids.SETS[name], classes)
    if not path:
        raise DataError(f"{name} is read from your own files: set config.data.path to their folder")
    resolution = 32 if resolution is None else resolution
    if name == "shapenet_voxels":
        arrays, unreadable = shapenet.read_folder(path, resolution, classes=classes)
        lines = report(arrays, unreadable, [])
    else:
        options = {"classes": classes, "filled": filled, "up": up, "test": test, "cache": cache}
        arrays, tally = meshes.read([path], resolution, **options)
        lines = report(arrays, *tally)
    print(f"{path}: " + "\n".join(lines), file=sys.stderr)
    return {split: {key: arrays[f"{split}_{key}"] for key in ("image", "label")} for split in ("train", "test")}


def report(arrays: dict[str, np.ndarray], unreadable: dict[str, str], repeated: list[str]) -> list[str]:
    """What is in the arrays of a set and what was left out, in lines; the first has all counts."""
    train, test = arrays["train_image"], arrays["test_image"]
    side, classes = train.shape[1], ", ".join(arrays["classes"])
    left_out = f"{len(unreadable)} not read" + (f", {len(repeated)} the same as others" if repeated else "")
    lines = [f"{len(train)} train, {len(test)} test volumes of {side}^3 ({classes}); left out: {left_out}"]
    told = list(unreadable.items())[:_TOLD]
    lines += [f"  not read: {path}: {why}" for path, why in told]
    if len(unreadable) > len(told):
        lines.append(f"  and {len(unreadable) - len(told)} more")
    return lines


def prepare(sources: list[str], resolution: int, **options) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of an .npz file that `reading.load` reads, from meshes or a folder of 3D ShapeNets, and a report.

    Args:
      sources: folders and .sh3f archives of meshes, or one folder of 3D ShapeNets.
      resolution, options: as of `meshes.read`; 3D ShapeNets takes `classes` only, and no notice of the others.

    Raises:
      DataError: as the readers.
    """
    sources = [os.path.expanduser(source) for source in sources]
    if len(sources) == 1 and shapenet.classes_of(sources[0]):
        arrays, unreadable = shapenet.read_folder(sources[0], resolution, classes=options["classes"])
        return arrays, report(arrays, unreadable, [])
    arrays, tally = meshes.read(sources, resolution, **options)
    return arrays, report(arrays, *tally)
