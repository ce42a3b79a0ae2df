"""Weights as TensorFlow.js stores them: a manifest in JSON, and beside it the bytes in one or more shards.

The manifest is a list of groups {'paths': [shard, ...], 'weights': [{'name', 'shape', 'dtype', 'quantization'}, ...]};
the tensors of a group lie one after another in its shards joined together, little-endian. It stands in a file of its
own, as the package face-api has it, or under `weightsManifest` in the model.json of a layers or graph model.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.commands import UsageError

DTYPES = {"float32": "<f4", "int32": "<i4"}
# What a tensor may be stored as instead; integers are multiplied by `scale` and get `min` added.
QUANTIZED = {"float16": "<f2", "uint8": "<u1", "uint16": "<u2"}
# Of a manifest, in bytes; a model.json also holds the graph.
LARGEST_MANIFEST = 2**26
LARGEST = 2**30  # bytes of all tensors


def read(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a weights manifest, {name: float32 or int32 array}.

    Args:
      path: the manifest, `*-weights_manifest.json` or a `model.json`. The shards lie in its folder or below. Their
        sizes are compared with the shapes before anything is read.

    Raises:
      UsageError: if it cannot be read, is no such manifest, or its shards do not have the bytes that it asks for.
    """
    try:
        arrays = {}
        for group in _groups(path):
            for name, array in _read_group(path.parent, group):
                if name in arrays:
                    raise ValueError(f"two tensors are called {name}")
                arrays[name] = array
        return arrays
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise UsageError(f"{path} cannot be read as a TensorFlow.js weights manifest: {why}.") from error


def _groups(path: Path) -> list[Mapping[str, Any]]:
    # Anything else than a file, a pipe for one, could make the reading wait for ever.
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    if (size := path.stat().st_size) > LARGEST_MANIFEST:
        raise ValueError(f"it has {size:,} bytes, more than the {LARGEST_MANIFEST:,} that a manifest may have")
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        content = content["weightsManifest"]
    if not isinstance(content, list):
        raise ValueError("it is not a list of groups of weights")
    return content


def _read_group(folder, group):
    entries = [_entry(weight) for weight in group["weights"]]
    asked = sum(math.prod(shape) * stored.itemsize for _, shape, _, stored, _ in entries)
    shards = [_shard(folder, name) for name in group["paths"]]
    if (there := sum(shard.stat().st_size for shard in shards)) != asked:
        names = ", ".join(shard.name for shard in shards)
        raise ValueError(f"{names} has {there:,} bytes, but the shapes ask for {asked:,}")
    if asked > LARGEST:
        raise ValueError(f"its weights have {asked:,} bytes, more than the {LARGEST:,} that are read")
    content, offset = b"".join(shard.read_bytes() for shard in shards), 0
    for name, shape, dtype, stored, quantization in entries:
        count = math.prod(shape)
        values = np.frombuffer(content, stored, count, offset)
        offset += count * stored.itemsize
        if stored.kind == "u":
            # As TensorFlow.js does, in double precision; it rounds integers.
            values = values * float(quantization["scale"]) + float(quantization["min"])
            values = np.floor(values + 0.5) if dtype.kind == "i" else values
        yield name, values.astype(dtype).reshape(shape)


def _entry(weight):
    """(name, shape, its dtype, the dtype of what is stored, quantization) of one tensor."""
    name, shape, quantization = weight["name"], weight["shape"], weight.get("quantization") or {}
    if not isinstance(name, str) or any(type(side) is not int or side < 0 for side in shape):
        raise ValueError(f"{name!r} has the shape {shape}")
    if weight["dtype"] not in DTYPES:
        raise ValueError(f"{name} is of {weight['dtype']}, which is not one of {', '.join(DTYPES)}")
    stored = quantization.get("dtype")
    if quantization and stored not in QUANTIZED:
        raise ValueError(f"{name} is quantized as {stored}, which is not one of {', '.join(QUANTIZED)}")
    if stored in ("uint8", "uint16"):
        for number in ("scale", "min"):
            if not math.isfinite(quantization[number]):
                raise ValueError(f"{name} has the {number} {quantization[number]}")
    dtype = np.dtype(DTYPES[weight["dtype"]])
    return name, shape, dtype, np.dtype(QUANTIZED[stored]) if quantization else dtype, quantization


def _shard(folder, name):
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"its shard {name} lies outside its folder")
    if not path.is_file():
        raise ValueError(f"its shard {name} is missing")
    return path
