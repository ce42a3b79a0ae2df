import itertools

import numpy as np
import pytest

from data_pipelines import DataError, images

COUNT = 4000
DRAWS = np.random.default_rng(1).integers(0, 2**31, (COUNT, 4), np.int32)
PICTURES = np.random.default_rng(2).uniform(-1, 1, (COUNT, 28, 28, 1)).astype(np.float32)


def test_scale_meets_both_ends():
    values = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1)
    scaled = images.scale({"image": values, "label": 3}, None)
    assert scaled["label"] == 3
    assert scaled["image"].dtype == np.float32
    assert (scaled["image"].min(), scaled["image"].max()) == (-1, 1)
    np.testing.assert_allclose(scaled["image"], values / 127.5 - 1, atol=1e-7)


def test_scale_pair_scales_both():
    values = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1)
    pair = images.scale_pair({"image": values, "source": values[:, ::-1], "label": 3}, None)
    np.testing.assert_array_equal(pair["image"], images.scale({"image": values}, None)["image"])
    np.testing.assert_array_equal(pair["source"], pair["image"][:, ::-1])
    assert pair["label"] == 3


def test_mask_corners_cover_the_range_evenly():
    mask = images.mask_square()({"image": PICTURES}, DRAWS)["mask"]
    assert mask.shape == (COUNT, 28, 28, 1)
    assert set(np.unique(mask)) == {0, 1}
    assert (mask.sum((1, 2, 3)) == 64).all()
    corners = list(zip(mask.any((2, 3)).argmax(1), mask.any((1, 3)).argmax(1), strict=True))
    counts = [corners.count(corner) for corner in itertools.product(range(8, 12), repeat=2)]
    assert sum(counts) == COUNT
    # 250 expected; the deviation is 15.
    assert 190 < min(counts) <= max(counts) < 310
    # Each hole is the square that begins at its corner.
    for row, column, one in zip(*zip(*corners[:50], strict=True), mask[:50], strict=True):
        assert one[row : row + 8, column : column + 8].all()


def test_mask_hole_is_minus_one_and_all_else_stays():
    out = images.mask_square(size=3, low=0, high=25)({"image": PICTURES, "label": 3}, DRAWS)
    np.testing.assert_array_equal(out["image"], PICTURES)
    np.testing.assert_array_equal(out["masked"], np.where(out["mask"] == 1, -1, PICTURES))
    assert out["masked"].dtype == out["mask"].dtype == np.float32
    assert out["label"] == 3


def test_mask_refuses_holes_outside():
    with pytest.raises(DataError, match="leaves pictures of 28 x 28: take high <= 20"):
        images.mask_square(high=21)({"image": PICTURES}, DRAWS)
    for faulty in ({"size": 0}, {"low": -1}, {"low": 12}):
        with pytest.raises(DataError, match="need size >= 1 and 0 <= low <= high"):
            images.mask_square(**faulty)


def test_flip_mirrors_half_of_the_images():
    out = images.flip_horizontal({"image": PICTURES}, DRAWS)["image"]
    flipped = (out == PICTURES[:, :, ::-1]).all((1, 2, 3))
    same = (out == PICTURES).all((1, 2, 3))
    assert (flipped ^ same).all()
    assert 0.45 < flipped.mean() < 0.55


@pytest.mark.parametrize("shape", [(9, 7, 1), (5, 6, 3)])
def test_shift_moves_every_way_and_fills(shape):
    pictures = np.random.default_rng(3).uniform(-1, 1, (500, *shape)).astype(np.float32)
    out = images.shift(2)({"image": pictures}, DRAWS[:500])["image"]
    padded = np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1)
    height, width, _ = shape
    seen = set()
    for before, after in zip(padded, out, strict=True):
        moves = [
            (2 - row, 2 - column)
            for row, column in itertools.product(range(5), repeat=2)
            if np.array_equal(before[row : row + height, column : column + width], after)
        ]
        assert len(moves) == 1
        seen.update(moves)
    assert seen == set(itertools.product(range(-2, 3), repeat=2))


def test_shift_by_nothing_and_by_more_than_the_picture():
    pictures = PICTURES[:64, :3, :3]
    np.testing.assert_array_equal(images.shift(0)({"image": pictures}, DRAWS[:64])["image"], pictures)
    far = images.shift(1000)({"image": pictures}, DRAWS[:64])["image"]
    assert (far == -1).mean() > 0.9
    with pytest.raises(DataError, match="need pixels >= 0"):
        images.shift(-1)
