"""Files that are read only if they are files, and written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from data_pipelines import DataError


def plain(path: str | os.PathLike) -> None:
    """Raises DataError for what exists and is no file: a pipe, for one, could make the reading wait for ever."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise DataError("it is no file")


@contextlib.contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write bytes into, which stands at `path` once all of them are written; until then an old one does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
