"""Reads the volumes of 3D ShapeNets (Wu et al. 2015, arXiv 1406.5670), version 5 .mat files, without trusting them.

volumetric_data/<class>/30/{train,test}/*.mat holds the array `instance`, 30 x 30 x 30 in {0, 1}, of one model in one
of 12 poses around the vertical axis, which is the array's third.
"""

import io
import os
import sys

import numpy as np
from scipy import io as scipy_io
from tqdm import tqdm

from data_pipelines import DataError, mat_files

SPLITS = ("train", "test")
_SIDE = 30
RESOLUTIONS = (32, 64)
# Of a file and of what is compressed in it: even as float64, 30^3 values are fewer.
_MOST_BYTES = 2**20


def classes_of(folder: str) -> list[str]:
    """The classes in a folder of 3D ShapeNets, or in its `volumetric_data`, sorted; none if it is no such folder."""
    root = _root(folder)
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return []
    return [name for name in names if os.path.isdir(os.path.join(root, name, str(_SIDE), "train"))]


def _root(folder):
    inner = os.path.join(folder, "volumetric_data")
    return inner if os.path.isdir(inner) else folder


def read_folder(
    folder: str, resolution: int = 32, *, classes: tuple[str, ...] = ()
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Both splits of 3D ShapeNets, in memory once, in the axes of `volumes`: y up.

    Args:
      folder: holds `volumetric_data`, or the classes themselves.
      resolution: 32, the volumes with an empty voxel around them, or 64, each voxel of these as 2 x 2 x 2.
      classes: those wanted, numbered in this order; none means all, sorted.

    Returns: the arrays of an .npz file that `reading.load` reads, {'train_image': uint8 [n, r, r, r, 1] in {0, 1},
      'train_label': int64 [n], 'test_image', 'test_label', 'classes': str [classes]}; and {path: why} of the files
      that could not be read.

    Raises:
      DataError: another resolution, no such folder or class, a split without a file that can be read, or too little
        memory.
    """
    if resolution not in RESOLUTIONS:
        raise DataError(f"3D ShapeNets has resolutions {' and '.join(map(str, RESOLUTIONS))}, not {resolution}")
    known = classes_of(folder)
    if not known:
        raise DataError(f"{folder}: has no volumetric_data/<class>/30/train; give the folder of 3D ShapeNets")
    chosen = list(classes) or known
    if strange := [name for name in chosen if name not in known]:
        raise DataError(f"{folder}: has no class {strange[0]!r}; it has {', '.join(known)}")
    arrays, unreadable = {}, {}
    for split in SPLITS:
        folders = [os.path.join(_root(folder), name) for name in chosen]
        paths = [(path, label) for label, inner in enumerate(folders) for path in _files(inner, split)]
        arrays[f"{split}_image"], kept = _volumes(folder, paths, resolution, unreadable)
        arrays[f"{split}_label"] = np.array([paths[row][1] for row in kept], np.int64)
        if not kept:
            why = next(iter(unreadable.items()), ("", "there are no files"))
            raise DataError(f"{folder}: no {split} volume of {', '.join(chosen)} can be read; {why[0]}: {why[1]}")
    return arrays | {"classes": np.array(chosen)}, unreadable


def _files(folder, split):
    inner = os.path.join(folder, str(_SIDE), split)
    names = sorted(os.listdir(inner)) if os.path.isdir(inner) else []
    return [os.path.join(inner, name) for name in names if name.endswith(".mat") and not name.startswith(".")]


def _volumes(folder, paths, resolution, unreadable):
    shape = (len(paths), resolution, resolution, resolution, 1)
    try:
        image = np.empty(shape, np.uint8)
    except MemoryError as error:
        raise DataError(f"{folder}: uint8 {list(shape)} does not fit into memory; take fewer classes") from error
    kept = []
    every = 0.5 if sys.stderr.isatty() else 15
    for row, (path, _) in enumerate(tqdm(paths, desc="voxels", unit="file", mininterval=every, dynamic_ncols=True)):
        try:
            volume = read(path)
        # A damaged file shows itself in many ways.
        except Exception as error:
            unreadable[os.path.relpath(path, folder)] = f"{type(error).__name__}: {error}"
            continue
        image[len(kept), ..., 0] = enlarge(np.pad(volume, 1), resolution // 32)
        kept.append(row)
    return image[: len(kept)], kept


def enlarge(volume: np.ndarray, times: int) -> np.ndarray:
    """Each voxel as times x times x times: nearest neighbour."""
    for axis in range(3):
        volume = volume.repeat(times, axis)
    return volume


def read(path: str) -> np.ndarray:
    """One volume, turned so that y points up: uint8 [30, 30, 30] in {0, 1}.

    Raises: ValueError for another format, version or size, other values, or a file that holds much more than a
      volume, and whatever scipy raises for damaged ones.
    """
    if os.path.getsize(path) > _MOST_BYTES:
        raise ValueError(f"has more than {_MOST_BYTES:,} bytes")
    with open(path, "rb") as file:
        content = file.read(_MOST_BYTES)
    mat_files.check(content, _MOST_BYTES)
    shapes = {name: shape for name, shape, _ in scipy_io.whosmat(io.BytesIO(content))}
    if shapes.get("instance") != (_SIDE,) * 3:
        raise ValueError(f"holds {shapes or 'nothing'}, not 'instance' {(_SIDE,) * 3}")
    volume = scipy_io.loadmat(io.BytesIO(content), variable_names=["instance"])["instance"]
    if volume.dtype.kind not in "biuf" or not np.isin(volume, (0, 1)).all():
        raise ValueError("'instance' has other values than 0 and 1")
    # From (x, y, z) with z up to (x, z, -y): turned, not mirrored.
    return volume.astype(np.uint8).transpose(0, 2, 1)[:, :, ::-1]
