"""Squares around the faces of drawn characters, which the package animeface finds."""

from collections.abc import Callable

from PIL import Image

from data_pipelines import DataError

# Of the face's side, added on each of its four sides: the detector's boxes leave out hair and chin.
MARGIN = 0.25

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
    # In whole numbers, halves rounded down: Python's own rounding would jump between even neighbours.
    left, top = (2 * x + across - side) // 2, (2 * y + down - side) // 2
    left, top = max(0, min(left, width - side)), max(0, min(top, height - side))
    return left, top, left + side, top + side


def finder() -> Callable[[Image.Image], Box | None]:
    """The function that finds the square around the largest face of an RGB picture, None if there is no face.

    Raises:
      DataError: animeface is not installed.
    """
    try:
        import animeface
    except ImportError as error:
        raise DataError(
            f"drawn faces are found by the package animeface, which cannot be imported ({error}): "
            'pip install "gans[anime]"'
        ) from error

    def find(picture):
        boxes = [found.face.pos for found in animeface.detect(picture)]
        if not boxes:
            return None
        largest = max(boxes, key=lambda box: box.width * box.height)
        return face_square((largest.x, largest.y, largest.width, largest.height), *picture.size)

    return find
