import json

import numpy as np
import pytest

from experiments import tfjs_weights
from experiments.commands import UsageError


def write(folder, weights, content, paths=("w.bin",), *, model=False):
    """A manifest of one group whose bytes lie in shards of about equal length."""
    manifest = [{"paths": list(paths), "weights": weights}]
    path = folder / ("model.json" if model else "w-weights_manifest.json")
    path.write_text(json.dumps({"format": "layers-model", "weightsManifest": manifest} if model else manifest))
    ends = np.linspace(0, len(content), len(paths) + 1).astype(int)
    for name, start, end in zip(paths, ends[:-1], ends[1:], strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content[start:end])
    return path


def tensor(name, shape, dtype="float32", **quantization):
    """An entry of a manifest; `stored` is the dtype of its quantization."""
    entry = {"name": name, "shape": shape, "dtype": dtype}
    if quantization:
        entry["quantization"] = {"dtype": quantization.pop("stored"), **quantization}
    return entry


@pytest.mark.parametrize("model", [False, True])
def test_every_way_of_storing(tmp_path, model):
    floats = np.random.default_rng(0).standard_normal((3, 2)).astype("<f4")
    halves = np.arange(4, dtype="<f2") / 3
    bytes_, words = np.arange(0, 250, 50, dtype="<u1"), np.array([0, 1000, 65535], "<u2")
    integers, scalar = np.array([-5, 7], "<i4"), np.array(2.5, "<f4")
    weights = [
        tensor("a/b", [3, 2]),
        tensor("half", [2, 2], stored="float16"),
        tensor("byte", [5], stored="uint8", scale=0.1, min=-3.0),
        tensor("word", [3, 1], stored="uint16", scale=1e-3, min=0.25),
        tensor("integer", [2], "int32"),
        tensor("scalar", []),
        tensor("none", [0, 4]),
        tensor("rounded", [5], "int32", stored="uint8", scale=0.5, min=-1.0),
    ]
    content = b"".join(x.tobytes() for x in (floats, halves, bytes_, words, integers, scalar, bytes_))
    found = tfjs_weights.read(write(tmp_path, weights, content, ("1of3", "sub/2of3", "3of3"), model=model))
    expected = {
        "a/b": floats,
        "half": halves.astype(np.float32).reshape(2, 2),
        "byte": (bytes_ * 0.1 - 3.0).astype(np.float32),
        "word": (words * 1e-3 + 0.25).astype(np.float32).reshape(3, 1),
        "integer": integers,
        "scalar": scalar,
        "none": np.zeros((0, 4), np.float32),
        "rounded": np.array([-1, 24, 49, 74, 99], np.int32),
    }
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)


def test_several_groups(tmp_path):
    groups = [{"paths": [f"{i}.bin"], "weights": [tensor(str(i), [2])]} for i in range(2)]
    for i in range(2):
        (tmp_path / f"{i}.bin").write_bytes(np.full(2, i, "<f4").tobytes())
    (tmp_path / "model.json").write_text(json.dumps({"weightsManifest": groups}))
    found = tfjs_weights.read(tmp_path / "model.json")
    assert {name: array.tolist() for name, array in found.items()} == {"0": [0, 0], "1": [1, 1]}


@pytest.mark.parametrize(
    ("weights", "paths", "message"),
    [
        ([tensor("a", [3])], ["w.bin"], "w.bin has 8 bytes, but the shapes ask for 12"),
        ([tensor("a", [2**40, 2**40])], ["w.bin"], "w.bin has 8 bytes, but the shapes ask for"),
        ([tensor("a", [1])], ["w.bin"], "ask for 4"),
        ([tensor("a", [-2])], ["w.bin"], r"'a' has the shape \[-2\]"),
        ([tensor("a", [2.0])], ["w.bin"], r"'a' has the shape \[2.0\]"),
        ([tensor("a", [True, 2])], ["w.bin"], "'a' has the shape"),
        ([tensor("a", [2], "string")], ["w.bin"], "a is of string, which is not one of float32, int32"),
        ([tensor("a", [2], stored="uint4")], ["w.bin"], "quantized as uint4"),
        ([tensor("a", [8], stored="uint8", min=0)], ["w.bin"], "it lacks 'scale'"),
        (
            [tensor("a", [8], stored="uint8", min=0, scale=float("nan"))],
            ["w.bin"],
            "a has the scale nan",
        ),
        ([tensor("a", [1]), tensor("a", [1])], ["w.bin"], "two tensors are called a"),
        ([{"shape": [2], "dtype": "float32"}], ["w.bin"], "it lacks 'name'"),
        ([tensor("a", [2])], ["../w.bin"], "its shard ../w.bin lies outside its folder"),
        ([tensor("a", [2])], ["/etc/passwd"], "its shard /etc/passwd lies outside its folder"),
        ([tensor("a", [2])], ["gone.bin"], "its shard gone.bin is missing"),
        ([tensor("a", [2])], ["."], "its shard . is missing"),
    ],
)
def test_faults_are_named(tmp_path, weights, paths, message):
    folder = tmp_path / "inner"
    folder.mkdir()
    for place in (tmp_path, folder):
        (place / "w.bin").write_bytes(bytes(8))
    path = folder / "w-weights_manifest.json"
    path.write_text(json.dumps([{"paths": paths, "weights": weights}]))
    with pytest.raises(UsageError, match=f"{path} cannot be read as a TensorFlow.js weights manifest: .*{message}"):
        tfjs_weights.read(path)


def test_a_shard_behind_a_link_out_of_the_folder(tmp_path):
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(8))
    (folder / "w.bin").symlink_to(tmp_path / "secret")
    (folder / "m.json").write_text(json.dumps([{"paths": ["w.bin"], "weights": [tensor("a", [2])]}]))
    with pytest.raises(UsageError, match="lies outside its folder"):
        tfjs_weights.read(folder / "m.json")


@pytest.mark.parametrize("content", ["", "{", "3", "[3]", '{"a": 1}', '[{"paths": []}]', "[" * 100_000, "\udcff"])
def test_files_that_are_no_manifest(tmp_path, content):
    (tmp_path / "m.json").write_text(content, errors="surrogateescape")
    with pytest.raises(UsageError, match="cannot be read as a TensorFlow.js weights manifest"):
        tfjs_weights.read(tmp_path / "m.json")


def test_missing_and_huge_manifests(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="No such file"):
        tfjs_weights.read(tmp_path / "m.json")
    path = write(tmp_path, [tensor("a", [2])], bytes(8))
    monkeypatch.setattr(tfjs_weights, "LARGEST_MANIFEST", 10)
    with pytest.raises(UsageError, match="more than the 10 that a manifest may have"):
        tfjs_weights.read(path)
