"""Photographs in files: read with all that a restored one must have too, and written in the format of the name."""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from data_pipelines import pictures
from experiments.commands import UsageError, check_output, whole_file


class Photo(NamedTuple):
    """A photograph, upright, in 8 bits.

    pixels:  uint8 [height, width, 3], with the colours that transparent pixels have too.
    alpha:   uint8 [height, width], or None where nothing is transparent.
    grey:    whether it has no colours.
    profile: its ICC profile, which says what its colours mean, or b''.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    grey: bool
    profile: bytes

    @property
    def mode(self) -> str:
        """Pillow's name for its kind of pixels."""
        return ("L" if self.grey else "RGB") if self.alpha is None else ("LA" if self.grey else "RGBA")


class Format(NamedTuple):
    """A file format: Pillow's name, its longest side in pixels, whether it has transparency, and how it is written."""

    name: str
    longest: int
    transparent: bool
    options: Mapping[str, Any] = MappingProxyType({})


_JPEG = Format("JPEG", 65_500, False, {"quality": 95, "subsampling": 0})
_TIFF = Format("TIFF", 2**31 - 1, True, {"compression": "tiff_adobe_deflate"})
FORMATS = {
    ".png": Format("PNG", 2**31 - 1, True),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Format("WEBP", 16_383, True, {"quality": 95}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
}


def pairs(source: Path, target: Path, endings: Collection[str]) -> dict[Path, Path]:
    """{input file: output file}, checked before any work; no input is among the outputs.

    Args:
      source: a file or a folder.
      target: likewise.
      endings: of files that can be written. Those of a folder that have another get .png.

    Raises:
      UsageError: for folders and names that do not go together; it names the flags of `experiments.apply`.
    """
    if not source.exists():
        raise UsageError(f"--input={source} does not exist.")
    if source.is_file():
        if target.suffix.lower() not in endings:
            raise UsageError(f"--output={target} must end in {' or '.join(endings)} when --input is a file.")
        if target.exists() and target.samefile(source):
            raise UsageError(f"--output={target} is the input itself, which is never overwritten.")
        check_output(target)
        return {source: target}
    if not source.is_dir():
        raise UsageError(f"--input={source} is neither a file nor a folder.")
    found = sorted(path for path in source.iterdir() if path.suffix.lower() in pictures.SUFFIXES and path.is_file())
    if not found:
        raise UsageError(f"--input={source} holds no pictures ({', '.join(pictures.SUFFIXES)}).")
    if target.exists() and (not target.is_dir() or target.samefile(source)):
        raise UsageError(f"--output={target} must be a folder other than the input.")
    check_output(target / found[0].name)
    outputs = {path: target / (path.name if path.suffix.lower() in endings else f"{path.stem}.png") for path in found}
    if len(set(outputs.values())) < len(outputs):
        raise UsageError(f"--input={source} holds pictures whose names differ only in their endings.")
    return outputs


def size(path: Path) -> tuple[int, int]:
    """Height and width of the photograph that `read` will give, by the head of its file alone.

    Raises:
      UsageError: if it is no picture, or one that is too large to be read.
    """
    # A damaged file shows itself in many ways.
    try:
        return pictures.size(str(path))
    except Exception as error:
        raise UsageError(f"{path} cannot be read as a picture: {error}.") from error


def read(path: Path) -> Photo:
    """A photograph in any format and mode that Pillow can turn into RGB.

    Raises:
      UsageError: if it cannot be read.
    """
    size(path)
    try:
        picture = pictures.upright(str(path))
        alpha = np.asarray(picture.convert("RGBA").getchannel("A")) if picture.has_transparency_data else None
        grey = picture.mode in ("1", "L", "LA")
        # A profile of inks does not fit the RGB that is made of them.
        profile = picture.info.get("icc_profile") if grey or picture.mode in ("RGB", "RGBA", "P") else None
        return Photo(np.asarray(picture.convert("RGB")), alpha, grey, profile or b"")
    except Exception as error:
        raise UsageError(f"{path} cannot be read as a picture: {error}.") from error


def check(path: Path, height: int, width: int) -> None:
    """Makes sure that the format which a name's ending stands for can hold a picture of this size.

    Raises:
      UsageError: if it cannot.
    """
    kind = FORMATS[path.suffix.lower()]
    if max(height, width) > kind.longest:
        raise UsageError(
            f"{path} would have {width}x{height} pixels, but {kind.name} holds at most {kind.longest} in a side; "
            "choose .png or .tif."
        )


def check_transparency(path: Path, photo: Photo) -> None:
    """Makes sure that the format which a name's ending stands for can hold what is transparent in a photograph.

    Raises:
      UsageError: if it cannot.
    """
    if photo.alpha is not None and not FORMATS[path.suffix.lower()].transparent:
        raise UsageError(f"{path} would lose the transparency of its source; choose .png, .webp or .tif.")


def write(path: Path, picture: Image.Image, profile: bytes = b"") -> None:
    """Writes a picture in the format that the name's ending stands for, whole or not at all."""
    kind = FORMATS[path.suffix.lower()]
    with whole_file(path) as file:
        picture.save(file, kind.name, icc_profile=profile or None, **kind.options)
