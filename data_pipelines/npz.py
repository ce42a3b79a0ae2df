"""Reads .npz and .npy files, arrays of NumPy, without trusting them.

Whatever their headers say is held against the file's size, and against the most that may be read, before memory is
taken for it; objects, which only a pickle can hold, are refused.
"""

import math
import os
import zipfile

import numpy as np

from data_pipelines import DataError, files

# Deflate cannot do better (https://zlib.net/zlib_tech.html).
_LARGEST_RATIO = 1032
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def read(path: str | os.PathLike, most: int | None = None) -> dict[str, np.ndarray]:
    """The arrays of an .npz file; what else is in it is left alone.

    Args:
      most: bytes that they may have together; None: as many as this machine's memory.

    Raises:
      DataError: no such file, a damaged one, one that holds objects, or more than `most`.
    """
    most = memory() if most is None else most
    try:
        files.plain(path)
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            _check_sizes(members, os.path.getsize(path), most)
            return {member.filename.removesuffix(".npy"): _member(archive, member) for member in members}
    # A damaged file shows itself in many ways.
    except Exception as error:
        raise DataError(f"{path}: cannot be read as .npz of plain arrays ({_why(error)}); write it again") from error


def read_array(path: str | os.PathLike, most: int | None = None) -> np.ndarray:
    """The array in an .npy file; `most` and errors as of `read`."""
    try:
        files.plain(path)
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            _check_header(file, size)
            if size > (memory() if most is None else most):
                raise ValueError(f"it has {size:,} bytes, too many")
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    # A damaged file shows itself in many ways.
    except Exception as error:
        raise DataError(f"{path}: cannot be read as .npy of plain numbers ({_why(error)}); write it again") from error


def _why(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _check_sizes(members, size, most):
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise ValueError("it has two arrays of one name")
    # Together, since members that overlap each other unpack to much more than the file has.
    if sum(member.compress_size for member in members) > size:
        raise ValueError("its parts are larger than the file")
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename} is compressed in a way that NumPy does not use")
        if member.file_size > _LARGEST_RATIO * member.compress_size:
            raise ValueError(f"{member.filename} says that it unpacks to {member.file_size:,} bytes, which cannot be")
    if (total := sum(member.file_size for member in members)) > most:
        raise ValueError(f"it unpacks to {total:,} bytes, more than the {most:,} that may be")


def _member(archive, member):
    with archive.open(member) as file:
        _check_header(file, member.file_size)
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read(1)  # at the end of a member its checksum is looked at
    return array


def _check_header(file, size):
    """Refuses an array that has not as many bytes as its header says, or that holds objects."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"its format is version {version}")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("it holds objects, which only a pickle can; pickles are not read")
    asked = file.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or asked != size:
        raise ValueError(f"its header, {dtype} {list(shape)}, asks for {asked:,} bytes, but it has {size:,}")
