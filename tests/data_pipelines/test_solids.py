import numpy as np
import pytest
from scipy import ndimage

from data_pipelines import DataError, solids

COUNT = 60


@pytest.fixture(scope="module", params=[32, 64])
def volumes(request):
    return np.stack([solids.solid(0, i, request.param) for i in range(COUNT)])


def extents(volume):
    return [np.flatnonzero(volume.any(others))[[0, -1]] for others in ((1, 2), (0, 2), (0, 1))]


def test_a_solid_is_a_function_of_its_seed_and_number():
    np.testing.assert_array_equal(solids.solid(0, 7, 32), solids.solid(0, 7, 32))
    assert (solids.solid(0, 7, 32) != solids.solid(1, 7, 32)).any()
    # The same in every numpy: these come from raw words of Philox.
    assert [int(solids.solid(5, i, 32).sum()) for i in range(6)] == [1704, 806, 626, 2692, 2802, 528]


def test_every_solid_hangs_together_and_fills_the_grid_but_for_a_margin(volumes):
    side = volumes.shape[1]
    assert volumes.dtype == np.uint8
    assert set(np.unique(volumes)) == {0, 1}
    assert len({volume.tobytes() for volume in volumes}) == COUNT
    for volume in volumes:
        assert ndimage.label(volume, np.ones((3, 3, 3)))[1] == 1
        longest = max(high - low + 1 for low, high in extents(volume))
        assert side * 15 // 16 - 2 <= longest <= side * 15 // 16
        for low, high in extents(volume):
            # In the middle.
            assert abs(low + high - (side - 1)) <= 1


def test_solids_are_symmetric_and_face_the_front(volumes):
    for volume in volumes:
        np.testing.assert_array_equal(volume, volume[::-1])
    for chair in volumes[1::3]:
        _, (_, high), (rear, front) = extents(chair)
        top = chair[:, high].any(0)
        assert top[rear]
        assert not top[(rear + front) // 2 + 1 :].any()
    for table in volumes[0::3]:
        _, (_, high), _ = extents(table)
        layers = table.sum((0, 2))
        assert layers[high] == layers.max()
    for aeroplane in volumes[2::3]:
        _, (_, high), (tail, _) = extents(aeroplane)
        # The fin is the highest, at the tail.
        assert aeroplane[:, high, tail : tail + volumes.shape[1] // 4].any()


def test_both_resolutions_show_the_same_solid():
    for index in range(9):
        small, large = solids.solid(3, index, 32), solids.solid(3, index, 64)
        seen = large.reshape(32, 2, 32, 2, 32, 2).any((1, 3, 5))
        assert (small & seen).sum() > 0.9 * small.sum()
        assert small.sum() > 0.4 * seen.sum()


def test_a_set_has_both_splits_and_chosen_classes(monkeypatch):
    monkeypatch.setattr(solids, "COUNTS", {"train": 9, "test": 4})
    data = solids.read(32)
    assert data["train"]["image"].shape == (9, 32, 32, 32, 1)
    assert data["train"]["label"].tolist() == [0, 1, 2] * 3
    assert data["test"]["label"].tolist() == [0, 1, 2, 0]
    images = [image.tobytes() for split in data.values() for image in split["image"]]
    assert len(set(images)) == len(images)
    some = solids.read(32, ("aeroplane", "table"))["train"]
    assert some["label"].tolist() == [1, 0] * 3
    np.testing.assert_array_equal(some["image"], data["train"]["image"][[0, 2, 3, 5, 6, 8]])
    with pytest.raises(DataError, match="no class 'sofa'; choose from table, chair, aeroplane"):
        solids.read(32, ("sofa",))
