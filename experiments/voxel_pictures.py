"""Pictures of volumes: each from two sides, in parallel projection, shaded by the direction of its faces."""

import functools

import numpy as np

SOLID = 0.5
SIZE = 96  # pixels of a view's side
VIEWS = ((35.0, 25.0), (215.0, 25.0))  # degrees: how far to the right of the front, and how far above, the viewer is
SAMPLES = 2  # a pixel is the mean of as many rays in each direction
BACKGROUND = 255
COLOUR = np.array([0.62, 0.76, 1.0])
LIGHT = np.array([0.72, 1.0, 0.5])  # how bright faces across x, y and z are


def views(volumes: np.ndarray) -> np.ndarray:
    """A picture of each volume, with all of `VIEWS` side by side.

    Args:
      volumes: [n, r, r, r, 1] in [0, 1], axes x to the right, y up and z towards the viewer at the front; what is at
        least 1/2 is solid.

    Returns:
      uint8 [n, SIZE, SIZE * views, 3], on white.
    """
    solid = np.asarray(volumes)[..., 0] >= SOLID
    if solid.ndim != 4 or len(set(solid.shape[1:])) != 1:
        raise ValueError(f"volumes must be [n, r, r, r, 1], not {np.shape(volumes)}.")
    pictures = [np.concatenate([_view(volume, *view) for view in VIEWS], 1) for volume in solid]
    return np.stack(pictures) if pictures else np.zeros((0, SIZE, SIZE * len(VIEWS), 3), np.uint8)


def _view(solid, azimuth, elevation):
    """One view of a volume bool [r, r, r]: uint8 [SIZE, SIZE, 3]."""
    voxels, faces, depths = _rays(len(solid), azimuth, elevation)
    hits = np.append(solid.ravel(), False)[voxels]
    first = hits.argmax(1)[:, None]
    hit, face, depth = (np.take_along_axis(values, first, 1)[:, 0] for values in (hits, faces, depths))
    # What lies farther back is a little darker.
    shade = LIGHT[face] * (1 - 0.35 * depth)
    colours = np.where(hit[:, None], 255 * shade[:, None] * COLOUR, BACKGROUND)
    return colours.reshape(SIZE, SAMPLES, SIZE, SAMPLES, 3).mean((1, 3)).round().astype(np.uint8)


@functools.lru_cache(maxsize=8)
def _rays(resolution, azimuth, elevation):
    """What each ray of a view meets, from the viewer on: (voxels, faces, depths), each [rays, 3 (resolution + 1)].

    voxels: flat indices; resolution^3 outside of the grid. faces: the axis across whose plane the ray comes in. depths:
    from 0, at the grid's nearest corner, to 1.
    """
    a, e = np.radians((azimuth, elevation))
    right = np.array([np.cos(a), 0, -np.sin(a)], np.float32)
    towards = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], np.float32)
    up = np.cross(towards, right)
    # The whole grid fits into the picture, and the rays start in front of its nearest corner.
    reach, radius = (resolution / 2 * max(np.abs(axis).sum() for axis in axes) for axes in ((right, up), (towards,)))
    across = (reach * (2 * (np.arange(SIZE * SAMPLES) + 0.5) / (SIZE * SAMPLES) - 1)).astype(np.float32)
    starts = across[None, :, None] * right - across[:, None, None] * up + radius * towards + resolution / 2
    starts = starts.reshape(-1, 3).astype(np.float32)
    # Where the ray crosses the planes between voxels.
    planes = np.arange(resolution + 1, dtype=np.float32)
    distances = (starts[:, :, None] - planes) / towards[None, :, None]
    order = distances.reshape(len(starts), -1).argsort(1)
    distances = np.take_along_axis(distances.reshape(len(starts), -1), order, 1)
    after = np.append(distances[:, 1:], distances[:, -1:] + 1, 1)
    middles = starts[:, None] - (distances + after)[..., None] / 2 * towards
    cells = np.floor(middles).astype(np.int32)
    inside = ((cells >= 0) & (cells < resolution)).all(-1)
    voxels = np.where(inside, (cells[..., 0] * resolution + cells[..., 1]) * resolution + cells[..., 2], resolution**3)
    return voxels.astype(np.int32), (order // (resolution + 1)).astype(np.int8), distances / (2 * radius)
