"""The command `sample` for GANs on latents: every form of output, as a user would ask for it."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from experiments import figures, train
from experiments.configs import vanilla
from tests.experiments import programs


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run on class labels that has learned next to nothing, without a judge."""
    config = vanilla.get_config("tiny,conditional")
    config.judge = ConfigDict()
    config.phases.adversarial.steps = config.score_every = config.sample_every = config.checkpoint_every = 1
    folder = tmp_path_factory.mktemp("sample") / "run"
    train.train(config, folder)
    return folder


def sample(workdir, output, *arguments):
    done = programs.call("sample", f"--workdir={workdir}", f"--output={output}", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def read(path):
    with np.load(path) as file:
        return dict(file)


def test_a_set_can_be_made_again_from_its_own_latents(workdir, tmp_path):
    sample(workdir, tmp_path / "set.npz", "--count=130", "--labels=3,8", "--truncation=0.5")
    made = read(tmp_path / "set.npz")
    assert made["image"].shape == (130, 28, 28, 1)
    assert made["image"].dtype == np.uint8
    assert made["label"].tolist() == [3, 8] * 65
    assert np.abs(made["latent"]).max() <= 0.5
    sample(workdir, tmp_path / "again.npz", f"--latents={tmp_path / 'set.npz'}", "--labels=3,8")
    again = read(tmp_path / "again.npz")
    np.testing.assert_array_equal(again["latent"], made["latent"])
    assert np.abs(again["image"].astype(int) - made["image"]).max() <= 1


def test_samples_stand_beside_their_nearest_training_pictures(workdir, tmp_path):
    said = sample(workdir, tmp_path / "pairs.png", "--count=4", "--nearest")
    assert "nearest of 4000 training pictures" in said
    with Image.open(tmp_path / "pairs.png") as picture:
        assert picture.size == (2 * (28 + 28 + 6), 2 * (28 + 4))


def test_an_animation_goes_round(workdir, tmp_path):
    sample(workdir, tmp_path / "walk.gif", "--count=4", "--frames=6")
    with Image.open(tmp_path / "walk.gif") as animation:
        assert (animation.n_frames, animation.size, animation.info["loop"]) == (6, (56, 56), 0)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--labels=3,10"], "no class '10'"),
        (["--labels=cat"], "no class 'cat'"),
        (["--nearest", "--output=set.npz"], "must be a .png"),
        (["--latents=missing.npy"], "missing.npy"),
        (["--output=a.stl"], "this run makes pictures, not volumes"),
        (["--output=a.gif", "--latents=ONE"], "give at least two"),
    ],
)
def test_wrong_use_is_refused(workdir, tmp_path, arguments, expected):
    np.save(tmp_path / "one.npy", np.zeros((1, 100), np.float32))
    arguments = [argument.replace("ONE", str(tmp_path / "one.npy")) for argument in arguments]
    done = programs.call("sample", f"--workdir={workdir}", *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr


def test_pairs_show_left_beside_right():
    left, right = np.full((1, 2, 2, 1), 10, np.uint8), np.full((1, 2, 2, 1), 90, np.uint8)
    picture = figures.pairs(left, right)[..., 0]
    assert picture[2:4, 2:4].tolist() == [[10, 10]] * 2
    assert picture[2:4, 6:8].tolist() == [[90, 90]] * 2
    assert (picture == 255).sum() == picture.size - 8
