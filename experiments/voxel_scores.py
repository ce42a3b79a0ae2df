"""Scores of a set of generated volumes beside real ones."""

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
        found |= _of_sets(name, distances(generated, generated), distances(generated, real), distances(real, real))
    for suffix, volumes in (("", generated), ("_real", real)):
        found |= {f"{key}{suffix}": value for key, value in statistics(volumes).items()}
    return found | {"empty": float((voxels.occupancy(generated) == 0).mean())}


def scores_of_draws(given: np.ndarray, real: np.ndarray, count: int, draws: int, seed: int = 0) -> dict[str, float]:
    """The scores of distances in `voxel_scores`, means over many draws of `count` volumes from each set.

    What few volumes are available say little by themselves, and sets of different sizes do not compare; means over
    draws of one size do both. `nearest_*`, beside them, is the mean distance of a given volume to the nearest of all
    real ones: 0 for copies.

    Args:
      given, real: as of `voxel_scores`, at least `count` of each.
      count: volumes of each set in a draw.
      draws: how many.
      seed: of the draws.
    """
    found = {}
    for name, distances in DISTANCES.items():
        within, between, other = distances(given, given), distances(given, real), distances(real, real)
        draw, each = np.random.default_rng(seed), []
        for _ in range(draws):
            a, b = (draw.choice(len(volumes), count, replace=False) for volumes in (given, real))
            each.append(_of_sets(name, within[np.ix_(a, a)], between[np.ix_(a, b)], other[np.ix_(b, b)]))
        found |= {key: float(np.mean([one[key] for one in each])) for key in each[0]}
        found[f"nearest_{name}"] = float(between.min(1).mean())
    return found


def statistics(volumes: np.ndarray) -> dict[str, float]:
    """Means over volumes of `occupancy`, `components` and `largest_component`, see `voxel_scores`."""
    parts = voxels.components(volumes)
    return {
        "occupancy": float(voxels.occupancy(volumes).mean()),
        "components": float(parts.counts.mean()),
        "largest_component": float(parts.largest.mean()),
    }


def _of_sets(name, within, between, other):
    return {
        f"mmd_{name}": voxels.minimum_matching_distance(between),
        f"coverage_{name}": voxels.coverage(between),
        f"nna_{name}": voxels.nearest_neighbour_accuracy(within, between, other),
    }
