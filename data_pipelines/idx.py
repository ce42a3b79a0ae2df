"""Reads idx files, the format of MNIST and of the sets made in its image, in numpy.

http://yann.lecun.com/exdb/mnist: two zero bytes, a byte for the type, one for the number of dimensions, each
dimension as a big-endian uint32, then the values, big-endian.
"""

import gzip
import math
import os
import zlib

import numpy as np

from data_pipelines import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
# Deflate cannot do better (https://zlib.net/zlib_tech.html).
_LARGEST_RATIO = 1032


def read(path: str | os.PathLike) -> np.ndarray:
    """The array in an idx file, gzipped or not.

    Every size is held against the file's before memory is taken for it.

    Raises:
      DataError: missing file, no idx file, an empty one, or one that is longer or shorter than it says.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not zipped:
                return _read(file, path, size)
            with gzip.open(file) as stream:
                return _read(stream, path, size * _LARGEST_RATIO)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give the idx file's path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip file ({error}); fetch it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def read_folder(folder: str | os.PathLike) -> dict[str, dict[str, np.ndarray]]:
    """The four files of MNIST or of a set in its image.

    Args:
      folder: holds {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, also spelt
        `train-images.idx3-ubyte`, with or without `.gz`.

    Returns: {'train': {'image': uint8 [n, height, width, 1], 'label': int64 [n]}, 'test': the same}.

    Raises:
      DataError: as `read`; other types or dimensions; more images than labels or the reverse.
    """
    return {"train": _read_pair(folder, "train"), "test": _read_pair(folder, "t10k")}


def _read(stream, path, most):
    """Reads `stream`, which has at most `most` bytes."""
    head = stream.read(4)
    # numpy has at most 64 dimensions.
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES or not 0 < head[3] <= 64:
        raise DataError(f"{path}: no idx file: it begins with {head.hex(' ')}, not with 00 00, a type, a count")
    dtype, dimensions = np.dtype(_TYPES[head[2]]), head[3]
    lengths = stream.read(4 * dimensions)
    if len(lengths) < 4 * dimensions:
        raise DataError(f"{path}: truncated within its header; fetch it again")
    shape = [int(n) for n in np.frombuffer(lengths, ">u4")]
    header, values = 4 + 4 * dimensions, dtype.itemsize * math.prod(shape)
    said = f"{path}: its header {shape} of {dtype.name} asks for {header + values} bytes"
    if 0 in shape:
        raise DataError(f"{path}: is empty: its header says {shape}; fetch it again")
    if header + values > most:
        raise DataError(f"{said}, but it has at most {most}; fetch it again")
    # One byte more than wanted shows whether the file ends here, and makes gzip check its sum.
    data = stream.read(values + 1)
    if len(data) != values:
        raise DataError(f"{said}, but it has {stream.seek(0, os.SEEK_END)}; fetch it again")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _read_pair(folder, split):
    images, image_path = _read_file(folder, f"{split}-images", 3)
    labels, label_path = _read_file(folder, f"{split}-labels", 1)
    if len(images) != len(labels):
        raise DataError(f"{image_path} has {len(images)} images, but {label_path} has {len(labels)} labels")
    return {"image": images[..., None], "label": labels.astype(np.int64)}


def _read_file(folder, stem, dimensions):
    names = [f"{stem}{dot}idx{dimensions}-ubyte{gz}" for dot in "-." for gz in ("", ".gz")]
    paths = [os.path.join(folder, name) for name in names]
    path = next(filter(os.path.isfile, paths), None)
    if path is None:
        raise DataError(f"{folder}: has no {names[0]}, nor {', '.join(names[1:])}; put the file there")
    array = read(path)
    if array.dtype != np.uint8 or array.ndim != dimensions:
        raise DataError(f"{path}: holds {array.dtype} {list(array.shape)}, not uint8 of {dimensions} dimensions")
    return array, path
