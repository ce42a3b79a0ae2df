"""Volumes by name, from `reading.load`, the command `prepare voxels`, and the TFDS builders."""

import numpy as np
import pytest
import trimesh
from scipy import io

from data_pipelines import DataError, prepare, reading, solids, voxels


@pytest.fixture
def boxes(tmp_path):
    """Eight boxes of two classes."""
    folder = tmp_path / "boxes"
    for i in range(8):
        path = folder / ("chair", "table")[i % 2] / f"{i}.stl"
        path.parent.mkdir(parents=True, exist_ok=True)
        trimesh.creation.box((4 + i % 4 * 4, 4 + i // 4 * 4, 16)).export(path)
    return folder


@pytest.fixture
def shapenets(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        folder = tmp_path / "3DShapeNets" / "volumetric_data" / "chair" / "30" / split
        folder.mkdir(parents=True)
        for i in range(count):
            volume = (np.random.default_rng(i).random((30, 30, 30)) < 0.1).astype(np.uint8)
            io.savemat(folder / f"chair_{i:09d}_1.mat", {"instance": volume})
    return tmp_path / "3DShapeNets"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(solids, "COUNTS", {"train": 6, "test": 3})


def test_solids_by_name():
    for name, side in (("solids", 32), ("solids64", 64)):
        data = reading.load(name)
        assert data["train"]["image"].shape == (6, side, side, side, 1)
        assert data["test"]["label"].tolist() == [0, 1, 2]
    chairs = reading.load("solids", classes=("chair",), resolution=32)
    assert chairs["train"]["label"].tolist() == [0, 0]
    # As a flag gives them.
    assert reading.load("solids", classes="chair,table")["train"]["label"].tolist() == [1, 0] * 2
    with pytest.raises(DataError, match="solids have 32 voxels a side, not 64"):
        reading.load("solids", resolution=64)
    with pytest.raises(DataError, match="are drawn, not read from"):
        reading.load("solids", path="folder")


def test_meshes_by_name_and_what_is_told(boxes, capsys):
    (boxes / "chair" / "bad.obj").write_text("nothing")
    data = reading.load("mesh_voxels", path=str(boxes), resolution=16, classes=["chair"], test=0.25, filled=True)
    assert data["train"]["image"].shape == (3, 16, 16, 16, 1)
    assert data["test"]["label"].tolist() == [0]
    said = capsys.readouterr().err
    assert "boxes: 3 train, 1 test volumes of 16^3 (chair); left out: 1 not read\n  not read: chair/bad.obj: " in said


def test_shapenets_by_name(shapenets, capsys):
    data = reading.load("shapenet_voxels", path=str(shapenets), resolution=64)
    assert data["train"]["image"].shape == (3, 64, 64, 64, 1)
    assert "3DShapeNets: 3 train, 2 test volumes of 64^3 (chair); left out: 0 not read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mesh_voxels", {}, "set config.data.path to their folder"),
        ("shapenet_voxels", {}, "set config.data.path to their folder"),
        ("mesh_voxels", {"size": 3}, "no option 'size'; there are resolution, classes"),
        ("digits5k", {"resolution": 32}, "digits5k takes no 'resolution': only sets of voxels do"),
        ("shapenet_voxels", {"path": "none"}, "has no volumetric_data"),
    ],
)
def test_wrong_use_is_refused(name, options, message):
    with pytest.raises(DataError, match=message):
        reading.load(name, **options)


def write(path, **changed):
    arrays = {f"{s}_image": np.zeros((2, 8, 8, 8, 1), np.uint8) for s in ("train", "test")}
    arrays |= {f"{s}_label": np.zeros(2, np.int64) for s in ("train", "test")}
    np.savez(path, **arrays | changed)
    return str(path)


def test_an_npz_of_volumes(tmp_path):
    path = write(tmp_path / "own.npz")
    for name in ("own", "mesh_voxels", "solids"):
        assert reading.load(name, path=path)["train"]["image"].shape == (2, 8, 8, 8, 1)
    assert reading.load("mesh_voxels", path=path, resolution=8, classes=("chair",))
    with pytest.raises(DataError, match="have 8 voxels a side, not 32"):
        reading.load("mesh_voxels", path=path, resolution=32)
    for shape, value in (((2, 8, 8, 4, 1), 0), ((2, 8, 8, 8, 3), 0), ((2, 8, 8, 8, 1), 255)):
        path = write(tmp_path / "bad.npz", train_image=np.full(shape, value, np.uint8))
        with pytest.raises(DataError, match=r"not \[n, r, r, r, 1\] of 0 and 1"):
            reading.load("own", path=path)


def test_prepare_writes_what_reading_reads(boxes, shapenets, tmp_path, capsys):
    output = tmp_path / "own.npz"
    command = ["voxels", "--from", str(boxes), "--output", str(output), "--resolution", "16", "--test", "0.25"]
    assert prepare.main([*command, "--category", "table", "chair", "--filled", "--up", "z"]) == 0
    assert f"{output}: 6 train, 2 test volumes of 16^3 (table, chair); left out: 0" in capsys.readouterr().out
    direct = voxels.load(
        "mesh_voxels", str(boxes), resolution=16, classes=("table", "chair"), filled=True, up="z", test=0.25
    )
    found = reading.load("own", path=str(output))
    for split, arrays in found.items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, direct[split][key])
    with np.load(output, allow_pickle=False) as file:
        assert file["classes"].tolist() == ["table", "chair"]
    # What is there stays.
    before = output.read_bytes()
    assert prepare.main(command) == 2
    assert "own.npz: is there already" in capsys.readouterr().err
    assert output.read_bytes() == before
    other = tmp_path / "shapenets.npz"
    assert prepare.main(["voxels", "--from", str(shapenets), "--output", str(other), "--resolution", "32"]) == 0
    assert "3 train, 2 test volumes of 32^3 (chair)" in capsys.readouterr().out
    assert (
        prepare.main(["voxels", "--from", str(tmp_path / "none"), "--output", f"{other}x", "--resolution", "32"]) == 2
    )
    assert "must end in .npz" in capsys.readouterr().err


def test_several_sources_are_one_set(boxes, tmp_path):
    (tmp_path / "more").mkdir()
    trimesh.creation.icosphere().export(tmp_path / "more" / "ball.ply")
    output = tmp_path / "own.npz"
    command = ["voxels", "--from", str(boxes), str(tmp_path / "more"), "--output", str(output), "--resolution", "16"]
    assert prepare.main(command) == 0
    with np.load(output) as file:
        assert len(file["train_image"]) + len(file["test_image"]) == 9
        assert file["classes"].tolist() == ["chair", "more", "table"]


def test_tfds_builders(boxes, shapenets, tmp_path):
    import tensorflow_datasets as tfds

    from data_pipelines.builders import voxels as builders

    small = builders.VoxelConfig(name="small", resolution=16, classes=("chair", "table"), filled=True)
    for name, config, folder in (("mesh_voxels", small, boxes), ("shapenet_voxels", "64", shapenets)):
        builder = tfds.builder(name, config=config, data_dir=tmp_path / "tfds")
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(folder)))
        options = {"classes": ("chair", "table"), "filled": True} if config is small else {}
        direct = voxels.load(name, str(folder), resolution=builder.builder_config.resolution, **options)
        for split, arrays in direct.items():
            examples = builder.as_dataset(split=split, batch_size=-1)
            for key, array in arrays.items():
                np.testing.assert_array_equal(examples[key].numpy(), array)
                assert examples[key].numpy().dtype == array.dtype
