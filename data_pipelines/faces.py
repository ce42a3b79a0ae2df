"""Squares around the faces of drawn characters, which the package animeface finds."""

from collections.abc import Callable

import PIL
from PIL import Image

from data_pipelines import DataError

# Of the face's side, added on each of its four sides: the detector's boxes end at the hair.
MARGIN = 0.25
# The detector overlooks faces that are large, so it sees each picture smaller too.
_SHRINK = (1, 2, 4)

Box = tuple[int, int, int, int]


def face_square(face: Box, width: int, height: int, margin: float = MARGIN) -> Box:
    """The square around a face, moved and, if it must be, shrunk so that it lies inside the picture.

    Args:
      face: left, top, width, height, in pixels.
      width, height: the picture's.
      margin: added on each side, as a part of the longer side of `face`.

    Returns: left, top, right, bottom; 0 <= left < right <= width, 0 <= top < bottom <= height.
    """
    x, y, across, down = face
    side = max(1, min(round(max(across, down) * (1 + 2 * margin)), width, height))
    # Half a pixel goes up and to the left.
    left, top = (2 * x + across - side) // 2, (2 * y + down - side) // 2
    left, top = max(0, min(left, width - side)), max(0, min(top, height - side))
    return left, top, left + side, top + side


def finder() -> Callable[[Image.Image], Box | None]:
    """The function that finds the square around the largest face of an RGB picture, None if there is no face.

    Raises:
      DataError: animeface is not installed, or Pillow is newer than it can read.
    """
    try:
        import animeface
    except ImportError as error:
        raise DataError(
            f"drawn faces are found by the package animeface, which cannot be imported ({error}): "
            'pip install "gans[anime]"'
        ) from error
    # animeface 2.0.3 reads pictures where Pillow up to 11 has them in memory: with 12 it sees noise, and no face.
    if int(PIL.__version__.split(".")[0]) > 11:
        raise DataError(
            f"animeface cannot read the pictures of Pillow {PIL.__version__}, only of Pillow 11: "
            'pip install "gans[anime]" "pillow<12"'
        )

    def find(picture):
        found = [(shrink, one.face.pos) for shrink in _SHRINK for one in animeface.detect(picture.reduce(shrink))]
        boxes = [(n * pos.x, n * pos.y, n * pos.width, n * pos.height) for n, pos in found]
        if not boxes:
            return None
        return face_square(max(boxes, key=lambda box: box[2] * box[3]), *picture.size)

    return find
