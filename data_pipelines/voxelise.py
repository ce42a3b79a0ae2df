"""From the bytes of a mesh file to voxels, in the axes of `volumes`; trimesh reads the file, numpy does the rest."""

import io
import json

import numpy as np
from scipy import ndimage

from data_pipelines import DataError

SUFFIXES = (".obj", ".stl", ".ply", ".glb", ".off")
# Limits of size and not of time, so that every machine finds the same meshes: a file's bytes, its triangles, and the
# points of its surface that are looked at (some ten seconds).
MOST_BYTES, MOST_TRIANGLES, MOST_POINTS = 2**28, 2**22, 2**26
_CHUNK = 2**18
# Of neighbouring points, in voxels: with fewer, whether a corner of a voxel is met would depend on where its surface
# happens to be cut into triangles.
_STEP = 1 / 4


def trimesh():
    """The module.

    Raises:
      DataError: it is not installed.
    """
    try:
        import trimesh as module
    except ImportError as error:
        raise DataError(
            f'meshes are read by the package trimesh, which cannot be imported ({error}): pip install "gans[voxels]"'
        ) from error
    return module


def load(content: bytes, suffix: str) -> tuple[np.ndarray, np.ndarray]:
    """The triangles of a mesh file, all parts of a scene together in their places.

    Nothing but `content` is read: textures, materials and other files that it names are left alone.

    Args:
      suffix: one of `SUFFIXES`.

    Returns: vertices float64 [v, 3], faces int64 [f, 3].

    Raises: ValueError for a file without triangles, with too many, or with vertices that are not finite, and
      whatever trimesh raises for one that is damaged or of another format.
    """
    if suffix not in SUFFIXES:
        raise ValueError(f"{suffix or 'no ending'} is none of {', '.join(SUFFIXES)}")
    if suffix == ".glb":
        _check_glb(content)
    options = {"skip_materials": True} if suffix == ".obj" else {}
    scene = trimesh().load_scene(io.BytesIO(content), file_type=suffix[1:], process=False, **options)
    # Counted before they are put together: a scene may show one part many times.
    parts = [scene.geometry[scene.graph[node][1]] for node in scene.graph.nodes_geometry]
    triangles = sum(len(getattr(part, "faces", ())) for part in parts)
    if not 0 < triangles <= MOST_TRIANGLES:
        raise ValueError(f"{triangles:,} triangles, not 1 to {MOST_TRIANGLES:,}")
    mesh = scene.to_mesh()
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    used = vertices[faces]
    if not np.isfinite(used).all():
        raise ValueError("vertices that are not finite")
    return vertices, faces


def _check_glb(content):
    """Refuses a GLB file whose tables say that they are larger than a mesh may be: trimesh makes room as they say."""
    size = int.from_bytes(content[12:16], "little")
    tables = json.loads(content[20 : 20 + size]).get("accessors", ())
    # A triangle has three corners, with places, normals, colours and the like.
    if sum(abs(table["count"]) for table in tables) > 16 * MOST_TRIANGLES:
        raise ValueError(f"its tables have too many rows for {MOST_TRIANGLES:,} triangles")


def upright(vertices: np.ndarray, rotation: np.ndarray, size: tuple[float, float, float] | None) -> np.ndarray:
    """Vertices [v, 3] turned by `rotation` [3, 3], then stretched to the extents `size` along x, y, z if given."""
    turned = vertices @ np.asarray(rotation).T
    if size is None:
        return turned
    extents = np.ptp(turned, axis=0)
    return turned * np.divide(size, extents, out=np.ones(3), where=extents > 1e-9 * extents.max())


def voxelise(vertices: np.ndarray, faces: np.ndarray, resolution: int, *, filled: bool = False) -> np.ndarray:
    """A mesh as voxels: bool [resolution, resolution, resolution], True where its surface passes.

    Args:
      vertices: float64 [v, 3]; their longest extent becomes resolution - 2 voxels.
      faces: int64 [f, 3].
      filled: what the surface encloses is True too, holes narrower than a voxel notwithstanding.

    Raises:
      ValueError: a mesh that is a point, or would take too much work.
    """
    corners = vertices[faces].reshape(-1, 3)
    low, high = corners.min(0), corners.max(0)
    extent = (high - low).max()
    if not extent > 0:
        raise ValueError("all its vertices are one point")
    # Voxel i reaches from i - 1/2 to i + 1/2. What lies between two voxels, as the middle of the grid does, goes to
    # the higher one whatever the rounding: hence the hundredth of a voxel.
    scale = (resolution - 2 - 0.04) / extent
    placed = (vertices - (low + high) / 2) * scale + (resolution - 1) / 2 + 0.01
    volume = np.zeros((resolution,) * 3, bool)
    for points in _points(placed[faces]):
        volume[tuple(np.rint(points).astype(np.intp))] = True
    return ndimage.binary_fill_holes(volume) if filled else volume


def _points(triangles):
    """Points of triangles [f, 3, 3], neighbours at most `_STEP` apart, as arrays [3, n] of about `_CHUNK` points.

    They lie on rows from one corner to the side opposite to it, the shortest, so that needles need few.
    """
    opposite = np.linalg.norm(np.roll(triangles, -1, 1) - np.roll(triangles, 1, 1), axis=2)
    order = (opposite.argmin(1)[:, None] + np.arange(3)) % 3
    corners = np.take_along_axis(triangles, order[:, :, None], 1)
    lengths = np.take_along_axis(opposite, order, 1)
    rows, columns = (
        np.maximum(np.ceil(side / _STEP), 1).astype(np.int64) for side in (lengths[:, 1:].max(1), lengths[:, 0])
    )
    counts = (rows + 1) * (columns + 1)
    if (work := counts.sum()) > MOST_POINTS:
        raise ValueError(f"its surface would take {work:,} points, more than {MOST_POINTS:,}")
    for part in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(counts.cumsum() // _CHUNK)) + 1):
        face = np.repeat(part, counts[part])
        number = np.arange(len(face)) - np.repeat(counts[part].cumsum() - counts[part], counts[part])
        row, column = np.divmod(number, columns[face] + 1)
        down, across = row / rows[face], column / columns[face]
        weights = np.stack([1 - down, down * (1 - across), down * across])
        yield np.einsum("in,nij->jn", weights, corners[face])
