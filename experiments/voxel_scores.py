"""Scores of a set of generated volumes beside real ones that no player has trained on."""

import numpy as np

from gans.scores import voxels

DISTANCES = {"chamfer": voxels.chamfer_distances, "iou": voxels.iou_distances}


def voxel_scores(generated: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """{score's name: value}; the sets should be of one size, for coverage depends on it.

    For each distance, `chamfer` (squared, the grid's side is 1) and `iou` (1 - IoU): `mmd_*`, minimum matching
    distance, the lower the better; `coverage_*`, in [0, 1], the higher the better; `nna_*`, the 1-nearest-neighbour
    accuracy, best at 0.5. Beside them `occupancy` (share of the grid that is solid), `components` (parts that do not
    touch) and `largest_component` (its share of what is solid), means over the generated volumes, and the same of the
    real ones, `*_real`; `empty`, the share of generated volumes in which nothing is solid.

    Args:
      generated, real: [n, r, r, r, 1] and [m, r, r, r, 1]; solid is what is at least 1/2.

    Raises:
      ValueError: if the shapes do not fit.
    """
    found = {}
    for name, distances in DISTANCES.items():
        between = distances(generated, real)
        found[f"mmd_{name}"] = voxels.minimum_matching_distance(between)
        found[f"coverage_{name}"] = voxels.coverage(between)
        within = distances(generated, generated), distances(real, real)
        found[f"nna_{name}"] = voxels.nearest_neighbour_accuracy(within[0], between, within[1])
    for suffix, volumes in (("", generated), ("_real", real)):
        parts = voxels.components(volumes)
        found[f"occupancy{suffix}"] = float(voxels.occupancy(volumes).mean())
        found[f"components{suffix}"] = float(parts.counts.mean())
        found[f"largest_component{suffix}"] = float(parts.largest.mean())
    return found | {"empty": float((voxels.components(generated).counts == 0).mean())}
