import hashlib
import os
import zipfile

import numpy as np
import pytest
import trimesh

from data_pipelines import DataError, meshes, sh3f, voxelise


def obj(*size):
    return trimesh.creation.box(size).export(file_type="obj")


@pytest.fixture
def folder(tmp_path):
    """Twelve boxes of different proportions in three folders, and one file that is no mesh."""
    folder = tmp_path / "meshes"
    for i in range(12):
        path = folder / ("table", "chair", "lamp")[i % 3] / "deep" / f"{i}.obj"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(obj(4 + i % 4 * 4, 4 + i // 4 * 4, 16))
    (folder / "chair" / "notes.txt").write_text("chair")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "chair.obj").write_text(obj(1, 2, 3))
    return folder


def archive(path, pieces, **members):
    """A catalogue of pieces {model: (name, category, further lines)}, with the members of the zip file."""
    lines = []
    for i, (model, (name, category, *more)) in enumerate(pieces.items(), 1):
        lines += [f"model#{i}={model}", f"name#{i}={name}", f"category#{i}={category}"]
        lines += [line.replace("#", f"#{i}") for line in more]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(sh3f.CATALOGUE, "\n".join(lines))
        for name, content in members.items():
            file.writestr(name, content)
    return path


def read(paths, tmp_path, **options):
    paths = [str(path) for path in (paths if isinstance(paths, list) else [paths])]
    return meshes.read(paths, options.pop("resolution", 16), cache=str(tmp_path / "cache"), **options)


def test_folders_are_the_classes(folder, tmp_path):
    arrays, tally = read(folder, tmp_path, test=0.25)
    assert not tally.unreadable
    assert not tally.repeated
    assert arrays["classes"].tolist() == ["chair", "lamp", "table"]
    assert arrays["train_image"].shape == (9, 16, 16, 16, 1)
    assert arrays["test_image"].shape == (3, 16, 16, 16, 1)
    labels = np.concatenate([arrays["train_label"], arrays["test_label"]])
    assert np.bincount(labels).tolist() == [4, 4, 4]
    images = np.concatenate([arrays["train_image"], arrays["test_image"]])
    assert images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 12


def test_the_split_hangs_on_names_alone(folder, tmp_path):
    first, _ = read(folder, tmp_path, test=0.25)
    moved = folder.rename(tmp_path / "elsewhere")
    second, _ = read(moved, tmp_path, test=0.25)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    names = sorted(
        (str(path.relative_to(moved)) for path in moved.rglob("deep/*.obj")),
        key=lambda name: hashlib.sha256(name.encode()).digest(),
    )
    vertices = trimesh.load_mesh(moved / names[0])
    expected = voxelise.voxelise(np.asarray(vertices.vertices), np.asarray(vertices.faces), 16)
    np.testing.assert_array_equal(first["test_image"][0, ..., 0], expected)
    # Files of other categories do not matter.
    alone, _ = read(moved, tmp_path, classes=("chair",), test=0.25)
    assert len(alone["test_image"]) == 1


def test_a_category_is_what_a_word_ends_in(tmp_path):
    pieces = {
        "a.obj": ("Armchair", "Living room"),
        "b.obj": ("Stool", "Kitchen", "tags#=Seat, Chairs"),
        "c.obj": ("Chairman", "Characters"),
        "d.obj": ("Table lamp", "Lights"),
        "e/oak_chair.obj": ("Thing", "Office", "tags#=Unchair, Chair-like"),
    }
    members = {name: obj(1, 2, 3 + i) for i, name in enumerate(pieces)}
    path = archive(tmp_path / "a.sh3f", pieces, **members)
    found, _ = meshes.find([str(path)])
    chosen = meshes.select(found, ("chair", "lamp"))
    assert [(mesh.member, label) for mesh, label in chosen] == [("a.obj", 0), ("b.obj", 0), ("d.obj", 1)]
    # Of a file it is also its own name that counts.
    (tmp_path / "oak_chair.obj").write_text(obj(1, 2, 3))
    loose, _ = meshes.find([str(tmp_path)])
    assert "oak_chair.obj" in {mesh.name for mesh, _ in meshes.select(loose, ("chair",))}
    with pytest.raises(DataError, match="called a 'sofa'; categories of the 5: Characters, Kitchen, Lights, Living"):
        meshes.select(found, ("chair", "sofa"))
    labels = {mesh.name: label for mesh, label in meshes.select(found, ())}
    assert labels["a.sh3f/c.obj"] == 0
    assert labels["a.sh3f/e/oak_chair.obj"] == 4


def test_a_catalogue_says_how_a_model_stands_and_how_large_it_is(tmp_path):
    # A tall thing that lies in the file: its length is along z.
    pieces = {
        "/in/lying.obj": ("Pole", "Exterior", "modelRotation#=1 0 0 0 0 1 0 -1 0"),
        "in/wide.obj": ("Board", "Exterior", "width#=160", "height#=80", "depth#=20"),
    }
    path = archive(tmp_path / "a.sh3f", pieces, **{"in/lying.obj": obj(1, 1, 8), "in/wide.obj": obj(1, 1, 1)})
    arrays, tally = read(path, tmp_path, resolution=32)
    assert not tally.unreadable
    volumes = np.concatenate([arrays["train_image"], arrays["test_image"]])[..., 0]
    extents = sorted(tuple(int(np.ptp(np.argwhere(volume)[:, i])) + 1 for i in range(3)) for volume in volumes)
    assert extents == [(4, 30, 4), (30, 16, 4)]


def test_up_can_be_z(tmp_path):
    for i, size in enumerate([(1, 2, 8), (2, 1, 8)]):
        (tmp_path / f"{i}.stl").write_bytes(trimesh.creation.box(size).export(file_type="stl"))
    arrays, _ = read(tmp_path, tmp_path, up="z")
    assert (np.ptp(np.argwhere(arrays["train_image"][0, ..., 0]), axis=0) + 1).argmax() == 1
    arrays, _ = read(tmp_path, tmp_path)
    assert (np.ptp(np.argwhere(arrays["train_image"][0, ..., 0]), axis=0) + 1).argmax() == 2


def test_nothing_of_an_archive_is_ever_written(tmp_path):
    inside, absolute = tmp_path / "inside", str(tmp_path / "absolute.obj")
    inside.mkdir()
    members = {"../escaped.obj": obj(1, 2, 3), absolute: obj(2, 2, 3), "fine.obj": obj(3, 2, 3)}
    pieces = {name: (name, "x") for name in members}
    path = archive(inside / "a.sh3f", pieces, **members)
    before = sorted(tmp_path.rglob("*"))
    arrays, tally = read(path, inside)
    # `/` before a model's path is the archive's root: nothing there is called by the rest of an absolute name.
    assert list(tally.unreadable) == [f"a.sh3f/{absolute[1:]}"]
    assert len(arrays["train_image"]) + len(arrays["test_image"]) == 2
    assert [p for p in sorted(tmp_path.rglob("*")) if p not in before and "cache" not in p.parts] == []


def test_what_cannot_be_read_is_listed(folder, tmp_path, monkeypatch):
    (folder / "chair" / "broken.glb").write_bytes(b"glTF" + bytes(20))
    monkeypatch.setattr(voxelise, "MOST_BYTES", 2000)
    (folder / "chair" / "large.obj").write_text(obj(1, 2, 3) + "# " * 2000)
    pieces = {"gone.obj": ("Chair", "x"), "large.obj": ("Chair", "x"), "odd.obj": ("Chair", "x", "width#=wide")}
    archive(folder / "b.sh3f", pieces, **{"large.obj": obj(1, 2, 3) + "# " * 2000})
    arrays, tally = read(folder, tmp_path, classes=("chair",))
    assert len(arrays["train_image"]) + len(arrays["test_image"]) == 4
    reasons = {
        "b.sh3f/PluginFurnitureCatalog.properties #3": "wide",
        "b.sh3f/gone.obj": "KeyError",
        "b.sh3f/large.obj": "more than 2,000 bytes",
        "chair/broken.glb": "",
        "chair/large.obj": "more than 2,000 bytes",
    }
    assert sorted(tally.unreadable) == sorted(reasons)
    for name, reason in reasons.items():
        assert reason in tally.unreadable[name]


def test_the_same_shape_is_not_in_both_splits(folder, tmp_path):
    # A copy, and the same in another size: the voxels are those of chair/deep/1.obj.
    (folder / "chair" / "copy.obj").write_text(obj(8, 4, 16))
    (folder / "lamp" / "giant.obj").write_text(obj(80, 40, 160))
    arrays, tally = read(folder, tmp_path)
    assert len(tally.repeated) == 2
    assert set(tally.repeated) < {"chair/deep/1.obj", "chair/copy.obj", "lamp/giant.obj"}
    assert len(arrays["train_image"]) + len(arrays["test_image"]) == 12


def test_voxels_are_kept_by_what_they_are_made_of(folder, tmp_path, monkeypatch):
    first, _ = read(folder, tmp_path)
    kept = sorted((tmp_path / "cache" / "voxels").iterdir())
    assert len(kept) == 12
    calls = []
    load = voxelise.load
    monkeypatch.setattr(voxelise, "load", lambda *given: calls.append(given) or load(*given))
    second, _ = read(folder, tmp_path)
    assert not calls
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    # Damaged ones are made again, other settings are others.
    kept[0].write_bytes(b"damaged")
    kept[1].write_bytes(kept[1].read_bytes()[:-10])
    third, _ = read(folder, tmp_path)
    assert len(calls) == 2
    np.testing.assert_array_equal(first["train_image"], third["train_image"])
    for options in ({"filled": True}, {"resolution": 8}, {"up": "z"}):
        calls.clear()
        read(folder, tmp_path, **options)
        assert len(calls) == 12
    assert not list((tmp_path / "cache" / "voxels").glob("*.part"))


def test_the_cache_is_the_users(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    meshes.read([str(folder)], 16)
    assert len(list((tmp_path / "xdg" / "gans" / "voxels").iterdir())) == 12
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set XDG_CACHE_HOME to another folder"):
        meshes.read([str(folder)], 16)


def test_filled_or_not(folder, tmp_path):
    hollow, _ = read(folder, tmp_path)
    filled, _ = read(folder, tmp_path, filled=True)
    assert (hollow["train_image"] <= filled["train_image"]).all()
    assert (hollow["train_image"].sum((1, 2, 3, 4)) < filled["train_image"].sum((1, 2, 3, 4))).all()


def test_what_is_refused(folder, tmp_path, monkeypatch):
    for faulty in ({"resolution": 7}, {"test": 0.0}, {"test": 1.0}, {"up": "x"}):
        with pytest.raises(DataError, match="need resolution >= 8"):
            read(folder, tmp_path, **faulty)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="no meshes"):
        read(empty, tmp_path)
    with pytest.raises(DataError, match="no meshes"):
        read(tmp_path / "none", tmp_path)
    (empty / "a.obj").write_text("nothing")
    (empty / "b.obj").write_text(obj(1, 2, 3))
    with pytest.raises(DataError, match="1 of 2 could be used; a.obj"):
        read(empty, tmp_path)
    if os.getuid():
        empty.chmod(0)
        with pytest.raises(DataError, match="cannot be read as a folder"):
            read(empty, tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "trimesh", None)
    with pytest.raises(DataError, match=r"gans\[voxels\]"):
        read(folder, tmp_path)
