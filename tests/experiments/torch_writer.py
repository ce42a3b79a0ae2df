"""Writes state dicts as torch.save does, without PyTorch: the real pickle opcodes, names and records."""

import contextlib
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from typing import NamedTuple
from unittest import mock

import numpy as np

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001


class FloatStorage:
    __module__ = "torch"


class LongStorage:
    __module__ = "torch"


def _rebuild_tensor_v2():
    raise AssertionError("a name of the file was called")


_rebuild_tensor_v2.__module__ = "torch._utils"
KINDS = {"<f4": FloatStorage, "<i8": LongStorage}


class Storage(NamedTuple):
    key: str
    values: np.ndarray


class Tensor:
    """Refers to a storage as torch.Tensor does when it is pickled."""

    def __init__(self, storage, offset, shape, strides):
        self.parts = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return (_rebuild_tensor_v2, self.parts)


class _Pickler(pickle.Pickler):
    legacy = False

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        identifier = ("storage", KINDS[value.values.dtype.str], value.key, "cpu", value.values.size)
        return (*identifier, None) if self.legacy else identifier


class _LegacyPickler(_Pickler):
    legacy = True


@contextlib.contextmanager
def stand_ins():
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage, torch.LongStorage, torch._utils = FloatStorage, LongStorage, utils
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        yield


def contiguous(state):
    """{name: array} as a state dict of tensors, and their storages."""
    tensors, storages = OrderedDict(), []
    for key, (name, array) in enumerate(state.items()):
        storage = Storage(str(key), np.ascontiguousarray(array).reshape(-1))
        strides = tuple(stride // array.itemsize for stride in np.ascontiguousarray(array).strides)
        tensors[name] = Tensor(storage, 0, array.shape, strides[: array.ndim])
        storages.append(storage)
    return tensors, storages


def write_zip(path, tensors, storages):
    # torch.save does not compress; a test with large constant arrays does.
    with stand_ins(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("archive/data.pkl", "w") as file:
            _Pickler(file, 2).dump(tensors)
        for storage in storages:
            archive.writestr(f"archive/data/{storage.key}", storage.values.tobytes())
        archive.writestr("archive/version", "3\n")


def write_legacy(path, tensors, storages):
    machine = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    with stand_ins(), open(path, "wb") as file:
        for value in (MAGIC, VERSION, machine):
            pickle.dump(value, file, 2)
        _LegacyPickler(file, 2).dump(tensors)
        pickle.dump([storage.key for storage in storages], file, 2)
        for storage in storages:
            file.write(storage.values.size.to_bytes(8, "little") + storage.values.tobytes())
