"""Lists of faces that anybody can write: a CSV of (file, age), or (file, age, name) where somebody is on it twice."""

import csv
import os

from data_pipelines import DataError, files
from data_pipelines.face_photos import Row

_LARGEST = 2**28  # bytes


def rows(path: str) -> list[Row]:
    """The photographs that a CSV lists.

    The first line may name the columns `file`, `age` and `name`, in any order and among others; otherwise they stand in
    this order. Without a name every file is a person of its own.

    Args:
      path: the CSV, in UTF-8.

    Raises:
      DataError: it cannot be read, or a line has no file or no second column.
    """
    try:
        files.plain(path)
        if os.path.getsize(path) > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST:,} bytes")
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [(number, line) for number, line in enumerate(csv.reader(file), 1) if line]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV of file, age ({error})") from error
    columns = {"file": 0, "age": 1, "name": 2}
    if lines and {"file", "age"} <= set(header := [cell.strip().lower() for cell in lines[0][1]]):
        columns = {name: header.index(name) if name in header else len(header) for name in columns}
        lines = lines[1:]
    found = []
    for number, line in lines:
        file, age, name = (line[at].strip() if at < len(line) else "" for at in columns.values())
        if not file or columns["age"] >= len(line):
            raise DataError(f"{path}, line {number}: need a file and an age, not {line}")
        found.append(Row(file, _number(age), name or file))
    if not found:
        raise DataError(f"{path}: lists no file")
    return found


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None
