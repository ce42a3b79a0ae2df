import numpy as np
import pytest
import trimesh

from data_pipelines import solids, voxelise
from experiments import meshes
from experiments.commands import UsageError


def ragged(seed, kind):
    random = np.random.default_rng(seed)
    side = int(random.integers(3, 14))
    shape = (side, side, side)
    if kind == "binary":
        return (random.random(shape) < random.uniform(0.02, 0.98)).astype(np.uint8)
    if kind == "soft":
        return random.random(shape).astype(np.float32) ** random.uniform(0.3, 4)
    if kind == "saturated":
        return 1 / (1 + np.exp(-10 * random.standard_normal(shape)))
    if kind == "on the level":
        return np.round(4 * random.random(shape)) / 4
    return 0.5 + 1e-6 * random.standard_normal(shape)  # close to the level


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("kind", ["binary", "soft", "saturated", "on the level", "close to the level"])
def test_every_mesh_is_closed_and_is_so_when_it_is_read_again(tmp_path, kind, largest):
    made = 0
    for seed in range(12):
        volume = ragged(seed, kind)
        if not (volume >= 0.5).any():
            continue
        mesh = meshes.surface(volume, 80, largest=largest)
        for path in (tmp_path / "a.obj", tmp_path / "a.stl"):
            meshes.write_mesh(path, mesh)
            for one in (mesh, trimesh.load_mesh(path)):
                assert one.is_watertight
                assert one.is_winding_consistent
                assert one.volume > 0
            made += 1
    assert made > 15


@pytest.mark.parametrize("index", range(6))
def test_solids_are_closed_in_millimetres_and_come_back_as_they_were(tmp_path, index):
    volume = solids.solid(0, index, 32)[..., None]
    mesh = meshes.surface(volume, 64)
    assert (mesh.units, mesh.is_watertight) == ("mm", True)
    low, high = (np.argwhere(volume[..., 0]).min(0), np.argwhere(volume[..., 0]).max(0) + 1)
    # A voxel is 2 mm, and the surface lies half-way between the centres of what is solid and what is not.
    np.testing.assert_allclose(mesh.extents, 2 * (high - low), atol=1e-5)
    assert mesh.bounds[0][1] == 0
    np.testing.assert_allclose(mesh.bounds[:, [0, 2]], 2 * (np.stack([low, high]) - 16)[:, [0, 2]], atol=1e-5)
    # Marching cubes cut the edges off: a voxel alone becomes an octahedron.
    assert 0.5 * volume.sum() < mesh.volume / 8 <= volume.sum()
    # Voxelised again, scaled to the grid as the solid was.
    again = voxelise.voxelise(np.asarray(mesh.vertices), np.asarray(mesh.faces), 32, filled=True)
    solid = volume[..., 0] > 0
    assert (solid & again).sum() > 0.9 * solid.sum()
    assert (solid[:, ::-1] & again).sum() < (solid & again).sum()


def test_stl_has_z_up_and_obj_has_y_up(tmp_path):
    volume = np.zeros((8, 8, 8))
    volume[2:4, 1:7, 3] = 1  # tall
    volume[2:4, 1, 3:8] = 1  # with a foot to the front
    mesh = meshes.surface(volume, 8)
    for suffix in (".obj", ".stl"):
        meshes.write_mesh(tmp_path / f"a{suffix}", mesh)
    obj, stl = trimesh.load_mesh(tmp_path / "a.obj"), trimesh.load_mesh(tmp_path / "a.stl")
    np.testing.assert_allclose(obj.bounds, [[-2, 0, -1], [0, 6, 4]], atol=1e-5)
    # On its foot: the front is towards -y, as in programs with z up.
    np.testing.assert_allclose(stl.bounds, [[-2, -4, 0], [0, 1, 6]], atol=1e-5)
    np.testing.assert_allclose(obj.center_mass[[0, 2, 1]] * [1, -1, 1], stl.center_mass, atol=1e-4)
    assert (tmp_path / "a.obj").read_text().startswith("# units: mm")


def test_only_the_largest_part():
    volume = np.zeros((10, 10, 10), np.float32)
    volume[1:4, 1:4, 1:4] = 0.8
    volume[2, 2, 2] = 0.1  # a hollow
    volume[7:9, 7:9, 7:9] = 1
    volume[5, 1, 1] = 0.3  # not solid
    assert meshes.surface(volume).body_count == 3
    one = meshes.surface(volume, 10, largest=True)
    assert one.body_count == 1
    assert one.is_watertight
    np.testing.assert_allclose(one.bounds[:, [0, 2]], [[-4, -4], [-1, -1]], atol=0.5)
    np.testing.assert_allclose(one.bounds[:, 1], [0, 3], atol=0.5)


def test_no_surface_and_no_cube():
    with pytest.raises(meshes.EmptyVolume):
        meshes.surface(np.full((4, 4, 4), 0.4))
    for shape in ((4, 4, 5), (4, 4), (4, 4, 4, 2)):
        with pytest.raises(ValueError, match="a volume must be"):
            meshes.surface(np.ones(shape))


def test_one_file_a_volume(tmp_path):
    volumes = np.stack([solids.solid(0, i, 32) for i in range(3)])[..., None].astype(np.float32)
    volumes[1] = 0
    assert meshes.write_all(tmp_path / "new" / "a.stl", volumes, 50) == [1]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a-00000.stl", "a-00002.stl"]
    assert meshes.write_all(tmp_path / "b.binvox", volumes, 50) == []
    for i in range(3):
        np.testing.assert_array_equal(meshes.read_binvox(tmp_path / f"b-{i:05d}.binvox"), volumes[i, ..., 0])
    assert meshes.write_all(tmp_path / "c.obj", volumes[:1], 50) == []
    assert (tmp_path / "c.obj").is_file()


@pytest.mark.parametrize("density", [0, 0.001, 0.5, 1])
def test_binvox_comes_back_and_is_what_trimesh_reads(tmp_path, density):
    volume = (np.random.default_rng(0).random((17, 17, 17)) < density).astype(np.float32)
    path = tmp_path / "a.binvox"
    meshes.write_binvox(path, volume)
    found = meshes.read_binvox(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, volume)
    with open(path, "rb") as file:
        theirs = trimesh.exchange.binvox.load_binvox(file)
    np.testing.assert_array_equal(theirs.matrix, volume)


def test_binvox_as_it_is_documented(tmp_path):
    volume = np.zeros((2, 2, 2))
    volume[0, 1, 0] = volume[1, 0, 1] = 1
    path = tmp_path / "a.binvox"
    meshes.write_binvox(path, volume)
    head, data = path.read_bytes().split(b"data\n")
    assert head == b"#binvox 1\ndim 2 2 2\ntranslate 0 0 0\nscale 1\n"
    # x slowest, then z, y fastest: 0 1 0 0 0 0 1 0.
    assert list(data) == [0, 1, 1, 1, 0, 4, 1, 1, 0, 1]
    path.write_bytes(b"#binvox 2\n# by hand\ndim 2 2 2\ndata\n" + bytes([7, 3, 0, 5]))
    np.testing.assert_array_equal(meshes.read_binvox(path)[0], [[1, 1], [1, 0]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "header has no end"),
        (b"#binvox 1\n" + b"a\n" * 100, "header has no end"),
        (b"PNG\ndata\n", "no .binvox file of a cube"),
        (b"#binvox 1\ndim 2 2 3\ndata\n", "no .binvox file of a cube"),
        (b"#binvox 1\ndim 2 2 2\ndata\n\x01\x07", "2\\^3 voxels, at most 1024\\^3, but has 7"),
        (b"#binvox 1\ndim 2 2 2\ndata\n\x01\x08\x01", "2\\^3 voxels"),
        (b"#binvox 1\ndim 99999 99999 99999\ndata\n\x01\x07", "99999\\^3 voxels"),
        (b"#binvox 1\ndim 0 0 0\ndata\n", "0\\^3 voxels"),
    ],
)
def test_damaged_binvox_files(tmp_path, content, message):
    path = tmp_path / "a.binvox"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        meshes.read_binvox(path)


def test_without_the_packages_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(UsageError, match=r'pip install "gans\[voxels\]"'):
        meshes.surface(np.ones((4, 4, 4)))
