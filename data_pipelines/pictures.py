"""Folders of pictures as arrays: upright, square, of one size, in a fixed split."""

import contextlib
import os
import sys
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from data_pipelines import DataError, faces

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
# What the content may be, whatever the name says: Pillow knows many more formats, some of them programs. JPEG
# includes MPO, the pairs of pictures that some cameras write.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
CROPS = ("center", "anime")
# Philox' key of the order that makes the split.
_KEY = 64


class Found(NamedTuple):
    """Pictures below a folder: their paths from there on with '/', sorted; their labels; the classes' names."""

    paths: list[str]
    labels: np.ndarray
    classes: list[str]


class Tally(NamedTuple):
    """What became of the pictures: how many were enlarged, and which were left out, {path: why}."""

    enlarged: int
    faceless: list[str]
    unreadable: dict[str, str]


def find(folder: str) -> Found:
    """The pictures in `folder` and below it, known by their endings, `SUFFIXES`.

    Hidden files and folders are passed over, and folders behind links are not entered. If every picture lies in
    a folder directly below `folder`, these folders are the classes, numbered by name; otherwise there are no
    classes, and every label is 0.

    Returns: labels int64 [n].

    Raises:
      DataError: no such folder, one that cannot be read, or no picture in it.
    """
    paths = []
    for base, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names = [name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
        # Anything else than a file, a pipe for one, could make the reading wait for ever.
        whole = [path for path in (os.path.join(base, name) for name in names) if os.path.isfile(path)]
        paths += [os.path.relpath(path, folder).replace(os.sep, "/") for path in whole]
    if not paths:
        raise DataError(f"{folder}: has no pictures ({', '.join(SUFFIXES)}) in it or below; give another folder")
    # File systems list in any order.
    paths.sort()
    parents = [path.split("/")[:-1] for path in paths]
    if any(len(parent) != 1 for parent in parents):
        return Found(paths, np.zeros(len(paths), np.int64), [])
    classes, labels = np.unique([parent[0] for parent in parents], return_inverse=True)
    return Found(paths, labels.astype(np.int64), classes.tolist())


def _refuse(error):
    raise DataError(f"{error.filename}: cannot be read as a folder ({error.strerror}); give another --from")


def read_folder(
    folder: str, size: int, *, crop: str = "center", grey: bool = False, test: float = 0.1
) -> tuple[dict[str, np.ndarray], Tally]:
    """The pictures of a folder (see `find` and `read`), in memory once.

    The sorted pictures are laid in the order of Philox' raw words, and of those that can be used the first are
    the test split: so the split depends on the names and on which of them can be used, on nothing else.

    Args:
      folder: where the pictures are.
      size: side of the pictures to make, pixels.
      crop: 'center', the largest square in the middle, or 'anime', the largest drawn face (see `faces`).
      grey: one channel instead of three.
      test: share of the test split, in (0, 1); each split has at least one picture.

    Returns: the arrays of an .npz file that `reading.load` reads, {'train_image': uint8 [n, size, size, 1 or 3],
      'train_label': int64 [n], 'test_image', 'test_label', and 'classes': str [classes] if there are any}; and
      the tally.

    Raises:
      DataError: as `find`; values out of range; too little memory; animeface is missing; fewer than two pictures left.
    """
    if size < 1 or not 0 < test < 1 or crop not in CROPS:
        raise DataError(f"{size=}, {test=}, {crop=}: need size >= 1, 0 < test < 1, crop one of {', '.join(CROPS)}")
    found, square = find(folder), faces.finder() if crop == "anime" else center_square
    order = np.argsort(np.random.Philox(key=_KEY).random_raw(len(found.paths)), kind="stable")
    shape = (len(order), size, size, 1 if grey else 3)
    try:
        images = np.empty(shape, np.uint8)
    except (MemoryError, ValueError) as error:
        raise DataError(f"{folder}: uint8 {list(shape)} does not fit into memory; take a smaller --size") from error
    kept, enlarged, faceless, unreadable = [], 0, [], {}
    every = 0.5 if sys.stderr.isatty() else 15
    for row in tqdm(order, desc="pictures", unit="picture", mininterval=every, dynamic_ncols=True):
        path = found.paths[row]
        try:
            picture = read(os.path.join(folder, path))
            box = square(picture)
        # A damaged file shows itself in many ways.
        except Exception as error:
            unreadable[path] = f"{type(error).__name__}: {error}"
            continue
        if box is None:
            faceless.append(path)
            continue
        images[len(kept)] = resize(picture, box, size, grey)
        enlarged += box[2] - box[0] < size
        kept.append(row)
    tally = Tally(enlarged, sorted(faceless), dict(sorted(unreadable.items())))
    if len(kept) < 2:
        raise DataError(f"{folder}: a training and a test split need a picture each, but {_left(kept, tally)}")
    split = min(max(1, round(test * len(kept))), len(kept) - 1)
    parts = {"train": slice(split, len(kept)), "test": slice(split)}
    labels = found.labels[kept]
    # Parts of `images`, not copies.
    arrays = {
        f"{name}_{key}": x[part] for name, part in parts.items() for key, x in (("image", images), ("label", labels))
    }
    return arrays | ({"classes": np.array(found.classes)} if found.classes else {}), tally


def _left(kept, tally):
    said = f"{len(kept)} could be used, {len(tally.faceless)} had no face, {len(tally.unreadable)} could not be read"
    return said + "".join(f"; {path}: {why}" for path, why in list(tally.unreadable.items())[:1])


def read(path: str) -> Image.Image:
    """One picture as RGB: upright by its EXIF orientation, the first frame, transparent parts on white.

    Palettes and CMYK are converted by Pillow, without colour profiles; 16 bits a pixel are rounded to 8.

    Raises: whatever Pillow raises for files that are damaged, of no known format, or larger than
      `PIL.Image.MAX_IMAGE_PIXELS`; ValueError for pixels without a known range (32 bits, floats).
    """
    with _bombs_refused():
        return decode(path)


def decode(path: str) -> Image.Image:
    """As `read`, for a file that `size` has let pass: warning filters stay as they are, so threads may call it."""
    picture = upright(path)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        # Drawings without a ground were made for paper, and their lines are black.
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def upright(path: str) -> Image.Image:
    """The first frame of a file that `size` has let pass, upright, in its own colours and with its transparency.

    16 bits a pixel are rounded to 8.

    Raises: as `read`, but for the size.
    """
    with Image.open(path, formats=_FORMATS) as file:
        picture = ImageOps.exif_transpose(file)
    if picture.mode.startswith("I;16"):
        # Pillow's conversion would cut everything above 255 to white.
        wide = np.asarray(picture).astype(np.uint32)
        picture = Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    _check_range(picture)
    return picture


def size(path: str) -> tuple[int, int]:
    """Height and width of the picture that `read` will give, by the head of its file alone.

    Raises: as `read`, but for damage behind the head.
    """
    with _bombs_refused(), Image.open(path, formats=_FORMATS) as file:
        _check_range(file)
        width, height = file.size
        # Pillow has turned a TIFF's size already. A PNG's own getexif would decode all of it.
        turned = file.format != "TIFF" and Image.Image.getexif(file).get(0x0112, 1) > 4
    return (width, height) if turned else (height, width)


@contextlib.contextmanager
def _bombs_refused():
    with warnings.catch_warnings():
        # Pillow only warns of pictures up to twice its limit. What else it warns of it can read.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _check_range(picture):
    if picture.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {picture.mode} have no known range")


def center_square(picture: Image.Image) -> faces.Box:
    """Left, top, right, bottom of the largest square in the middle."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def resize(picture: Image.Image, box: faces.Box, size: int, grey: bool = False) -> np.ndarray:
    """The square `box` of an RGB picture, antialiased: uint8 [size, size, 1 if grey else 3]."""
    # Averages whole pixels first where the picture is far too large, then Lanczos: as good and much less work.
    # Cut first, since resize(box=...) would mix in what lies around the box.
    small = picture.crop(box).resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3)
    return np.asarray(small.convert("L") if grey else small).reshape(size, size, -1)
