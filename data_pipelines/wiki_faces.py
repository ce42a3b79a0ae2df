"""wiki_crop, faces of Wikipedia with ages, read from the archive's own files; its licence is for research only.

Rothe et al. 2015, "DEX: Deep EXpectation of apparent age from a single image". The archive wiki_crop.tar unpacks to a
folder with `wiki.mat` and the pictures; each shows a face and, on every side, 40% of its size around it. (The struct's
`face_location` is the face's place in the photograph that the picture was cut from, and of no use here.)
"""

import io
import os

import numpy as np

from data_pipelines import DataError, ages, face_photos, mat_files
from data_pipelines.face_photos import Row

MAT = "wiki.mat"
# Of the picture's side: a margin of 20% of the face's size, of 40%, is left around it.
KEEP = 0.78
_FIELDS = ("dob", "photo_taken", "full_path", "name", "face_score", "second_face_score")
_LARGEST = 2**28  # bytes of wiki.mat, packed and unpacked; it has about 2**23


def read(folder: str, min_score: float = 1.0, **options) -> tuple[dict[str, dict[str, np.ndarray]], face_photos.Tally]:
    """The faces of the folder that wiki_crop.tar unpacks to, 64x64 unless `size` says otherwise; see `rows`.

    Args:
      options: as of `face_photos.collect`; `keep` is `KEEP` if it is not given.

    Raises:
      DataError: as `rows` and `face_photos.collect`.
    """
    return face_photos.collect(folder, rows(folder, min_score), **{"keep": KEEP} | options)


def rows(folder: str, min_score: float = 1.0) -> list[Row]:
    """The photographs that wiki.mat lists.

    Faults of a row, by the first that holds: 'no face' (a score of -inf), 'low face score', 'second face'. A person is
    known by the name or, where that is missing, by the number in front of the file's name.

    Args:
      folder: with wiki.mat and the pictures.
      min_score: the lowest score of the face detector that is taken.

    Raises:
      DataError: there is no wiki.mat, or it is not as the archive has it.
    """
    path = os.path.join(folder, MAT)
    fields = _fields(path)
    found = []
    for birth, year, file, name, score, second in zip(*(fields[field] for field in _FIELDS), strict=True):
        file, name = _text(file), _text(name)
        fault = "second face" if not np.isnan(second) else ""
        if not score >= min_score:
            fault = "low face score" if np.isfinite(score) else "no face"
        found.append(Row(file, ages.at_photo(birth, year), name or os.path.basename(file).split("_")[0], fault))
    return found


def _fields(path):
    import scipy.io

    try:
        content = _content(path)
        mat_files.check(content, _LARGEST)
        wiki = scipy.io.loadmat(io.BytesIO(content), variable_names=["wiki"])["wiki"]
        # A struct of 1x1, whose fields are rows of numbers or of cells.
        fields = {name: wiki[name][0, 0].reshape(-1) for name in _FIELDS}
        lengths = {name: len(field) for name, field in fields.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"its fields have many lengths: {lengths}")
        numbers = {name: fields[name].astype(float) for name in _FIELDS if name not in ("full_path", "name")}
        return fields | numbers
    # A damaged file shows itself in many ways.
    except Exception as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise DataError(
            f"{path}: cannot be read as the wiki.mat of wiki_crop ({why}); unpack wiki_crop.tar and give its folder"
        ) from error


def _content(path):
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST:,} bytes")
        return file.read()


def _text(cell):
    """The string in a cell, which holds an array of one or of none."""
    return str(cell.reshape(-1)[0]) if isinstance(cell, np.ndarray) and cell.size else ""
