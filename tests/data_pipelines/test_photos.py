import importlib.util

import numpy as np
import pytest
from PIL import Image

from data_pipelines import DataError, photos


def write(folder, names, size=(40, 30)):
    """Photograph i is all i."""
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (i,) * 3).save(path)


def shades(cells):
    return sorted(set(cells[:].ravel().tolist()))


def names(count=10):
    return [f"{i:02}.png" for i in range(count)]


def test_no_photograph_is_in_two_splits(tmp_path):
    write(tmp_path, names())
    data, tally = photos.load("photo_folder", str(tmp_path), cell=16, test=0.3)
    assert {split: list(arrays) for split, arrays in data.items()} == {"train": ["image"], "test": ["image"]}
    train, test = (data[split]["image"] for split in ("train", "test"))
    assert (len(shades(train)), len(shades(test))) == (7, 3)
    assert sorted(shades(train) + shades(test)) == list(range(10))
    # 30 x 40: at 0, 8 and 14 by 0, 8, 16, 24; or at 0 by 0, 16.
    assert (train.shape, test.shape) == ((7 * 12, 16, 16, 3), (3 * 2, 16, 16, 3))
    assert tally == ({"train": 7, "test": 3}, {}, {}, {})
    assert tally.lines() == ["photographs: 7 train, 3 test; left out: 0 too small, 0 not read, 0 not matched"]


def test_golden_split(tmp_path):
    # If you did not intend this: what was a test photograph once is one to train with now.
    write(tmp_path, names())
    assert shades(photos.load("photo_folder", str(tmp_path), cell=16, test=0.3)[0]["test"]["image"]) == [1, 2, 9]


def test_shrunk_photographs_are_measured_after_it(tmp_path):
    write(tmp_path, names())
    data, tally = photos.load("photo_folder", str(tmp_path), cell=15, test=0.3, shrink=2)
    assert data["test"]["image"].shape == (3, 15, 15, 3)
    assert not tally.small
    with pytest.raises(DataError, match="too small: 00.png: 15 x 20"):
        photos.load("photo_folder", str(tmp_path), cell=16, shrink=2)


def test_split_depends_on_names_alone(tmp_path):
    write(tmp_path, names())
    before, _ = photos.scenes("photo_folder", str(tmp_path), test=0.3)
    tested = [scene.name for scene in before if scene.split == "test"]
    write(tmp_path, reversed(names()), size=(64, 64))
    # One that cannot be used changes nothing but who takes its place.
    (tmp_path / tested[0]).write_bytes(b"no picture")
    after, _ = photos.scenes("photo_folder", str(tmp_path), test=0.3)
    assert {scene.name for scene in after if scene.split == "test"} > set(tested[1:])


def test_what_is_left_out_is_told(tmp_path):
    write(tmp_path / "good", names(3))
    write(tmp_path / "small", ["narrow.png"], size=(60, 15))
    write(tmp_path / "small", ["exact.png"], size=(16, 16))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    data, tally = photos.load("photo_folder", str(tmp_path), cell=16)
    assert tally.splits == {"train": 3, "test": 1}
    assert tally.small == {"small/narrow.png": "15 x 60"}
    first, second, last = tally.lines()
    assert first == "too small: small/narrow.png: 15 x 60"
    assert second.startswith("not read: bad.jpg: UnidentifiedImageError: ")
    assert last == "photographs: 3 train, 1 test; left out: 1 too small, 1 not read, 0 not matched"
    assert sum(len(arrays["image"]) for arrays in data.values()) > 4


@pytest.mark.parametrize(
    ("patterns", "tested"),
    [
        (["b/01.png"], [1]),
        (["b/01"], [1]),
        (("a/*", "b/03"), [0, 2, 3]),
        (["?/0?.png", "b/01"], [0, 1, 2, 3]),
        (["*"], [0, 1, 2, 3]),
    ],
)
def test_named_photographs_are_held_out(tmp_path, patterns, tested):
    write(tmp_path, ["a/00.png", "b/01.png", "a/02.png", "b/03.png"])
    data, tally = photos.load("photo_folder", str(tmp_path), cell=16, held_out=patterns)
    assert shades(data["test"]["image"]) == tested
    assert shades(data["train"]["image"]) == sorted(set(range(4)) - set(tested))
    assert tally.splits == {"train": 4 - len(tested), "test": len(tested)}


def test_a_share_of_the_training_photographs_is_for_validation(tmp_path):
    names = [f"{index:02}.png" for index in range(8)]
    write(tmp_path, names)
    data, tally = photos.load("photo_folder", str(tmp_path), cell=16, held_out=["00", "01"], validation=0.5)
    assert tally.splits == {"train": 3, "test": 2, "validation": 3}
    assert sorted(sum((shades(arrays["image"]) for arrays in data.values()), [])) == list(range(8))
    with pytest.raises(DataError, match="no photograph for the split validation"):
        photos.load("photo_folder", str(tmp_path), cell=16, held_out=names[1:], validation=0.5)


def test_names_with_brackets_are_held_out_as_they_are(tmp_path):
    write(tmp_path, ["a[1].png", "a1.png", "b.png"])
    data, _ = photos.load("photo_folder", str(tmp_path), cell=16, held_out=["a[1].png", "b"])
    assert shades(data["test"]["image"]) == [0, 2]


def test_upright_colour(tmp_path):
    write(tmp_path, names(2))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20), "red").save(tmp_path / "turned.png", exif=exif)
    Image.new("LA", (20, 20), (0, 51)).save(tmp_path / "faint.png")
    data, _ = photos.load("photo_folder", str(tmp_path), cell=20, held_out=["turned", "faint"])
    assert data["test"]["image"].shape == (2, 20, 20, 3)
    np.testing.assert_array_equal(data["test"]["image"][:][:, 0, 0], [(204, 204, 204), (255, 0, 0)])
    scenes, _ = photos.scenes("photo_folder", str(tmp_path))
    assert [(s.height, s.width) for s in scenes if s.name == "turned.png"] == [(30, 20)]


def test_the_embedded_photographs():
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    scenes, tally = photos.scenes("photos", smallest=256, test=0.4)
    assert len(scenes) == 9
    assert tally.lines()[-1].startswith("photographs: 5 train, 4 test; left out: 0 too small, 0 not read")
    # Both halves of the stereo pair are on one side.
    assert len({scene.split for scene in scenes if scene.name.startswith("motorcycle")}) == 1
    data, _ = photos.load("photos", held_out=["astronaut"])
    from skimage import data as skimage_data

    whole = skimage_data.astronaut()
    quarters = [whole[:256, :256], whole[:256, 256:], whole[256:, :256], whole[256:, 256:]]
    np.testing.assert_array_equal(data["test"]["image"][:], np.stack(quarters))


@pytest.mark.parametrize("package", ["skimage", "sklearn"])
def test_without_their_packages_there_are_no_embedded_photographs(monkeypatch, tmp_path, package):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    if found("skimage") or package == "skimage":
        with pytest.raises(DataError, match=rf'inside the package {package}.*pip install "gans\[photos\]"'):
            photos.load("photos")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["fotos"], {}, "'fotos'; there are photos, photo_folder, blur_pairs, certh_blur"),
        (["photos", "folder"], {}, "photos: takes no path"),
        (["photo_folder"], {}, "takes a folder as its path; set config.data.path"),
        (["photo_folder", "nowhere"], {}, "nowhere: cannot be read as a folder"),
        (["photo_folder", "."], {"cell": 1}, "cell=1 must be at least 2"),
        (["photo_folder", "."], {"shrink": 0}, "shrink=0 at least 1"),
        (["photo_folder", "."], {"test": 1.0}, r"test=1.0 must be in \(0, 1\)"),
    ],
)
def test_refusals(tmp_path, monkeypatch, arguments, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        photos.load(*arguments, **options)


def test_a_split_without_a_photograph_is_refused(tmp_path):
    write(tmp_path, names(3))
    (tmp_path / "00.png").write_bytes(b"")
    load = {"name": "photo_folder", "path": str(tmp_path)}
    with pytest.raises(
        DataError, match="no photograph for the split train.*too small: 01.png: 30 x 40; .*2 too small, 1"
    ):
        photos.load(**load, cell=31)
    with pytest.raises(DataError, match="no photograph is called 'kite'; names here are like 00.png, 01.png"):
        photos.load(**load, cell=16, held_out=["01", "kite"])
    with pytest.raises(DataError, match="no photograph for the split test.*not read: 00.png"):
        photos.load(**load, cell=16, held_out=["00"])
    (tmp_path / "01.png").unlink()
    with pytest.raises(DataError, match="no photograph for the split test"):
        photos.load(**load, cell=16)
