"""The command `sample` where a run makes volumes: every form of output, as a user would ask for it."""

import numpy as np
import pytest
import trimesh
from ml_collections import ConfigDict

from experiments import meshes
from experiments.configs import vanilla
from tests.experiments import programs, untrained


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of a small dense generator of volumes, with arbitrary weights."""
    config = vanilla.get_config("tiny")
    config.judge = ConfigDict()
    config.model.update(image_shape=(8, 8, 8, 1), latent_size=6)
    folder = tmp_path_factory.mktemp("volumes") / "run"
    untrained.write(folder, config)
    return folder


def sample(workdir, output, *arguments):
    done = programs.call("sample", f"--workdir={workdir}", f"--output={output}", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def read(path):
    with np.load(path) as file:
        return dict(file)


def test_sets_meshes_and_voxels_of_the_same_latents(workdir, tmp_path):
    assert "5 volumes in" in sample(workdir, tmp_path / "set.npz", "--count=5")
    made = read(tmp_path / "set.npz")
    assert made["image"].shape == (5, 8, 8, 8, 1)
    assert made["image"].dtype == np.uint8
    assert set(np.unique(made["image"])) == {0, 1}
    sample(workdir, tmp_path / "a.binvox", f"--latents={tmp_path / 'set.npz'}")
    for i, volume in enumerate(made["image"][..., 0]):
        np.testing.assert_array_equal(meshes.read_binvox(tmp_path / f"a-{i:05d}.binvox"), volume)
    sample(workdir, tmp_path / "b.stl", f"--latents={tmp_path / 'set.npz'}:4,1", "--size=40", "--largest")
    assert len(list(tmp_path.glob("b-*.stl"))) == 2
    mesh = trimesh.load_mesh(tmp_path / "b-00000.stl")
    assert mesh.is_watertight
    assert mesh.body_count == 1
    assert 10 < mesh.extents.max() <= 40


def test_arithmetic_of_shapes(workdir, tmp_path):
    latents = np.random.default_rng(0).standard_normal((6, 6)).astype(np.float32)
    given = tmp_path / "given.npy"
    np.save(given, latents)
    sample(workdir, tmp_path / "new.npz", f"--latents={given}:0,1", f"--minus={given}:2,3", f"--plus={given}:5")
    expected = latents[:2] - latents[2:4].mean(0) + latents[5]
    np.testing.assert_allclose(read(tmp_path / "new.npz")["latent"], expected, rtol=1e-5, atol=1e-6)


def test_what_is_drawn(workdir, tmp_path):
    pytest.importorskip("experiments.voxel_pictures")
    from PIL import Image

    sample(workdir, tmp_path / "grid.png", "--count=4")
    sample(workdir, tmp_path / "single", "--count=2")
    assert sorted(path.name for path in (tmp_path / "single").iterdir()) == ["00000.png", "00001.png"]
    sample(workdir, tmp_path / "set.npz", "--count=3")
    sample(workdir, tmp_path / "walk.gif", f"--latents={tmp_path / 'set.npz'}:0,2", "--frames=4")
    with Image.open(tmp_path / "walk.gif") as animation:
        assert animation.n_frames == 4


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--output=a.dae"], "nor one of .png, .npz, .gif, .obj, .stl, .binvox"),
        (["--minus=none.npz"], "none.npz holds no latents"),
    ],
)
def test_wrong_use_is_refused(workdir, arguments, expected):
    done = programs.call("sample", f"--workdir={workdir}", *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr
