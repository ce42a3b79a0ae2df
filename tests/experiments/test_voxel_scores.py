import numpy as np
import pytest

from data_pipelines import solids
from experiments.voxel_scores import scores_of_draws, voxel_scores
from gans.scores.voxels import iou_distances


def some(seed, count=12):
    return np.stack([solids.solid(seed, i, 32) for i in range(count)])[..., None]


def test_scores_of_unseen_of_copied_and_of_empty_volumes():
    real = some(1)
    unseen, copied, empty = (voxel_scores(volumes, real) for volumes in (some(0), real, np.zeros_like(real)))
    names = {f"{score}_{distance}" for score in ("mmd", "coverage", "nna") for distance in ("chamfer", "iou")}
    sides = {f"{name}{side}" for name in ("occupancy", "components", "largest_component") for side in ("", "_real")}
    assert unseen.keys() == copied.keys() == empty.keys() == names | sides | {"empty"}
    assert copied["mmd_chamfer"] == copied["mmd_iou"] == copied["nna_chamfer"] == copied["nna_iou"] == 0
    assert copied["coverage_chamfer"] == copied["coverage_iou"] == 1
    assert copied["occupancy"] == copied["occupancy_real"] == pytest.approx(real.mean())
    assert 0 < unseen["mmd_chamfer"] < 0.05
    assert 0 < unseen["mmd_iou"] < 0.9
    assert unseen["components"] == unseen["components_real"] == 1
    assert (empty["mmd_chamfer"], empty["mmd_iou"], empty["nna_iou"], empty["empty"]) == (6, 1, 1, 1)
    assert all(np.isfinite(value) for found in (unseen, copied, empty) for value in found.values())
    assert all(type(value) is float for value in unseen.values())


def test_draws_of_everything_are_the_sets_themselves():
    given, real = some(0), some(1)
    whole, drawn = voxel_scores(given, real), scores_of_draws(given, real, len(real), draws=2)
    for name, value in drawn.items():
        if not name.startswith("nearest"):
            assert value == pytest.approx(whole[name])
    assert drawn["nearest_iou"] == pytest.approx(iou_distances(given, real).min(1).mean())


def test_draws_tell_sets_of_one_kind_from_sets_of_two():
    real, flat = some(1, 24), some(2, 24)
    flat[:, 8:] = 0
    same, other = (scores_of_draws(given, real, 6, draws=50) for given in (some(3, 18), flat))
    assert abs(same["nna_iou"] - 0.5) < 0.15 < 0.25 < other["nna_iou"] - 0.5
    assert same["mmd_chamfer"] < other["mmd_chamfer"]
    assert scores_of_draws(real[:7], real, 6, draws=1)["nearest_chamfer"] == 0
