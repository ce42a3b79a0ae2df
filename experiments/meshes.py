"""Volumes as files for other programs: watertight meshes by marching cubes (.obj, .stl) and voxels (.binvox).

Volumes are [x, y, z] or [x, y, z, 1] with y up, as in `data_pipelines.volumes`; so are .obj and .binvox files. An .stl
file is turned to have z up, as programs that print expect it.
"""

import io
from pathlib import Path

import numpy as np

from experiments.commands import UsageError, whole_file

SUFFIXES = (".obj", ".stl", ".binvox")
SOLID = 0.5
# Values are kept this far from `SOLID`: where a surface passes through a voxel's very centre triangles shrink to
# nothing, and what is left, rounded to float32, does not close.
_CLOSE = 1e-3
# The longest side of a .binvox file that is read.
_MOST_SIDE = 1024


class EmptyVolume(ValueError):
    """A volume in which nothing is solid, so that it has no surface."""


def surface(volume: np.ndarray, size: float = 100.0, *, largest: bool = False):
    """The closed surface between what is solid in a volume and what is not, as a trimesh.Trimesh with normals outwards.

    Marching cubes (Lorensen & Cline 1987) where the values cross 1/2; the grid's outside is empty.

    Args:
      volume: [r, r, r] or [r, r, r, 1] in [0, 1].
      size: side of the whole grid in mm, so that shapes from one grid keep their relative sizes.
      largest: the largest closed part of the surface alone: no loose bits, and no hollows inside.

    Returns: vertices in mm, y up, at 0 where lowest; the grid's middle is at x = z = 0.

    Raises:
      EmptyVolume: if nothing is solid.
      ValueError: for another shape.
      UsageError: if scikit-image or trimesh is not installed.
    """
    measure, trimesh = _packages()
    volume = np.asarray(volume, np.float64)
    volume = volume[..., 0] if volume.ndim == 4 and volume.shape[3] == 1 else volume
    if volume.ndim != 3 or len(set(volume.shape)) != 1:
        raise ValueError(f"a volume must be [r, r, r] or [r, r, r, 1], not {volume.shape}")
    solid = volume >= SOLID
    if not solid.any():
        raise EmptyVolume("nothing in the volume is solid")
    # Away from 1/2, on either side of it.
    volume = np.where(solid, np.maximum(volume, SOLID + _CLOSE), np.minimum(volume, SOLID - _CLOSE))
    vertices, faces, _, _ = measure.marching_cubes(
        np.pad(volume, 1), SOLID, gradient_direction="ascent", method="lorensen"
    )
    # Values belong to the voxels' centres; the margin moved them by one.
    vertices = (vertices.astype(np.float64) - 0.5 - np.array([1, 0, 1]) * len(solid) / 2) * (size / len(solid))
    mesh = trimesh.Trimesh(vertices, faces)
    if largest:
        mesh = max(mesh.split(only_watertight=False), key=lambda part: part.volume)
    mesh.apply_translation([0, -mesh.bounds[0][1], 0])
    mesh.units = "mm"
    return mesh


def _packages():
    try:
        import trimesh
        from skimage import measure
    except ImportError as error:
        raise UsageError(
            f"meshes are made by scikit-image and trimesh, which cannot be imported ({error}): "
            'pip install "gans[voxels]"'
        ) from error
    return measure, trimesh


def write_all(path: Path, volumes: np.ndarray, size: float, *, largest: bool = False) -> list[int]:
    """Writes each volume [n, r, r, r, 1] in [0, 1] as a file of the kind that the path's ending names.

    Args:
      path: of the file, or of several with their numbers before the ending: chair.stl, chair-00000.stl.
      volumes: [n, r, r, r, 1] in [0, 1].
      size, largest: of meshes, see `surface`.

    Returns: the numbers of the volumes without a surface, of which there is no file.
    """
    empty = []
    for number, volume in enumerate(volumes):
        own = path if len(volumes) == 1 else path.with_name(f"{path.stem}-{number:05d}{path.suffix}")
        if path.suffix == ".binvox":
            write_binvox(own, volume)
            continue
        try:
            write_mesh(own, surface(volume, size, largest=largest))
        except EmptyVolume:
            empty.append(number)
    return empty


def write_mesh(path: Path, mesh) -> None:
    """Writes a mesh as .obj or, with z up, as binary .stl, whole or not at all."""
    if path.suffix == ".stl":
        mesh = mesh.copy()
        mesh.vertices = mesh.vertices[:, [0, 2, 1]] * [1, -1, 1]
        content = mesh.export(file_type="stl")
    else:
        content = mesh.export(file_type="obj", header="units: mm; y is up", include_normals=False).encode()
    with whole_file(path) as file:
        file.write(content)


def write_binvox(path: Path, volume: np.ndarray) -> None:
    """Writes what is solid in a volume [r, r, r] or [r, r, r, 1] as a .binvox file, whole or not at all.

    https://www.patrickmin.com/binvox/binvox.html: a header, then pairs of bytes (value, how often) of the voxels with y
    running fastest, then z, then x. The grid is the unit cube.
    """
    solid = np.asarray(volume)
    solid = (solid[..., 0] if solid.ndim == 4 else solid) >= SOLID
    values = solid.transpose(0, 2, 1).ravel()
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    lengths = np.diff(np.r_[starts, values.size])
    # A run longer than a byte can say is several.
    pieces = -(-lengths // 255)
    pairs = np.empty((pieces.sum(), 2), np.uint8)
    pairs[:, 0] = np.repeat(values[starts], pieces)
    pairs[:, 1] = 255
    pairs[pieces.cumsum() - 1, 1] = lengths - 255 * (pieces - 1)
    sides = " ".join(map(str, solid.shape))
    with whole_file(path) as file:
        file.write(f"#binvox 1\ndim {sides}\ntranslate 0 0 0\nscale 1\ndata\n".encode())
        file.write(pairs.tobytes())


def read_binvox(path: Path) -> np.ndarray:
    """The voxels of a .binvox file of version 1 or 2, uint8 [r, r, r] in {0, 1}.

    Raises:
      UsageError: if it cannot be read, is damaged, or is no cube.
    """
    try:
        file = io.BytesIO(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    first, header = file.readline(40), {}
    while (line := file.readline(200)).strip() != b"data":
        if not line or len(header) > 20:
            raise UsageError(f"{path} is no .binvox file: its header has no end.")
        name, *values = line.split() or [b""]
        header[name] = values
    sides = header.get(b"dim", [])
    if not first.startswith(b"#binvox") or len(sides) != 3 or len(set(sides)) != 1 or not sides[0].isdigit():
        raise UsageError(f"{path} is no .binvox file of a cube: it begins with {first!r}, its sides are {sides}.")
    side = int(sides[0])
    runs = np.frombuffer(file.read(), np.uint8)
    values, lengths = runs[::2], runs[1::2]
    # Added up before memory is taken for them.
    total = int(lengths.sum(dtype=np.int64))
    if len(values) != len(lengths) or total != side**3 or not 0 < side <= _MOST_SIDE:
        raise UsageError(f"{path} says that it has {side}^3 voxels, at most {_MOST_SIDE}^3, but has {total}.")
    values = np.repeat(values > 0, lengths)
    return values.reshape(side, side, side).transpose(0, 2, 1).astype(np.uint8)
