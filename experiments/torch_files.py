"""Files of weights that PyTorch wrote, read without PyTorch and without executing what a pickle may hold."""

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

from experiments.commands import UsageError

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


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which weights do not need")
        return ADMITTED[module, name]

    def persistent_load(self, identifier):
        kind, dtype, key, _, count, *view = identifier
        if kind != "storage" or any(part is not None for part in view):
            raise pickle.UnpicklingError(f"it refers to {identifier}")
        return _Storage(dtype, key, count)


def _storages(state):
    return {tensor.storage for tensor in state.values() if isinstance(tensor, _Tensor)}


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        folder = record.removesuffix("data.pkl")
        with archive.open(record) as file:
            state = _Unpickler(file).load()
        return state, {
            storage: np.frombuffer(archive.read(f"{folder}data/{storage.key}"), storage.dtype)
            for storage in _storages(state)
        }


def _read_legacy(path):
    with open(path, "rb") as file:
        if (_Unpickler(file).load(), _Unpickler(file).load()) != (LEGACY_MAGIC, LEGACY_VERSION):
            raise pickle.UnpicklingError("it is a pickle of something else")
        _Unpickler(file).load()  # facts about the machine that wrote it
        state, keys = _Unpickler(file).load(), _Unpickler(file).load()
        by_key = {storage.key: storage for storage in _storages(state)}
        values = {}
        for storage in (by_key[key] for key in keys):
            count = int.from_bytes(file.read(8), "little")
            values[storage] = np.frombuffer(file.read(count * np.dtype(storage.dtype).itemsize), storage.dtype)
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
        state, values = (_read_zip if zipfile.is_zipfile(path) else _read_legacy)(path)
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
