import numpy as np
import pytest
import trimesh

from data_pipelines import DataError, voxelise

BOX = trimesh.creation.box((4, 2, 1))
BALL = trimesh.creation.icosphere(subdivisions=4)


def of(mesh, resolution=32, **options):
    return voxelise.voxelise(np.asarray(mesh.vertices), np.asarray(mesh.faces), resolution, **options)


def test_a_box_is_a_box():
    # 30 x 15 x 7.5 voxels around the middle of the grid.
    solid = of(BOX, filled=True)
    assert solid.dtype == bool
    expected = np.zeros((32, 32, 32), bool)
    expected[1:31, 8:24, 12:20] = True
    np.testing.assert_array_equal(solid, expected)
    hollow = expected.copy()
    hollow[2:30, 9:23, 13:19] = False
    np.testing.assert_array_equal(of(BOX), hollow)


@pytest.mark.parametrize("resolution", [16, 32, 64])
def test_a_ball_has_the_volume_of_a_ball(resolution):
    solid = of(BALL, resolution, filled=True)
    # The voxels that the surface passes belong to it: on the mean 3/4 of a voxel more of radius, less grazed corners.
    radius = (solid.sum() * 3 / 4 / np.pi) ** (1 / 3)
    assert 0.58 < radius - (resolution - 2) / 2 < 0.75
    for other in (solid[::-1], solid[:, :, ::-1], solid.transpose(2, 1, 0)):
        assert (solid != other).sum() < 0.01 * solid.sum()


@pytest.mark.parametrize("mesh", [BOX, BALL, trimesh.creation.torus(3, 0.4), trimesh.creation.cone(0.2, 8)])
def test_surfaces_are_those_of_trimesh(mesh):
    rotated = mesh.copy()
    rotated.apply_transform(trimesh.transformations.random_rotation_matrix(np.array([0.1, 0.2, 0.7])))
    ours = of(rotated)
    placed = rotated.copy()
    placed.apply_translation(-rotated.bounds.mean(0))
    placed.apply_scale((32 - 2 - 0.04) / rotated.extents.max())
    placed.apply_translation([31 / 2 + 0.01] * 3)
    points = np.rint(trimesh.voxel.creation.voxelize(placed, 1.0, method="subdivide", edge_factor=4).points).astype(int)
    theirs = np.zeros_like(ours)
    theirs[tuple(points.T)] = True
    # They differ where a corner of a voxel is grazed.
    assert (ours & theirs).sum() > 0.95 * (ours | theirs).sum()


def test_no_point_of_a_triangle_is_far_from_those_looked_at():
    random = np.random.default_rng(0)
    triangles = random.uniform(0, 30, (30, 3, 3))
    triangles[:10, 2] = triangles[:10, 1] + random.uniform(-0.1, 0.1, (10, 3))  # needles
    triangles[10:20, 2] = triangles[10:20, :2].mean(1) + 0.01  # flat
    for triangle in triangles:
        points = np.concatenate(list(voxelise._points(triangle[None])), 1).T
        weights = random.dirichlet([1, 1, 1], 200)
        inside = weights @ triangle
        nearest = np.linalg.norm(inside[:, None] - points[None], axis=2).min(1)
        assert nearest.max() < voxelise._STEP
    longest = np.linalg.norm(triangles[:10] - np.roll(triangles[:10], 1, 1), axis=2).max()
    assert sum(part.shape[1] for part in voxelise._points(triangles[:10])) < 10 * 2 * (longest / voxelise._STEP + 2)


def test_chunks_change_nothing(monkeypatch):
    whole = of(BALL)
    monkeypatch.setattr(voxelise, "_CHUNK", 100)
    np.testing.assert_array_equal(of(BALL), whole)


@pytest.mark.parametrize("suffix", voxelise.SUFFIXES)
def test_every_format_is_read(suffix):
    content = BOX.export(file_type=suffix[1:])
    vertices, faces = voxelise.load(content.encode() if isinstance(content, str) else content, suffix)
    assert (vertices.dtype, faces.dtype) == (np.float64, np.int64)
    np.testing.assert_allclose(np.ptp(vertices[faces].reshape(-1, 3), axis=0), (4, 2, 1))
    np.testing.assert_array_equal(voxelise.voxelise(vertices, faces, 32), of(BOX))


def test_parts_of_a_scene_stand_in_their_places():
    scene = trimesh.Scene([trimesh.creation.box((1, 1, 1))])
    scene.add_geometry(scene.geometry["geometry_0"], transform=trimesh.transformations.translation_matrix([9, 0, 0]))
    vertices, faces = voxelise.load(scene.export(file_type="glb"), ".glb")
    assert len(faces) == 24
    np.testing.assert_allclose(np.ptp(vertices, axis=0), (10, 1, 1))


def test_what_else_a_file_names_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.mtl").write_text("newmtl a\nmap_Kd secret.png\n")
    content = b"mtllib secret.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
    monkeypatch.setattr("builtins.open", lambda *names, **options: pytest.fail(f"opens {names}"))
    _, faces = voxelise.load(content, ".obj")
    assert faces.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (b"nothing", ".obj", ""),
        (b"nothing", ".stl", ""),
        (b"nothing", ".glb", ""),
        (b"", ".ply", ""),
        (b"v 0 0 0\n", ".obj", ""),
        (b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", ".obj", "not finite"),
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", ".obj", ""),
        (b"", ".dae", "none of"),
        (b"", "", "no ending"),
    ],
)
def test_what_cannot_be_read(content, suffix, message):
    # Of damaged files trimesh raises whatever it meets.
    with pytest.raises(Exception, match=message or None):
        voxelise.load(content, suffix)


def test_monstrous_meshes_are_refused(monkeypatch):
    monkeypatch.setattr(voxelise, "MOST_TRIANGLES", 11)
    with pytest.raises(ValueError, match="12 triangles, not 1 to 11"):
        voxelise.load(BOX.export(file_type="stl"), ".stl")
    monkeypatch.setattr(voxelise, "MOST_POINTS", 1000)
    with pytest.raises(ValueError, match="points, more than 1,000"):
        of(BOX)
    with pytest.raises(ValueError, match="one point"):
        voxelise.voxelise(np.ones((3, 3)), np.array([[0, 1, 2]]), 32)


def test_stretched_to_its_true_size_after_its_turn():
    turn = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    found = voxelise.upright(np.asarray(BOX.vertices), turn, (8, 3, 4))
    np.testing.assert_allclose(np.ptp(found, axis=0), (8, 3, 4))
    np.testing.assert_allclose(np.ptp(voxelise.upright(BOX.vertices, turn, None), axis=0), (4, 1, 2))
    flat = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    np.testing.assert_allclose(np.ptp(voxelise.upright(flat, np.eye(3), (2, 3, 4)), axis=0), (2, 3, 0))


def test_without_trimesh_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "trimesh", None)
    with pytest.raises(DataError, match=r'pip install "gans\[voxels\]"'):
        voxelise.trimesh()
