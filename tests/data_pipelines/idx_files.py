"""Writes idx files for tests."""

import gzip
import struct

import numpy as np


def encode(array):
    """The bytes of a uint8 array as an idx file."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_folder(folder, train=30, test=10, dash="-", zipped=False, size=28):
    """Four idx files of random pictures and labels 0..9 in turn; returns what they hold."""
    data = {}
    for split, stem, count in (("train", "train", train), ("test", "t10k", test)):
        image = np.random.default_rng(count).integers(0, 256, (count, size, size), np.uint8)
        label = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in ((f"images{dash}idx3", image), (f"labels{dash}idx1", label)):
            content = encode(array)
            path = folder / f"{stem}-{kind}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content) if zipped else content)
        data[split] = {"image": image[..., None], "label": label.astype(np.int64)}
    return data
