"""Reads .sh3f archives, the furniture catalogues of Sweet Home 3D, without unpacking them.

http://www.sweethome3d.com: a zip file with the models and `PluginFurnitureCatalog.properties`, where piece i has
`name#i`, `category#i`, `model#i` (a path in the archive), its true `width#i`, `height#i` and `depth#i` in cm, and
perhaps `modelRotation#i`, nine numbers row by row that turn the model upright: Y up, its front towards +Z.
"""

import re
import zipfile
from typing import NamedTuple

import numpy as np

from data_pipelines import DataError

CATALOGUE = "PluginFurnitureCatalog.properties"
# A catalogue has about half a kilobyte a piece, an archive a few files.
_MOST_BYTES, _MOST_MEMBERS = 2**24, 100_000


class Piece(NamedTuple):
    """What the catalogue says of one model; rotation is float64 [3, 3], size (width, height, depth) or None."""

    model: str
    name: str
    category: str
    tags: str
    rotation: np.ndarray
    size: tuple[float, float, float] | None


def open_archive(path: str) -> zipfile.ZipFile:
    """The archive, to read members from; nothing of it is ever written to the disk.

    Raises:
      DataError: no zip file, or one with very many members.
    """
    try:
        archive = zipfile.ZipFile(path)
    # A damaged one shows itself in many ways.
    except Exception as error:
        raise DataError(f"{path}: cannot be read as a zip file ({error}); fetch it again") from error
    if len(archive.infolist()) > _MOST_MEMBERS:
        archive.close()
        raise DataError(f"{path}: has more than {_MOST_MEMBERS:,} members: this is no catalogue of furniture")
    return archive


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The content of a member, which may have at most `most` bytes whatever its header says.

    Raises: ValueError for a larger one, and whatever zipfile raises for one that is missing or damaged.
    """
    with archive.open(name) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{name} has more than {most:,} bytes")
    return content


def pieces(archive: zipfile.ZipFile) -> tuple[list[Piece], dict[str, str]]:
    """The pieces of a catalogue in the order of their numbers, and {number: why} of those that it describes wrongly.

    Raises:
      DataError: no catalogue, or one that cannot be read.
    """
    try:
        text = read_member(archive, CATALOGUE, _MOST_BYTES).decode("latin-1")
    # A damaged member shows itself in many ways.
    except Exception as error:
        raise DataError(f"{archive.filename}: its {CATALOGUE} cannot be read ({error}); give another file") from error
    table = parse_properties(text)
    numbers = [key.removeprefix("model#") for key in table if key.startswith("model#")]
    found, faulty = [], {}
    for number in sorted(numbers, key=lambda number: (len(number), number)):
        try:
            found.append(_piece(table, number))
        except ValueError as error:
            faulty[f"{CATALOGUE} #{number}"] = str(error)
    return found, faulty


def _piece(table, number):
    def text(key):
        return table.get(f"{key}#{number}", "").strip()

    def numbers(key):
        values = np.array(text(key).split(), np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{key} is {text(key)!r}")
        return values

    rotation = numbers("modelRotation")
    if rotation.size not in (0, 9):
        raise ValueError(f"modelRotation has {rotation.size} numbers, not nine")
    size = np.concatenate([numbers(key) for key in ("width", "height", "depth")])
    return Piece(
        model=text("model").lstrip("/"),
        name=text("name"),
        category=text("category"),
        tags=text("tags"),
        rotation=rotation.reshape(3, 3) if rotation.size else np.eye(3),
        size=tuple(size.tolist()) if size.size == 3 and (size > 0).all() else None,
    )


def parse_properties(text: str) -> dict[str, str]:
    """The table in a Java .properties text, as java.util.Properties.load reads it.

    Lines that begin with # or ! are comments; a key ends at the first =, : or white space that no backslash
    precedes; a backslash at a line's end joins the next line; \\uXXXX is a character.
    """
    table = {}
    for line in _logical_lines(text):
        key, value = re.fullmatch(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", line, re.DOTALL).groups()
        table[_unescape(key)] = _unescape(value)
    return table


def _logical_lines(text):
    begun = []
    # Not splitlines, which takes more for a line's end than Java does.
    for line in [*re.split(r"\r\n|\r|\n", text), ""]:
        line = line.lstrip(" \t\f")
        # A comment never goes on in the next line, whatever it ends with; a line that goes on may begin with #.
        if not begun and line[:1] in ("#", "!"):
            continue
        if (len(line) - len(line.rstrip("\\"))) % 2:
            begun += filter(None, [line[:-1]])
            continue
        whole, begun = "".join([*begun, line]), []
        if whole:
            yield whole


def _unescape(text):
    named = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}

    def character(match):
        code, other = match.groups()
        return chr(int(code, 16)) if code else named.get(other, other)

    found = re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.?))", character, text)
    # Java's characters have 16 bits: two make one of the rarer ones, and half of such a pair is none.
    return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
