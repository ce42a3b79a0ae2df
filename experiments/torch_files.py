"""Files of weights that PyTorch wrote, read without PyTorch and without executing what a pickle may hold."""

import io
import math
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments import strict_pickles
from experiments.commands import UsageError

# Bytes of all tensors, and of the pickle that describes them.
LARGEST, LARGEST_STATE = 2**30, 2**26
LEGACY_MAGIC, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001
# What a damaged or foreign file can raise on its way through zipfile, pickle and NumPy.
UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)


class _Storage(NamedTuple):
    dtype: str
    key: str
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuilt(storage, offset, shape, strides, *_):
    return _Tensor(storage, offset, shape, strides)


# The names of a state dict, and what stands in for them. The storages are strings, for a pickle can change no string.
ADMITTED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}


class _Unpickler(strict_pickles.Unpickler):
    def __init__(self, stream):
        super().__init__(stream, ADMITTED)

    def persistent_load(self, identifier):
        kind, dtype, key, _, count, *view = identifier
        if kind != "storage" or any(part is not None for part in view):
            raise pickle.UnpicklingError("it refers to something else than storages of numbers")
        if not isinstance(dtype, str) or not isinstance(key, str | int) or not isinstance(count, int):
            raise pickle.UnpicklingError("a storage is described wrongly")
        return _Storage(dtype, key, count)


def _storages(state):
    return {tensor.storage for tensor in state.values() if isinstance(tensor, _Tensor)}


def _read_zip(content):
    with zipfile.ZipFile(content) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        if archive.getinfo(record).file_size > LARGEST_STATE:
            raise ValueError(f"{record} unpacks to more than {LARGEST_STATE:,} bytes")
        state, folder = _Unpickler(io.BytesIO(archive.read(record))).load(), record.removesuffix("data.pkl")
        members = {one: archive.getinfo(f"{folder}data/{one.key}") for one in _storages(state)}
        sizes = {one: one.count * np.dtype(one.dtype).itemsize for one in members}
        if wrong := [member.filename for one, member in members.items() if member.file_size != sizes[one]]:
            raise ValueError(f"{wrong[0]} has not as many bytes as its tensors need")
        if sum(sizes.values()) > LARGEST:
            raise ValueError(f"it unpacks to more than {LARGEST:,} bytes")
        return state, {one: np.frombuffer(archive.read(member), one.dtype) for one, member in members.items()}


def _read_legacy(content):
    if (_Unpickler(content).load(), _Unpickler(content).load()) != (LEGACY_MAGIC, LEGACY_VERSION):
        raise pickle.UnpicklingError("it is a pickle of something else")
    _Unpickler(content).load()  # facts about the machine that wrote it
    state, keys = _Unpickler(content).load(), _Unpickler(content).load()
    by_key = {storage.key: storage for storage in _storages(state)}
    values = {}
    for storage in (by_key[key] for key in keys):
        count = int.from_bytes(content.read(8), "little")
        values[storage] = np.frombuffer(content.read(count * np.dtype(storage.dtype).itemsize), storage.dtype)
    return state, values


def _array(tensor, values):
    # Checked here, for as_strided reads wherever it is told to.
    extents = [(size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)]
    count = math.prod(tensor.shape)
    inside = tensor.offset >= 0 and tensor.offset + sum(extents) < len(values)
    if len(values) != tensor.storage.count or not inside or min(extents, default=0) < 0 or count > len(values):
        raise ValueError("a tensor does not fit its storage")
    strides = [stride * values.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)


def read(path: Path) -> dict[str, np.ndarray]:
    """The state dict {name: float32 or int64 array} that torch.save wrote to a file, as a zip or in the older format.

    Raises:
      UsageError: if it is no such file, or asks for anything that a state dict of such arrays does not need.
    """
    try:
        content = strict_pickles.content(path, LARGEST)
        zipped = zipfile.is_zipfile(content)
        content.seek(0)
        state, values = (_read_zip if zipped else _read_legacy)(content)
        if not all(isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in state.items()):
            raise ValueError("it holds more than named tensors")
        return {name: _array(tensor, values[tensor.storage]) for name, tensor in state.items()}
    except UNREADABLE as error:
        raise UsageError(f"{path} cannot be read as a PyTorch file of weights: {error}.") from error


LEAVES = {
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}


def flax_leaves(state: Mapping[str, np.ndarray]) -> dict[tuple[str, ...], np.ndarray]:
    """A state dict as flat Flax variables: {(collection, layer, ..., leaf): array}.

    Convolutions turn from [out, in, height, width] to [height, width, in, out] and dense layers from [out, in] to
    [in, out]; the count of batches that PyTorch keeps with its statistics has no counterpart and is left out.
    """
    leaves = {}
    for name, array in state.items():
        *layers, leaf = name.split(".")
        if leaf == "weight":
            collection, leaf = "params", "scale" if array.ndim == 1 else "kernel"
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        elif leaf != "num_batches_tracked":
            collection, leaf = LEAVES.get(leaf, ("params", leaf))
        else:
            continue
        leaves[(collection, *layers, leaf)] = array
    return leaves
