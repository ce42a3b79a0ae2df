import os

import numpy as np
import pytest
from PIL import Image

from data_pipelines import DataError, faces, pictures

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def plain(color, size=(8, 8)):
    return Image.new("RGB", size, color)


def stripes(*colors, side=8):
    """Vertical stripes, each `side` wide and high."""
    row = np.repeat(np.array(colors, np.uint8), side, 0)
    return Image.fromarray(np.broadcast_to(row, (side, *row.shape)).copy())


def write_greys(folder, count=20, names="{:02}.png"):
    """Picture i is all 10 * i."""
    for i in range(count):
        path = folder / names.format(i)
        path.parent.mkdir(parents=True, exist_ok=True)
        plain((10 * i,) * 3).save(path)


def number(images):
    return (images[:, 0, 0, 0] // 10).tolist()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.jpg", {"quality": 100, "subsampling": 0}),
        ("a.JPEG", {"quality": 100, "subsampling": 0}),
        ("a.bmp", {}),
        ("a.gif", {}),
        ("a.webp", {"lossless": True}),
        ("a.tif", {}),
        ("a.TIFF", {"compression": "tiff_deflate"}),
    ],
)
def test_every_format(tmp_path, name, options):
    stripes(RED, GREEN).save(tmp_path / name, **options)
    assert pictures.find(str(tmp_path)).paths == [name]
    pixels = np.asarray(pictures.read(str(tmp_path / name))).astype(int)
    assert pixels.shape == (8, 16, 3)
    assert abs(pixels[:, :8] - RED).max() <= 2
    assert abs(pixels[:, 8:] - GREEN).max() <= 2


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
@pytest.mark.parametrize(("orientation", "top"), [(1, None), (3, None), (6, RED), (8, GREEN)])
def test_pictures_are_turned_upright(tmp_path, name, orientation, top):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stripes(RED, GREEN).save(tmp_path / name, exif=exif)
    pixels = np.asarray(pictures.read(str(tmp_path / name))).astype(int)
    assert pixels.shape == ((16, 8, 3) if top else (8, 16, 3))
    # Six is a camera that was held upright: what is stored left belongs on top.
    assert abs(pixels[1, 1] - (top or (RED if orientation == 1 else GREEN))).max() < 60


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.bmp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_what_reading_gives(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stripes(RED, GREEN, BLUE).save(tmp_path / name, exif=exif)
    path = str(tmp_path / name)
    assert pictures.size(path) == pictures.read(path).size[::-1] == pictures.decode(path).size[::-1]


def test_size_reads_the_head_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    plain(RED, (30, 20)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    assert pictures.size(str(path)) == (20, 30)
    with pytest.raises(OSError, match=r"[Tt]runcated"):
        pictures.read(str(path))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(Image.DecompressionBombWarning, match="600 pixels"):
        pictures.size(str(path))


def test_first_frame(tmp_path):
    plain(RED).save(tmp_path / "a.gif", save_all=True, append_images=[plain(BLUE)])
    assert pictures.read(str(tmp_path / "a.gif")).getpixel((0, 0)) == RED


def test_first_of_a_cameras_pair(tmp_path):
    plain(RED).save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[plain(BLUE)])
    with Image.open(tmp_path / "a.jpg") as file:
        assert file.format == "MPO"
    np.testing.assert_allclose(pictures.read(str(tmp_path / "a.jpg")).getpixel((0, 0)), RED, atol=2)


def test_transparent_parts_lie_on_white(tmp_path):
    path = str(tmp_path / "a.png")
    for color, expected in (((0, 0, 0, 0), WHITE), ((255, 0, 0, 255), RED), ((0, 0, 0, 102), (153, 153, 153))):
        Image.new("RGBA", (4, 4), color).save(path)
        assert pictures.read(path).getpixel((0, 0)) == expected
    Image.new("LA", (4, 4), (0, 51)).save(path)
    assert pictures.read(path).getpixel((0, 0)) == (204, 204, 204)
    palette = stripes(RED, BLUE).convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    palette.save(path, transparency=palette.getpixel((0, 0)))
    assert [pictures.read(path).getpixel((x, 0)) for x in (0, 15)] == [WHITE, BLUE]


def test_modes(tmp_path):
    stripes(RED, BLUE).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    assert pictures.read(str(tmp_path / "palette.png")).getpixel((15, 0)) == BLUE
    stripes(WHITE, BLACK).convert("1").save(tmp_path / "bits.png")
    assert pictures.read(str(tmp_path / "bits.png")).getpixel((0, 0)) == WHITE
    for name in ("cmyk.jpg", "cmyk.tif"):
        Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / name, quality=100)
        np.testing.assert_allclose(pictures.read(str(tmp_path / name)).getpixel((0, 0)), (0, 255, 255), atol=2)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_rounded_to_eight(tmp_path, name):
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    pixels = np.asarray(pictures.read(str(tmp_path / name)))
    assert pixels[0, :, 1].tolist() == [0, 0, 1, 1, 128, 255]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_range_are_refused(tmp_path, dtype):
    Image.fromarray(np.ones((4, 4), dtype)).save(tmp_path / "a.tif")
    for look in (pictures.read, pictures.size):
        with pytest.raises(ValueError, match="no known range"):
            look(str(tmp_path / "a.tif"))


@pytest.mark.parametrize("pixels", [63, 127])
def test_bombs_are_refused(tmp_path, monkeypatch, pixels):
    # Pillow itself warns above its limit, and refuses above twice its limit.
    plain(RED, (8, 16)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels)
    with pytest.raises((Image.DecompressionBombWarning, Image.DecompressionBombError), match="128 pixels"):
        pictures.read(str(tmp_path / "a.png"))


def test_the_middle_is_cut_out():
    for size, box in (((30, 10), (10, 0, 20, 10)), ((10, 31), (0, 10, 10, 20)), ((7, 7), (0, 0, 7, 7))):
        assert pictures.center_square(plain(RED, size)) == box
    picture = stripes(RED, GREEN, BLUE)
    middle = pictures.resize(picture, pictures.center_square(picture), 4)
    assert (middle.shape, middle.dtype) == ((4, 4, 3), np.uint8)
    assert (middle == GREEN).all()


def test_resizing_is_antialiased():
    # One white pixel in nine: what merely picks pixels gives black or white.
    fine = np.zeros((216, 216, 3), np.uint8)
    fine[1::3, 1::3] = 255
    small = pictures.resize(Image.fromarray(fine), (0, 0, 216, 216), 9).astype(int)
    assert abs(small - 255 / 9).max() < 6
    grey = pictures.resize(plain(RED), (0, 0, 8, 8), 5, grey=True)
    assert grey.shape == (5, 5, 1)
    assert (grey == 76).all()


def test_folders_directly_below_are_the_classes(tmp_path):
    for i, name in enumerate(["wolf", "bee", "wolf", "ant", "bee", "wolf"]):
        write_greys(tmp_path / name, 1, f"{i}.png")
    found = pictures.find(str(tmp_path))
    assert found.paths == ["ant/3.png", "bee/1.png", "bee/4.png", "wolf/0.png", "wolf/2.png", "wolf/5.png"]
    assert found.classes == ["ant", "bee", "wolf"]
    assert found.labels.tolist() == [0, 1, 1, 2, 2, 2]
    assert found.labels.dtype == np.int64
    # One picture elsewhere, above or deeper, and there are no classes.
    for other in (tmp_path / "9.png", tmp_path / "bee" / "young" / "9.png"):
        write_greys(other.parent, 1, other.name)
        found = pictures.find(str(tmp_path))
        assert (len(found.paths), found.classes, set(found.labels)) == (7, [], {0})
        other.unlink()


def test_what_is_no_picture_is_passed_over(tmp_path):
    write_greys(tmp_path, 2)
    write_greys(tmp_path / ".thumbnails", 2)
    for name in ("._00.png", "notes.txt", "png"):
        (tmp_path / name).write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    assert pictures.find(str(tmp_path)).paths == ["00.png", "01.png"]


def test_arrays_hold_each_picture_once_with_its_label(tmp_path):
    write_greys(tmp_path, 20, "class{0}/{0:02}.png")
    arrays, tally = pictures.read_folder(str(tmp_path), 8, test=0.25)
    assert arrays["train_image"].shape == (15, 8, 8, 3)
    assert arrays["test_image"].shape == (5, 8, 8, 3)
    assert tally == (0, [], {})
    classes = arrays["classes"]
    assert classes.dtype.kind == "U"
    seen = []
    for split in ("train", "test"):
        label = arrays[f"{split}_label"]
        assert label.dtype == np.int64
        assert [f"class{i}" for i in number(arrays[f"{split}_image"])] == classes[label].tolist()
        seen += number(arrays[f"{split}_image"])
    assert sorted(seen) == list(range(20))
    # Mixed, not the first few names.
    assert sorted(number(arrays["test_image"])) != list(range(5))


def test_golden_split(tmp_path):
    # If you did not intend this: what was a test picture once is one to train with now.
    write_greys(tmp_path)
    assert number(pictures.read_folder(str(tmp_path), 8, test=0.3)[0]["test_image"]) == [9, 8, 10, 6, 1, 3]


def test_split_depends_neither_on_the_order_of_files_nor_on_their_pixels(tmp_path, monkeypatch):
    write_greys(tmp_path, 12, "{0}/a{0:02}.png")
    straight = pictures.read_folder(str(tmp_path), 8)[0]
    walk = os.walk

    def backwards(folder, **options):
        for base, folders, files in walk(folder, **options):
            folders.sort(reverse=True)
            yield base, folders, sorted(files, reverse=True)

    monkeypatch.setattr(os, "walk", backwards)
    assert [folders for _, folders, _ in os.walk(str(tmp_path))][0][0] == "9"
    for options in ({}, {"grey": True}):
        other = pictures.read_folder(str(tmp_path), 8, **options)[0]
        assert other.keys() == straight.keys()
        for key, array in other.items():
            np.testing.assert_array_equal(
                array, straight[key][..., :1] if options and "image" in key else straight[key]
            )


def test_each_split_has_a_picture(tmp_path):
    write_greys(tmp_path, 3)
    for test, count in ((0.001, 1), (0.999, 2)):
        arrays, _ = pictures.read_folder(str(tmp_path), 8, test=test)
        assert (len(arrays["train_label"]), len(arrays["test_label"])) == (3 - count, count)


def test_damaged_files_are_told_and_left_out(tmp_path):
    write_greys(tmp_path)
    whole = (tmp_path / "03.png").read_bytes()
    for name, content in (("03.png", whole[:50]), ("04.png", b""), ("05.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n")):
        (tmp_path / name).write_bytes(content)
    arrays, tally = pictures.read_folder(str(tmp_path), 8)
    assert list(tally.unreadable) == ["03.png", "04.png", "05.jpg"]
    assert "UnidentifiedImageError" in tally.unreadable["05.jpg"]
    left = sorted(number(arrays["train_image"]) + number(arrays["test_image"]))
    assert left == [i for i in range(20) if i not in (3, 4)]


def test_small_pictures_are_enlarged_and_counted(tmp_path):
    write_greys(tmp_path, 4)
    plain(RED, (32, 9)).save(tmp_path / "wide.png")
    plain(RED, (9, 10)).save(tmp_path / "large.png")
    arrays, tally = pictures.read_folder(str(tmp_path), 9)
    assert tally.enlarged == 4
    assert arrays["train_image"].shape == (5, 9, 9, 3)


def test_faces_are_cut_out_and_their_lack_is_told(tmp_path, monkeypatch):
    def find(picture):
        return None if picture.getpixel((0, 0)) == BLUE else (8, 0, 16, 8)

    monkeypatch.setattr(faces, "finder", lambda: find)
    for i in range(3):
        stripes(RED, GREEN, BLUE).save(tmp_path / f"face{i}.png")
        stripes(BLUE, GREEN, RED).save(tmp_path / f"none{i}.png")
    arrays, tally = pictures.read_folder(str(tmp_path), 8, crop="anime")
    assert tally.faceless == ["none0.png", "none1.png", "none2.png"]
    assert arrays["train_image"].shape == (2, 8, 8, 3)
    assert (arrays["train_image"] == GREEN).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size=0.*need size >= 1"),
        ({"test": 0.0}, "test=0.0.*0 < test < 1"),
        ({"test": 1.0}, "test=1.0"),
        ({"test": float("nan")}, "test=nan"),
        ({"crop": "left"}, "crop='left'.* one of center, anime"),
        ({"size": 10**9}, "does not fit into memory; take a smaller --size"),
    ],
)
def test_values_out_of_range(tmp_path, options, message):
    write_greys(tmp_path, 3)
    with pytest.raises(DataError, match=message):
        pictures.read_folder(str(tmp_path), **{"size": 8, **options})


def test_folders_that_give_nothing(tmp_path):
    with pytest.raises(DataError, match=r"has no pictures \(.png, .*give another folder"):
        pictures.find(str(tmp_path))
    with pytest.raises(DataError, match="none: cannot be read as a folder"):
        pictures.find(str(tmp_path / "none"))
    write_greys(tmp_path, 1)
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(DataError, match="but 1 could be used, 0 had no face, 1 could not be read; bad.png: Unid"):
        pictures.read_folder(str(tmp_path), 8)


def test_both_splits_lie_in_one_array(tmp_path):
    write_greys(tmp_path)
    arrays, _ = pictures.read_folder(str(tmp_path), 8)
    train, test = arrays["train_image"], arrays["test_image"]
    assert train.base is not None
    assert train.base is test.base
