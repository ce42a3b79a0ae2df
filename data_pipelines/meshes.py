"""Meshes as voxels: folders and .sh3f archives of OBJ, STL, PLY, GLB and OFF files, which trimesh reads.

Voxels are in the axes of `volumes`: y up. A mesh keeps its proportions; it stands in the middle of the grid, and its
longest side is the grid's less a free voxel at each end.
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_pipelines import DataError, sh3f, voxelise
from data_pipelines.files import whole

UP = ("y", "z")
# Turns (x, y, z) with z up into the same with y up.
_FROM_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


class Mesh(NamedTuple):
    """A mesh before it is read: where it is, what is known of it, how it stands upright."""

    source: str  # a file, or an archive
    member: str  # of the archive; empty for a file
    name: str  # the same on every machine: the order that makes the split hangs on it
    category: str
    names: tuple[str, ...]  # a catalogue's name, or a file's folders and its own name
    tags: tuple[str, ...]
    rotation: np.ndarray
    size: tuple[float, float, float] | None  # true (width, height, depth), to which the model is stretched


class Tally(NamedTuple):
    """What was left out: {name: why} of what could not be read, and the names of meshes that are another once more."""

    unreadable: dict[str, str]
    repeated: list[str]


def find(paths: list[str], up: str = "y") -> tuple[list[Mesh], Tally]:
    """The meshes below folders and in .sh3f archives, in the order of their names.

    Hidden files and folders are passed over, and folders behind links are not entered. The category of a file is the
    folder directly below the given one in which it lies, or the given one itself; that of a catalogue's piece stands
    in the catalogue.

    Args:
      paths: folders, with archives and meshes at any depth, and archives.
      up: the axis that points up in files outside of archives, 'y' or 'z' (usual in STL and OFF).

    Raises:
      DataError: something that cannot be read as either, or no mesh.
    """
    upright = np.eye(3) if up == "y" else _FROM_Z_UP
    found, faulty = [], {}
    for path in paths:
        # Anything else than a file or a folder, a pipe for one, could make the reading wait for ever.
        if os.path.exists(path) and not os.path.isdir(path) and not os.path.isfile(path):
            raise DataError(f"{path}: is neither a file nor a folder; give another one")
        files = _walk(path) if os.path.isdir(path) else [os.path.basename(path)]
        root = path if os.path.isdir(path) else os.path.dirname(path)
        for file in files:
            if file.lower().endswith(".sh3f"):
                more, wrong = _in_archive(os.path.join(root, file))
                found += more
                faulty |= wrong
            elif file.lower().endswith(voxelise.SUFFIXES):
                names = (os.path.basename(os.path.abspath(root)), *file.split("/"))
                category = names[1] if len(names) > 2 else names[0]
                found.append(Mesh(os.path.join(root, file), "", file, category, names, (), upright, None))
    if not found:
        wanted = ", ".join((".sh3f", *voxelise.SUFFIXES))
        raise DataError(f"{', '.join(paths)}: no meshes ({wanted}) there or below; give another folder or archive")
    return sorted(found, key=lambda mesh: (mesh.name, mesh.source)), Tally(faulty, [])


def _walk(folder):
    files = []
    for base, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        whole = [os.path.join(base, name) for name in names if not name.startswith(".")]
        # Anything else than a file, a pipe for one, could make the reading wait for ever.
        files += [os.path.relpath(path, folder).replace(os.sep, "/") for path in whole if os.path.isfile(path)]
    return files


def _refuse(error):
    raise DataError(f"{error.filename}: cannot be read as a folder ({error.strerror}); give another one")


def _in_archive(path):
    title = os.path.basename(path)
    with sh3f.open_archive(path) as archive:
        pieces, faulty = sh3f.pieces(archive)
    found = [
        Mesh(
            path,
            piece.model,
            f"{title}/{piece.model}",
            piece.category,
            (piece.name,),
            (piece.category, *map(str.strip, piece.tags.split(","))),
            piece.rotation,
            piece.size,
        )
        for piece in pieces
    ]
    return found, {f"{title}/{name}": why for name, why in faulty.items()}


def select(meshes: list[Mesh], categories: tuple[str, ...]) -> list[tuple[Mesh, int]]:
    """Each mesh of a category with its label: the number of the first of `categories` that it belongs to.

    It does if one of its names has a word that ends in the category, singular or plural ('chair' takes 'Chairs' and
    'Armchair', not 'Chairman'), or its catalogue's category or a tag is that word. Without categories all meshes are
    taken, numbered by their own categories, sorted.

    Raises:
      DataError: no mesh in one of the categories.
    """
    if not categories:
        names = sorted({mesh.category for mesh in meshes})
        return [(mesh, names.index(mesh.category)) for mesh in meshes]
    # What follows must be no letter.
    patterns = [re.compile(rf"{re.escape(name)}s?(?![^\W\d_])", re.IGNORECASE) for name in categories]

    def belongs(mesh, pattern):
        return any(map(pattern.search, mesh.names)) or any(map(pattern.fullmatch, mesh.tags))

    chosen = []
    for mesh in meshes:
        label = next((i for i, pattern in enumerate(patterns) if belongs(mesh, pattern)), None)
        if label is not None:
            chosen.append((mesh, label))
    if missing := set(range(len(categories))) - {label for _, label in chosen}:
        known = ", ".join(sorted({mesh.category for mesh in meshes}))
        raise DataError(f"no mesh is called a {categories[min(missing)]!r}; categories of the {len(meshes)}: {known}")
    return chosen


def read(
    paths: list[str],
    resolution: int = 32,
    *,
    classes: tuple[str, ...] = (),
    filled: bool = False,
    up: str = "y",
    test: float = 0.1,
    cache: str = "",
) -> tuple[dict[str, np.ndarray], Tally]:
    """The meshes of folders and archives (see `find` and `select`) as voxels, in memory once.

    The meshes are laid in the order of the sha256 of their names, and of those that can be used the first are the
    test split: so the split depends on the names and on which of them can be used, on nothing else. Meshes whose
    voxels are another's are left out, so that none is in both splits.

    Args:
      paths: folders and .sh3f archives.
      resolution: side of the grid, voxels.
      classes: categories to take; none means all.
      filled: what the surface encloses is solid too; else the surface alone is.
      up: the axis that points up in files outside of archives.
      test: share of the test split, in (0, 1); each split has at least one mesh.
      cache: folder to keep voxels in, by the hash of the mesh and of how it was voxelised; empty means
        $XDG_CACHE_HOME/gans, by default ~/.cache/gans.

    Returns: the arrays of an .npz file that `reading.load` reads, {'train_image': uint8 [n, r, r, r, 1] in {0, 1},
      'train_label': int64 [n], 'test_image', 'test_label', 'classes': str [classes]}; and the tally.

    Raises:
      DataError: as `find` and `select`; values out of range; trimesh is missing; a cache that cannot be written;
        fewer than two meshes left.
    """
    if resolution < 8 or not 0 < test < 1 or up not in UP:
        raise DataError(f"{resolution=}, {test=}, {up=}: need resolution >= 8, 0 < test < 1, up one of {', '.join(UP)}")
    voxelise.trimesh()
    meshes, tally = find(paths, up)
    chosen = select(meshes, classes)
    # Names of files may be no text.
    digests = {mesh.name: hashlib.sha256(mesh.name.encode("utf-8", "surrogateescape")).digest() for mesh, _ in chosen}
    chosen.sort(key=lambda item: (digests[item[0].name], item[0].source))
    store = _Store(cache, resolution, filled)
    volumes, labels, seen = [], [], set()
    every = 0.5 if sys.stderr.isatty() else 15
    for mesh, label in tqdm(chosen, desc="voxels", unit="mesh", mininterval=every, dynamic_ncols=True):
        try:
            volume = store.voxels(mesh)
        except DataError:
            raise
        # A damaged file shows itself in many ways.
        except Exception as error:
            tally.unreadable[mesh.name] = f"{type(error).__name__}: {error}"
            continue
        if (packed := volume.tobytes()) in seen:
            tally.repeated.append(mesh.name)
            continue
        seen.add(packed)
        volumes.append(volume)
        labels.append(label)
    if len(volumes) < 2:
        first = "".join(f"; {name}: {why}" for name, why in list(tally.unreadable.items())[:1])
        raise DataError(
            f"{', '.join(paths)}: a training and a test split need a mesh each, but {len(volumes)} of {len(chosen)} "
            f"could be used{first}"
        )
    split = min(max(1, round(test * len(volumes))), len(volumes) - 1)
    image, label = _unpack(volumes, resolution), np.array(labels, np.int64)
    names = list(classes) or sorted({mesh.category for mesh in meshes})
    arrays = {
        f"{part}_{key}": x[rows]
        for part, rows in (("train", slice(split, None)), ("test", slice(split)))
        for key, x in (("image", image), ("label", label))
    }
    return arrays | {"classes": np.array(names)}, tally


def _unpack(packed, resolution):
    bits = np.unpackbits(np.stack(packed), axis=1, count=resolution**3)
    return bits.reshape(-1, resolution, resolution, resolution, 1)


class _Store:
    """Voxels of meshes as packed bits, kept in the cache folder; archives stay open while it is used."""

    def __init__(self, cache, resolution, filled):
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        self.folder = os.path.join(os.path.expanduser(cache) or os.path.join(home, "gans"), "voxels")
        self.resolution, self.filled = resolution, filled
        self.archives = {}

    def voxels(self, mesh):
        content = self._content(mesh)
        suffix = os.path.splitext(mesh.member or mesh.source)[1].lower()
        version = voxelise.trimesh().__version__
        how = [1, version, suffix, self.resolution, self.filled, mesh.rotation.tolist(), mesh.size]
        digest = hashlib.sha256(json.dumps(how).encode() + b"\0" + content).hexdigest()
        path = os.path.join(self.folder, f"{digest}.npy")
        packed = self._kept(path)
        if packed is None:
            vertices, faces = voxelise.load(content, suffix)
            vertices = voxelise.upright(vertices, mesh.rotation, mesh.size)
            packed = np.packbits(voxelise.voxelise(vertices, faces, self.resolution, filled=self.filled))
            self._keep(path, packed)
        return packed

    def _content(self, mesh):
        if not mesh.member:
            if os.path.getsize(mesh.source) > voxelise.MOST_BYTES:
                raise ValueError(f"more than {voxelise.MOST_BYTES:,} bytes")
            with open(mesh.source, "rb") as file:
                return file.read()
        if mesh.source not in self.archives:
            self.archives[mesh.source] = sh3f.open_archive(mesh.source)
        return sh3f.read_member(self.archives[mesh.source], mesh.member, voxelise.MOST_BYTES)

    def _kept(self, path):
        try:
            packed = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        whole = packed.dtype == np.uint8 and packed.shape == (-(-(self.resolution**3) // 8),)
        return packed if whole else None

    def _keep(self, path, packed):
        try:
            with whole(Path(path)) as file:
                np.save(file, packed)
        except OSError as error:
            raise DataError(
                f"{self.folder}: cannot keep voxels there ({error.strerror}); set XDG_CACHE_HOME to another folder"
            ) from error
