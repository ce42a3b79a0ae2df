import itertools

import numpy as np
import pytest

from data_pipelines import DataError, batching, volumes

COUNT, SIDE = 400, 12
RANDOM = np.random.default_rng(0)
DRAWS = RANDOM.integers(0, 2**31, (COUNT, 4), np.int32)
VOLUMES = (RANDOM.random((COUNT, SIDE, SIDE, SIDE, 1)) < 0.1).astype(np.float32)


def test_scale_keeps_zeros_and_ones():
    out = volumes.scale({"image": VOLUMES.astype(np.uint8), "label": 3}, None)
    assert out["image"].dtype == np.float32
    np.testing.assert_array_equal(out["image"], VOLUMES)
    assert out["label"] == 3


def test_mirror_is_left_to_right_for_half_of_them():
    out = volumes.mirror({"image": VOLUMES}, DRAWS)["image"]
    mirrored = (out == VOLUMES[:, ::-1]).all((1, 2, 3, 4))
    same = (out == VOLUMES).all((1, 2, 3, 4))
    assert (mirrored ^ same).all()
    assert 0.4 < mirrored.mean() < 0.6


def test_quarter_turns_are_around_the_vertical_axis_and_all_four_occur():
    out = volumes.quarter_turns({"image": VOLUMES}, DRAWS)["image"]
    # numpy's turn from axis 2 (z) towards axis 0 (x).
    turned = [np.stack([np.rot90(volume, k, (2, 0)) for volume in VOLUMES]) for k in range(4)]
    which = np.array([(out == one).all((1, 2, 3, 4)) for one in turned])
    assert (which.sum(0) == 1).all()
    assert (which.mean(1) > 0.18).all()
    # What faces the front comes to face right.
    front = np.zeros((4, 5, 5, 5, 1), np.float32)
    front[:, 2, 1, 4] = 1
    out = volumes.quarter_turns({"image": front}, np.arange(4, dtype=np.int32)[:, None].repeat(4, 1))["image"]
    assert [tuple(np.argwhere(volume[..., 0])[0]) for volume in out] == [(2, 1, 4), (4, 1, 2), (2, 1, 0), (0, 1, 2)]


def moved(volume, factors, offsets):
    """Each solid voxel's centre, shrunk around the grid's centre, then moved; exact in rational numbers."""
    out = np.zeros_like(volume)
    for place in np.argwhere(volume[..., 0]):
        target = [
            # floor((p * f / 1000 + size) / 2) + offset with p the doubled coordinate around the centre.
            ((2 * int(i) + 1 - SIDE) * int(f) + SIDE * 1000) // 2000 + int(o)
            for i, f, o in zip(place, factors, offsets, strict=True)
        ]
        if all(0 <= i < SIDE for i in target):
            out[tuple(target)] = 1
    return out


@pytest.mark.parametrize(("scale", "shift"), [(0.1, 1), (0.5, 0), (0.25, 4), (0, 2)])
def test_jitter_takes_every_voxel_to_its_place(scale, shift):
    out = volumes.jitter(scale, shift)({"image": VOLUMES, "label": 3}, DRAWS)
    assert out["label"] == 3
    assert set(np.unique(out["image"])) == {0, 1}
    steps = round(1000 * scale) + 1
    factors, offsets = 1000 - DRAWS % steps, DRAWS // steps % (2 * shift + 1) - shift
    for before, after, f, o in list(zip(VOLUMES, out["image"], factors, offsets, strict=True))[:40]:
        np.testing.assert_array_equal(after, moved(before, f[1:], o[1:]))
    for axis in (1, 2, 3):
        assert np.unique(offsets[:, axis]).tolist() == list(range(-shift, shift + 1))


def test_jitter_by_nothing_changes_nothing_and_loses_nothing_thin():
    np.testing.assert_array_equal(volumes.jitter(0, 0)({"image": VOLUMES}, DRAWS)["image"], VOLUMES)
    legs = np.zeros((COUNT, SIDE, SIDE, SIDE, 1), np.float32)
    legs[:, 5, :, 3] = 1
    out = volumes.jitter(0.3, 0)({"image": legs}, DRAWS)["image"]
    heights = out.any((1, 3, 4)).sum(1)
    assert (out.sum((1, 2, 3, 4)) == heights).all()
    assert heights.min() >= 8
    for faulty in ({"scale": -0.1}, {"scale": 0.6}, {"shift": -1}):
        with pytest.raises(DataError, match="need 0 <= scale <= 0.5 and shift >= 0"):
            volumes.jitter(**faulty)


def test_both_loaders_give_the_same_and_go_on_where_they_stopped():
    arrays = {"image": VOLUMES.astype(np.uint8), "label": np.arange(COUNT)}
    maps = [volumes.scale, volumes.mirror, volumes.quarter_turns, volumes.jitter()]
    found = {
        loader: list(itertools.islice(batching.train_batches(arrays, maps, 8, 3, start=1000, loader=loader), 3))
        for loader in ("memory", "tf.data")
    }
    for ours, theirs in zip(*found.values(), strict=True):
        assert ours["image"].shape == (1, 8, SIDE, SIDE, SIDE, 1)
        assert ours["image"].dtype == theirs["image"].dtype == np.float32
        np.testing.assert_array_equal(ours["image"], theirs["image"])
        np.testing.assert_array_equal(ours["label"], theirs["label"])
    later = next(batching.train_batches(arrays, maps, 8, 3, start=1002, loader="memory"))
    np.testing.assert_array_equal(later["image"], found["memory"][2]["image"])
