"""The CERTH image blur set: sharp photographs, and blurred ones to judge with.

Mavridaki and Mezaris 2014, "No-reference blur assessment in natural images using Fourier transform and spatial
pyramids" (ICIP); https://mklab.iti.gr/results/certh-image-blur-dataset/
"""

import csv
import itertools
import os
import zipfile
from typing import NamedTuple

from data_pipelines import DataError, pictures

LABELS = ("sharp", "natural_blur", "artificial_blur")
# Folders of the training set. The archive calls the last one both ways.
_TRAINING = {
    "Undistorted": "sharp",
    "Naturally-Blurred": "natural_blur",
    "Artificially-Blurred": "artificial_blur",
    "NewDigitalBlur": "artificial_blur",
}
# Folders of the evaluation set: our name, and what blurred means there.
_EVALUATION = {"NaturalBlurSet": ("natural", "natural_blur"), "DigitalBlurSet": ("digital", "artificial_blur")}
# Rows and unpacked bytes that no sheet of the set comes near.
_MOST_ROWS, _MOST_BYTES = 100_000, 2**27


class Picture(NamedTuple):
    """One picture of the set.

    `name` is its path within the set, `path` the whole one, `part` is 'train', 'natural' or 'digital' (of the
    evaluation set), and `label` one of `LABELS`.
    """

    name: str
    path: str
    part: str
    label: str


def find(folder: str) -> tuple[list[Picture], dict[str, str]]:
    """The pictures of the set, which are unpacked in `folder` or in its folder CERTH_ImageBlurDataset.

    TrainingSet/Undistorted, Naturally-Blurred and Artificially-Blurred (or NewDigitalBlur) have their labels by their
    folders, EvaluationSet/NaturalBlurSet and DigitalBlurSet by the sheets beside them, NaturalBlurSet.xlsx and
    DigitalBlurSet.xlsx, or the same as .csv. Of a sheet's rows the first column is a picture's name, with or without
    its ending, and the second is 1 if it is blurred and -1 if not; a first row without a number is the heading. What
    else is in the set is left alone.

    Returns: the pictures, sorted, and the names that stand only in a sheet or only in its folder, {name: why}.

    Raises:
      DataError: a folder or a sheet is missing or other than described; openpyxl is not installed (.xlsx only).
    """
    inner = os.path.join(folder, "CERTH_ImageBlurDataset")
    root = inner if os.path.isdir(inner) else folder
    if not os.path.isdir(os.path.join(root, "TrainingSet", "Undistorted")):
        raise DataError(f"{folder}: has no folder TrainingSet/Undistorted: unpack CERTH_ImageBlurDataset.zip there")
    found, unmatched = [], {}
    for name, label in _TRAINING.items():
        for path in _pictures(root, f"TrainingSet/{name}"):
            found.append(Picture(path, os.path.join(root, path), "train", label))
    for name, (part, blurred) in _EVALUATION.items():
        place = f"EvaluationSet/{name}"
        paths = {_key(path.removeprefix(f"{place}/")): path for path in _pictures(root, place)}
        labels = _labels(root, place)
        for key, path in paths.items():
            if key in labels:
                label = blurred if labels[key] == 1 else "sharp"
                found.append(Picture(path, os.path.join(root, path), part, label))
            else:
                unmatched[path] = "has no label in the sheet"
        missing = [key for key in labels if key not in paths]
        unmatched |= {f"{place}/{key}": "stands in the sheet only" for key in missing}
    return sorted(found), unmatched


def _pictures(root, place) -> list[str]:
    if not os.path.isdir(os.path.join(root, place)):
        return []
    return [f"{place}/{path}" for path in pictures.find(os.path.join(root, place)).paths]


def _key(name) -> str:
    """A name as both the sheet and the folder have it: some rows end in blanks, some lack the ending."""
    stem, ending = os.path.splitext(name.strip())
    return (stem if ending.lower() in pictures.SUFFIXES else name.strip()).lower()


def _labels(root, place) -> dict[str, int]:
    """{name: 1 or -1} of the sheet beside the folder; nothing if there is no such folder either."""
    path = next(filter(os.path.isfile, (os.path.join(root, f"{place}{ending}") for ending in (".xlsx", ".csv"))), "")
    if not path:
        if os.path.isdir(os.path.join(root, place)):
            raise DataError(f"{os.path.join(root, place)}: has no {place}.xlsx or .csv beside it; unpack the set again")
        return {}
    labels = {}
    for number, row in enumerate(_csv_rows(path) if path.endswith(".csv") else _xlsx_rows(path), 1):
        name, label = (*row, "", "")[:2]
        value = {"1": 1, "-1": -1, "1.0": 1, "-1.0": -1}.get(str(label).strip())
        if value is not None and str(name or "").strip():
            labels[_key(str(name))] = value
        elif number > 1 and any(str(cell or "").strip() for cell in row):
            raise DataError(f"{path}, row {number}: {name!r}, {label!r} are no name and 1 or -1; unpack the set again")
    if not labels:
        raise DataError(f"{path}: has no rows of a name and 1 or -1; unpack the set again")
    return labels


def _csv_rows(path):
    try:
        if (size := os.path.getsize(path)) > _MOST_BYTES:
            raise ValueError(f"has {size} bytes")
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
            first = file.readline()
            file.seek(0)
            rows = csv.reader(file, delimiter=max(",;\t", key=first.count))
            return list(itertools.islice(rows, _MOST_ROWS))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a sheet ({error}); unpack the set again") from error


def _xlsx_rows(path):
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(
            f'{path}: is read by the package openpyxl, which cannot be imported ({error}): pip install "gans[certh]", '
            "or export the sheet as .csv"
        ) from error
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(one.file_size for one in archive.infolist())
        if size > _MOST_BYTES:
            raise ValueError(f"would unpack to {size} bytes")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            return list(book.worksheets[0].iter_rows(max_row=_MOST_ROWS, max_col=2, values_only=True))
        finally:
            book.close()
    # A damaged or foreign file shows itself in many ways.
    except Exception as error:
        raise DataError(f"{path}: cannot be read as a sheet ({error}); unpack the set again") from error
