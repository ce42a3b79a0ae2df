"""Damaged and malicious files of weights, latents and workdirs: each is read, or refused in one message."""

import functools
import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict

from data_pipelines import DataError
from experiments import (
    latents,
    logs,
    numpy_pickles,
    perceptual,
    runs,
    tfjs_layers,
    tfjs_weights,
    torch_files,
    weights,
)
from experiments.commands import UsageError
from tests.experiments import torch_writer
from tests.fuzz.damage import assert_read_or_refused, damaged

ARRAYS = {"params/Conv_0/kernel": np.ones((2, 2, 1, 3), np.float32), "params/Conv_0/bias": np.zeros(3, np.float32)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all examples of a test, each of which writes its files again."""
    return tmp_path_factory.mktemp("files")


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


@functools.cache
def npz():
    file = io.BytesIO()
    np.savez(file, **ARRAYS)
    return file.getvalue()


@functools.cache
def npy():
    file = io.BytesIO()
    np.save(file, np.ones((4, 3), np.float32))
    return file.getvalue()


@given(damaged(npz(), [npz().index(b"PK\x01\x02")]))
def test_npz(folder, content):
    path = put(folder, "w.npz", content)
    assert_read_or_refused(lambda: weights.read(path), DataError)
    assert_read_or_refused(lambda: weights.read_features({"mobilenet": path}), UsageError)


@given(st.one_of(damaged(npy()), damaged(npz())), st.sampled_from(("", ":0", ":3,1", ":9", ":99999999999999999999")))
def test_latents(folder, content, rows):
    path = put(folder, "latents.npy", content)
    assert_read_or_refused(lambda: latents.read(f"{path}{rows}", 3), UsageError)


@functools.cache
def torch(write, folder):
    path = folder / "whole.pth"
    state = {"conv.weight": ARRAYS["params/Conv_0/kernel"], "bn.num_batches_tracked": np.arange(2)}
    write(path, *torch_writer.contiguous(state))
    return path.read_bytes()


@given(st.data(), st.sampled_from((torch_writer.write_zip, torch_writer.write_legacy)))
def test_torch(folder, data, write):
    path = put(folder, "w.pth", data.draw(damaged(torch(write, folder), [40, 160])))
    found = assert_read_or_refused(lambda: torch_files.read(path), UsageError)
    assert all(array.nbytes < 10_000 for array in (found or {}).values())


LPIPS = pickle.dumps({"VGG16_0": {"Conv_0": {"kernel": ARRAYS["params/Conv_0/kernel"]}}}, 3)


@given(st.one_of(damaged(LPIPS, [20, 60, 100]), st.binary(max_size=60).map(lambda x: b"\x80\x03" + x)))
def test_pickles_of_arrays(folder, content):
    path = put(folder, "vgg16.ckpt", content)
    assert_read_or_refused(lambda: numpy_pickles.read(path), UsageError)


SHARED = b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(100))
NESTED = b"".join(b"}(K\x01h" + bytes([i]) + b"K\x02h" + bytes([i]) + b"uq" + bytes([i + 1]) for i in range(100))
HARMS = {
    "a key whose hash takes for ever": b"\x80\x02Nq\x00" + SHARED + b"}h\x64Ns.",
    "a memo of gigabytes": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "a string of gigabytes": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "a number of gigabytes": b"\x80\x02\x8b\xff\xff\xff\x7fabc.",
    "bytes of exabytes": b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"abc.",
    "dictionaries in each other": b"\x80\x02}q\x00" + NESTED + b"h\x64.",
    "a set": b"\x80\x04\x8f(K\x01\x90.",
    "a name from elsewhere": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
    "an object": b"\x80\x02cnumpy\nndarray\n)\x81.",
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_pickle_that_would_do_harm_is_refused_at_once(tmp_path, harm):
    path = put(tmp_path, "w.ckpt", HARMS[harm])
    for read in (numpy_pickles.read, torch_files.read):
        with pytest.raises(UsageError, match=r"w.ckpt cannot be read"):
            assert_read_or_refused(lambda read=read: read(path), (), room=2**28)


def test_a_file_that_never_ends_is_refused(tmp_path):
    for read in (numpy_pickles.read, torch_files.read, tfjs_weights.read):
        with pytest.raises(UsageError, match="it is no file"):
            read(Path("/dev/zero"))
    for read in (weights.read, lambda path: latents.read(path, 3)):
        with pytest.raises((DataError, UsageError), match="it is no file"):
            read("/dev/zero")


# TensorFlow.js.
LAYER = {"class_name": "Conv2D", "name": "c", "inbound_nodes": [[["i", 0, 0, {}]]]}
LAYER["config"] = {"name": "c", "filters": 3, "kernel_size": [2, 2], "activation": "relu", "padding": "same"}
LAYER["config"] |= {
    "strides": [1, 1],
    "dilation_rate": [1, 1],
    "groups": 1,
    "data_format": "channels_last",
    "use_bias": True,
}
INPUT = {"class_name": "InputLayer", "name": "i", "config": {"name": "i"}, "inbound_nodes": []}
NETWORK = {"layers": [INPUT, LAYER], "input_layers": [["i", 0, 0]], "output_layers": [["c", 0, 0]]}
MODEL = {
    "modelTopology": {"model_config": {"config": NETWORK}},
    "weightsManifest": [
        {
            "paths": ["w.bin"],
            "weights": [
                {"name": "c/kernel", "shape": [2, 2, 1, 3], "dtype": "float32"},
                {"name": "c/bias", "shape": [3], "dtype": "float32"}
                | {"quantization": {"dtype": "uint8", "scale": 0.1, "min": -1.0}},
            ],
        }
    ],
}
STRANGE = (-1, 0, 10**12, 2**64, 1e308, float("nan"), None, True, "a", "../w.bin", "/etc/passwd", [], {}, [[]], ["a"])


def places(tree, path=()):
    """Where the parts of a JSON tree are."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [*([path] if path else []), *(place for key, part in entries for place in places(part, (*path, key)))]


def changed(tree, changes):
    tree = json.loads(json.dumps(tree))
    for (*way, last), value in changes:
        place = tree
        for key in way:
            if not isinstance(place, dict | list) or (isinstance(place, list) and not place):
                break
            place = place.get(key) if isinstance(place, dict) else place[key] if key in range(len(place)) else None
        if isinstance(place, dict) or (isinstance(place, list) and last in range(len(place))):
            place[last] = json.loads(json.dumps(value))  # not one list in several places
    return tree


def changes_of(tree):
    return st.lists(st.tuples(st.sampled_from(places(tree)), st.sampled_from(STRANGE)), min_size=1, max_size=3)


WHOLE = json.dumps(MODEL).encode()


@given(st.one_of(changes_of(MODEL).map(lambda x: json.dumps(changed(MODEL, x)).encode()), damaged(WHOLE)))
def test_tensorflow_js(folder, content):
    put(folder, "w.bin", bytes(51))
    path = put(folder, "model.json", content)
    assert_read_or_refused(lambda: tfjs_weights.read(path), UsageError)
    assert_read_or_refused(lambda: tfjs_layers.read(path), UsageError)


def test_the_whole_model_is_read(folder):
    put(folder, "w.bin", bytes(51))
    _, variables = tfjs_layers.read(put(folder, "model.json", WHOLE))
    assert {name: array.shape for name, array in variables.items()} == {"c/kernel": (2, 2, 1, 3), "c/bias": (3,)}


# Keras.
@functools.cache
def keras_file(folder):
    h5py = pytest.importorskip("h5py")
    path = folder / "whole.h5"
    with h5py.File(path, "w") as file:
        for name, leaf in (("kernel", np.ones((3, 3, 3, 4), np.float32)), ("bias", np.ones(4, np.float32))):
            file.create_dataset(f"block1_conv1/block1_conv1_{name}", data=leaf)
    return path.read_bytes()


@given(st.data())
def test_hdf5(folder, data):
    path = put(folder, "w.h5", data.draw(damaged(keras_file(folder), [0, 512, 1024, 2048])))
    assert_read_or_refused(lambda: perceptual._from_keras(path), UsageError)


def test_hdf5_that_points_to_other_files(folder, tmp_path):
    h5py = pytest.importorskip("h5py")
    secret, path = put(tmp_path, "secret", bytes(16)), tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("block1_conv1/a/kernel", data=np.ones((3, 3, 3, 4), np.float32))
        file.create_dataset("block1_conv1/a/bias", (4,), np.float32, external=[(str(secret), 0, 16)])
    assert set(perceptual._from_keras(path)["params"]["block1_conv1"]) == {"kernel"}


# A workdir's own files.
CONFIG = {"config": {"family": "vanilla", "seed": 0}, "frozen": {"digits": {"path": "a", "sha256": "b"}}}


@given(
    st.one_of(
        changes_of(CONFIG).map(lambda x: json.dumps(changed(CONFIG, x)).encode()), damaged(json.dumps(CONFIG).encode())
    )
)
def test_the_config_of_a_workdir(folder, content):
    put(folder, "config.json", content)
    found = assert_read_or_refused(lambda: runs.read_workdir(folder), UsageError)
    if found:
        config, record = found
        assert isinstance(config, ConfigDict)
        assert all(set(entry) >= {"path", "sha256"} for entry in record.values())


METRICS = "".join(json.dumps({"step": step, "generator/loss": 0.5, "seconds": 1.0}) + "\n" for step in range(1, 6))


@given(damaged(METRICS.encode()), st.integers(0, 5))
def test_metrics(folder, content, step):
    put(folder, "metrics.jsonl", content)
    with logs.Logs(folder, step, 6, every=1) as log:
        log.metrics(step + 1, {"generator/loss": np.float32(2)})
    for event in folder.glob("events*"):
        event.unlink()
    steps = [record["step"] for record in logs.read_metrics(folder)]
    assert steps[-1] == step + 1
    assert all(isinstance(one, int) and one <= step for one in steps[:-1])


def test_members_of_archives_stay_where_they_are(folder):
    """Nothing here is ever unpacked to a disk, so names that lead elsewhere are names and no more."""
    path = folder / "w.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../escaped.npy", npy())
        archive.writestr("/absolute.npy", npy())
    assert set(weights.read(path)) == {"..", ""}
    assert not (folder.parent / "escaped.npy").exists()
