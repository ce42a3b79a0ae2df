import itertools
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from data_pipelines import DataError, cells, degrade, images, pictures
from data_pipelines.batching import evaluation_batches, train_batches
from data_pipelines.cells import Cells, Library, Scene

SIZES = [(40, 56), (32, 32), (50, 33), (64, 47)]


@pytest.fixture
def scenes(tmp_path):
    """Photographs whose pixels say which one it is, and where they are."""
    found = []
    for number, (height, width) in enumerate(SIZES):
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels(number, height, width)).save(path)
        found.append(Scene(path.name, (str(path),), path.name, height=height, width=width))
    return found


def pixels(number, height, width):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([np.full((height, width), number), rows, columns], -1).astype(np.uint8)


def expected(cell, stride):
    """Every cell in order, by slicing alone."""
    for number, (height, width) in enumerate(SIZES):

        def starts(length):
            found = list(range(0, length - cell + 1, stride))
            return found if stride == cell or found[-1] == length - cell else [*found, length - cell]

        for top, left in itertools.product(starts(height), starts(width)):
            yield pixels(number, height, width)[top : top + cell, left : left + cell]


@pytest.mark.parametrize(("cell", "stride"), [(32, 32), (16, 16), (16, 8), (20, 7), (32, 1)])
def test_cells_are_slices_of_the_photographs(scenes, cell, stride):
    array, slices = Cells(scenes, Library(), cell, stride), np.stack(list(expected(cell, stride)))
    assert array.shape == slices.shape
    assert len(array) == len(slices)
    assert array.dtype == slices.dtype
    np.testing.assert_array_equal(array[:], slices)
    rows = np.random.default_rng(0).integers(0, len(slices), 50)
    for index in (rows, rows.reshape(5, 10), slice(1, None, 3), -1, 0, np.array([], int)):
        np.testing.assert_array_equal(array[index], slices[index])
    for outside in (len(slices), np.array([0, len(slices)])):
        with pytest.raises(IndexError):
            array[outside]


@pytest.mark.parametrize("number", range(len(SIZES)))
def test_shrunk_photographs_are_means_of_squares(scenes, number):
    shrunk = scenes[number].shrunk(3)
    (found,) = Library().read(shrunk)
    assert found.shape == (shrunk.height, shrunk.width, 3)
    rows, columns = (np.arange(length) // 3 for length in SIZES[number])  # the last squares are cut by the edges
    totals, counts = np.zeros(found.shape), np.zeros((*found.shape[:2], 1))
    np.add.at(totals, (rows[:, None], columns), pixels(number, *SIZES[number]))
    np.add.at(counts, (rows[:, None], columns), 1)
    np.testing.assert_allclose(found, totals / counts, atol=0.51)


def test_crops_of_half_a_cell_reach_every_place(scenes):
    cell, stride, crop = 16, 8, 9
    reached = set()
    for one in Cells(scenes, Library(), cell, stride)[:]:
        for top, left in itertools.product(range(cell - crop + 1), repeat=2):
            reached.add(tuple(one[top, left].tolist()))
    whole = {
        (number, top, left)
        for number, (height, width) in enumerate(SIZES)
        for top, left in itertools.product(range(height - crop + 1), range(width - crop + 1))
    }
    assert reached == whole


def test_cells_that_do_not_overlap_hold_no_pixel_twice(scenes):
    found = [tuple(pixel) for pixel in Cells(scenes, Library(), 16, 16)[:].reshape(-1, 3).tolist()]
    assert len(set(found)) == len(found)


@pytest.fixture
def decoded(monkeypatch):
    """The paths of all files decoded so far."""
    seen, decode = [], pictures.decode
    monkeypatch.setattr(pictures, "decode", lambda path: seen.append(path) or decode(path))
    return seen


def test_photographs_are_decoded_when_asked_for_and_kept(scenes, decoded):
    array = Cells(scenes, Library(), 16, 8)
    assert decoded == []
    array[:]
    array[:]
    assert decoded == [scene.files[0] for scene in scenes]


def test_the_longest_unused_goes_first(scenes, decoded):
    # 6,720, 3,072, 4,950 and 9,024 bytes.
    library = Library(budget=16_000)

    def again(*numbers):
        decoded.clear()
        for number in numbers:
            library.read(scenes[number])
        return [scenes.index(scene) for path in decoded for scene in scenes if scene.files == (path,)]

    assert again(0, 1, 2, 2, 1, 0) == [0, 1, 2]
    assert again(3) == [3]
    # 2 and 1 had to go.
    assert again(0, 3) == []
    assert again(2, 1) == [2, 1]
    assert library._used == sum(picture.nbytes for kept in library._kept.values() for picture in kept) <= 16_000
    assert Library(budget=0).read(scenes[0])[0].shape == (40, 56, 3)


def test_pairs_share_a_library(tmp_path, decoded):
    for name, shade in (("sharp", 200), ("blurred", 100)):
        Image.new("RGB", (20, 20), (shade,) * 3).save(tmp_path / f"{name}.png")
    pair = Scene("pair", tuple(str(tmp_path / f"{name}.png") for name in ("sharp", "blurred")), "pair", "", 20, 20)
    library = Library()
    arrays = {key: Cells([pair], library, 10, 10, i) for i, key in enumerate(("image", "source"))}
    batch = next(train_batches(arrays, [], 2, 0, loader="memory"))
    assert (batch["image"] == 200).all()
    assert (batch["source"] == 100).all()
    assert len(decoded) == 2


def damage(scene):
    with open(scene.files[-1], "r+b") as file:
        file.truncate(45)


def test_another_photograph_stands_in_for_a_damaged_one(scenes):
    intact = Cells(scenes, Library(), 16, 8)
    first = np.cumsum([0] + [len(Cells([scene], Library(), 16, 8)) for scene in scenes])
    for number in (1, 3):
        damage(scenes[number])
    library = Library()
    array = Cells(scenes, library, 16, 8)
    assert len(array) == len(intact)
    with pytest.warns(UserWarning, match=r"^[13].png: is left out, as it cannot be read") as warned:
        found = array[:]
        again = array[::-1][::-1]
    assert len(warned) == 2
    assert sorted(library.damaged) == ["1.png", "3.png"]
    np.testing.assert_array_equal(found, again)
    # The next whole one, from the end on the first one again; the same places as far as it has them.
    assert [set(found[a:b, ..., 0].ravel()) for a, b in itertools.pairwise(first)] == [{0}, {2}, {2}, {0}]
    np.testing.assert_array_equal(found[first[1] : first[1] + 3], intact[first[2] : first[2] + 3])


def test_a_pair_with_one_damaged_half_is_left_out_whole(tmp_path):
    found = []
    for number in range(2):
        files = [str(tmp_path / f"{number}{half}.png") for half in ("sharp", "blurred")]
        for half, file in enumerate(files):
            Image.new("RGB", (20, 20), (100 * number + half,) * 3).save(file)
        found.append(Scene(str(number), tuple(files), str(number), "", 20, 20))
    damage(found[0])
    library = Library()
    with pytest.warns(UserWarning, match="^0: is left out"):
        assert set(Cells(found, library, 10, 10, 0)[:].ravel()) == {100}
    assert set(Cells(found, library, 10, 10, 1)[:].ravel()) == {101}


def test_without_a_whole_photograph_there_is_nothing(scenes):
    for scene in scenes:
        damage(scene)
    with warnings.catch_warnings(), pytest.raises(DataError, match="none of the 4 photographs can be read.*0.png"):
        warnings.simplefilter("ignore")
        Cells(scenes, Library(), 16, 16)[0]


@pytest.mark.parametrize("loader", ["memory", "tf.data"])
@pytest.mark.filterwarnings("ignore:.*is left out")
def test_photographs_that_disappear_while_batches_are_made(scenes, loader):
    batches = train_batches({"image": Cells(scenes, Library(0), 16, 8)}, [], 8, 0, loader=loader)
    next(batches)
    os.remove(scenes[1].files[0])
    for _ in range(8):
        batch = next(batches)["image"]
    assert set(batch[..., 0].ravel()) <= {0, 2, 3}
    for number in (0, 2, 3):
        os.remove(scenes[number].files[0])
    # What was made ahead is still there; then one message, without TensorFlow's own stack.
    with pytest.raises(DataError, match="none of the 4 photographs can be read.*No such file"):
        for _ in range(50):
            next(batches)


def test_a_picture_unlike_its_head_is_damaged(scenes):
    with pytest.warns(UserWarning, match=r"is \(40, 56\), but its head says \(40, 57\)"):
        assert Library().read(scenes[0]._replace(width=57)) is None


def test_threads_may_share_it(scenes):
    library = Library(budget=12_000)
    array, slices = Cells(scenes, library, 16, 8), np.stack(list(expected(16, 8)))
    ready = threading.Barrier(8)

    def work(seed):
        rows = np.random.default_rng(seed).integers(0, len(slices), (30, 4))
        ready.wait()
        return all(np.array_equal(array[row], slices[row]) for row in rows)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert library._used == sum(picture.nbytes for kept in library._kept.values() for picture in kept) <= 12_000


def test_batches_of_cells_are_batches_of_arrays(scenes):
    array = Cells(scenes, Library(budget=8_000), 16, 8)
    maps = [images.scale, degrade.random_crop(9), degrade.flip_and_turn()]
    for loader in ("memory", "tf.data"):
        options = {"maps": maps, "batch_size": 6, "seed": 1, "loader": loader, "start": 1000}
        pairs = zip(
            train_batches({"x": array, "image": array}, **options),
            train_batches({"x": array[:], "image": array[:]}, **options),
            strict=True,
        )
        for ours, theirs in itertools.islice(pairs, 4):
            np.testing.assert_array_equal(ours["x"], theirs["x"])
            np.testing.assert_array_equal(ours["image"], theirs["image"])
    whole = [batch["image"][batch["valid"]] for batch in evaluation_batches({"image": array}, [], 7, 0)]
    np.testing.assert_array_equal(np.concatenate(whole), array[:])


def test_whole_scenes_one_by_one(scenes):
    damage(scenes[2])
    with pytest.warns(UserWarning, match="2.png"):
        found = [(scene.name, picture) for scene, (picture,) in cells.whole(scenes)]
    assert [name for name, _ in found] == ["0.png", "1.png", "3.png"]
    np.testing.assert_array_equal(found[1][1], pixels(1, 32, 32))
