import numpy as np
import pytest

from experiments import voxel_pictures
from experiments.voxel_pictures import SIZE, VIEWS


def grid(side=16):
    return np.zeros((1, side, side, side, 1), np.float32)


def front(volumes):
    """The first view's pixels that are not background, bool [SIZE, SIZE], and its picture."""
    picture = voxel_pictures.views(volumes)[0, :, :SIZE]
    return (picture < 255).any(-1), picture.astype(int)


def centre(mask):
    """(row, column) of the middle of what is set."""
    return np.argwhere(mask).mean(0)


def test_each_volume_has_a_picture_of_all_views_and_nothing_is_white():
    pictures = voxel_pictures.views(np.concatenate([grid(), grid() + 0.49, grid() + 0.5]))
    assert pictures.shape == (3, SIZE, SIZE * len(VIEWS), 3)
    assert pictures.dtype == np.uint8
    assert (pictures[:2] == 255).all()
    assert (pictures[2] < 255).any()
    assert voxel_pictures.views(grid()[:0]).shape == (0, SIZE, SIZE * len(VIEWS), 3)


def test_a_cube_covers_the_area_of_its_projection():
    # A unit cube seen from direction d covers |dx| + |dy| + |dz|.
    a, e = np.radians(VIEWS[0])
    faces = np.abs([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    height = np.cos(e) + np.sin(e) * (np.sin(a) + np.cos(a))
    width = np.sin(a) + np.cos(a)
    expected = faces.sum() * (SIZE / max(width, height)) ** 2
    volumes = grid()
    volumes[:] = 1
    assert front(volumes)[0].sum() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("axis", "row", "column"), [(0, 0, 1), (1, -1, 0), (2, 1, -1)])
def test_axes_point_right_up_and_to_the_viewer(axis, row, column):
    # From the right of the front and from above: x goes right, y up, z down and a little to the left.
    low, high = grid(), grid()
    low[0, 7, 7, 7], high[0, 7, 7, 7] = 1, 0
    index = [0, 7, 7, 7]
    index[axis + 1] = 15
    high[tuple(index)] = 1
    moved = centre(front(high)[0]) - centre(front(low)[0])
    assert np.sign(moved[1] if abs(moved[1]) > 1 else 0) == column
    if row:
        assert np.sign(moved[0]) == row


def test_what_is_in_front_hides_what_is_behind_and_the_back_shows_it():
    both, wall = grid(), grid()
    both[0, :, :, 13] = wall[0, :, :, 13] = 1
    both[0, 6:9, 6:9, 11] = 1
    both, wall = (voxel_pictures.views(volumes)[0] for volumes in (both, wall))
    np.testing.assert_array_equal(both[:, :SIZE], wall[:, :SIZE])
    assert (both[:, SIZE:] != wall[:, SIZE:]).any()


def test_faces_differ_in_brightness_and_the_top_is_the_brightest():
    volumes = grid(8)
    volumes[:] = 1
    solid, picture = front(volumes)
    rows = np.flatnonzero(solid[:, SIZE // 2])
    top, bottom = picture[rows[4], SIZE // 2].sum(), picture[rows[-4], SIZE // 2].sum()
    assert top > 1.2 * bottom
    sides = picture[3 * SIZE // 4, [SIZE // 4, 3 * SIZE // 4]].sum(-1)
    assert abs(sides[0] - sides[1]) > 50


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\[n, r, r, r, 1\]"):
        voxel_pictures.views(np.zeros((1, 8, 8, 4, 1)))
