import os

import numpy as np
import pytest
from scipy import io

from data_pipelines import DataError, shapenet

SIDE = 30


def model(number):
    return (np.random.default_rng(number).random((SIDE, SIDE, SIDE)) < 0.05).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """3D ShapeNets as it is laid out, with two classes."""
    for name, counts in {"chair": (3, 2), "airplane": (2, 1)}.items():
        for split, count in zip(("train", "test"), counts, strict=True):
            inner = tmp_path / "volumetric_data" / name / "30" / split
            inner.mkdir(parents=True)
            for i in range(count):
                path = inner / f"{name}_{i:09d}_1.mat"
                io.savemat(path, {"instance": model(hash_of(name, split, i))}, do_compression=bool(i % 2))
    (tmp_path / "volumetric_data" / "notes").mkdir()
    return tmp_path


def hash_of(name, split, i):
    return 100 * ("airplane", "chair").index(name) + 10 * ("train", "test").index(split) + i


def test_both_splits_padded_and_upright(folder):
    arrays, unreadable = shapenet.read_folder(str(folder))
    assert not unreadable
    assert arrays["classes"].tolist() == ["airplane", "chair"]
    assert arrays["train_image"].shape == (5, 32, 32, 32, 1)
    assert arrays["train_image"].dtype == np.uint8
    assert arrays["train_label"].tolist() == [0, 0, 1, 1, 1]
    assert arrays["test_label"].tolist() == [0, 1, 1]
    # The third axis is up in the file; up is the second here, and the first stays.
    original, found = model(hash_of("chair", "test", 1)), arrays["test_image"][2, ..., 0]
    inner = found[1:-1, 1:-1, 1:-1]
    assert inner.sum() == found.sum()
    for x, y, z in np.argwhere(original)[:50]:
        assert inner[x, z, SIDE - 1 - y]
    assert inner.sum() == original.sum()


def test_enlarged_by_nearest_neighbour(folder):
    small, large = (shapenet.read_folder(str(folder), side, classes=("chair",))[0] for side in (32, 64))
    assert large["train_image"].shape == (3, 64, 64, 64, 1)
    for dx, dy, dz in ((0, 0, 0), (1, 0, 1), (1, 1, 1)):
        np.testing.assert_array_equal(large["train_image"][:, dx::2, dy::2, dz::2], small["train_image"])


def test_chosen_classes_are_numbered_in_their_order_from_either_folder(folder):
    arrays, _ = shapenet.read_folder(str(folder / "volumetric_data"), classes=("chair", "airplane"))
    assert arrays["classes"].tolist() == ["chair", "airplane"]
    assert arrays["train_label"].tolist() == [0, 0, 0, 1, 1]
    assert shapenet.classes_of(str(folder)) == ["airplane", "chair"]
    assert shapenet.classes_of(str(folder / "none")) == []


def damage(kind, path):
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "truncated zip":
        io.savemat(path, {"instance": model(0)}, do_compression=True)
        content = path.read_bytes()
        path.write_bytes(content[:132] + (100).to_bytes(4, "little") + content[136 : 136 + 100])
    elif kind == "another name":
        io.savemat(path, {"volume": model(0)})
    elif kind == "another size":
        io.savemat(path, {"instance": np.zeros((2, 2, 2), np.uint8)})
    elif kind == "other values":
        io.savemat(path, {"instance": model(0) * 2})
    elif kind == "version 4":
        io.savemat(path, {"instance": np.eye(3)}, format="4")
    elif kind == "version 7.3":
        path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" * 100)
    elif kind == "bomb":
        io.savemat(path, {"instance": model(0), "more": np.zeros(2**22, np.uint8)}, do_compression=True)
        assert path.stat().st_size < 2**16
    elif kind == "large":
        io.savemat(path, {"instance": model(0), "more": np.zeros(2**21, np.uint8)})
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("truncated", "truncated"),
        ("truncated zip", "truncated"),
        ("another name", "not 'instance'"),
        ("another size", "not 'instance'"),
        ("other values", "other values than 0 and 1"),
        ("version 4", "no .mat file of version 5"),
        ("version 7.3", "no .mat file of version 5"),
        ("bomb", "more than 1,048,576 bytes"),
        ("large", "more than 1,048,576 bytes"),
        ("empty", "no .mat file of version 5"),
    ],
)
def test_a_damaged_file_is_left_out_and_listed(folder, kind, why):
    path = folder / "volumetric_data" / "chair" / "30" / "train" / "chair_000000001_1.mat"
    damage(kind, path)
    arrays, unreadable = shapenet.read_folder(str(folder), classes=("chair",))
    assert list(unreadable) == [os.path.relpath(path, folder)]
    assert why in unreadable[os.path.relpath(path, folder)]
    assert len(arrays["train_image"]) == len(arrays["train_label"]) == 2
    np.testing.assert_array_equal(
        arrays["train_image"][1, 1:-1, 1:-1, 1:-1, 0], shapenet.read(str(path).replace("1_1", "2_1"))
    )


def test_values_of_any_type_are_taken(tmp_path):
    path = tmp_path / "one.mat"
    for dtype in (bool, np.int8, np.float64):
        io.savemat(path, {"instance": model(0).astype(dtype)})
        found = shapenet.read(str(path))
        assert found.dtype == np.uint8
        assert found.sum() == model(0).sum()


def test_what_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match="has resolutions 32 and 64, not 48"):
        shapenet.read_folder(str(folder), 48)
    with pytest.raises(DataError, match="has no class 'sofa'; it has airplane, chair"):
        shapenet.read_folder(str(folder), classes=("sofa",))
    with pytest.raises(DataError, match="has no volumetric_data"):
        shapenet.read_folder(str(tmp_path / "none"))
    for path in (folder / "volumetric_data" / "airplane" / "30" / "test").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="no test volume of airplane can be read; .*version 5"):
        shapenet.read_folder(str(folder), classes=("airplane",))
