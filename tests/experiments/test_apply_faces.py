"""The command that ages faces, as a user calls it."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import apply_faces, figures, runs
from experiments.configs import age_cgan
from gans.age_cgan import inversion
from tests.experiments import programs, untrained
from tests.experiments.test_commands import assert_refused

FACE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def ageing(tmp_path_factory):
    """A run with arbitrary weights."""
    folder = tmp_path_factory.mktemp("runs") / "faces"
    untrained.write(folder, age_cgan.get_config("tiny"))
    return folder


def apply(workdir, source, target, *arguments):
    return programs.call("apply", f"--workdir={workdir}", f"--input={source}", f"--output={target}", *arguments)


def expected(workdir, group):
    gan, state = runs.load(workdir)
    inputs = {"image": FACE[None] / np.float32(127.5) - 1, "label": jnp.asarray([group])}
    return figures.to_uint8(gan.sample(state, inputs, None)["generated"][0])


def assert_near(picture, other):
    assert np.abs(np.asarray(picture).astype(int) - other).max() <= 1


def test_a_face_in_all_age_groups(ageing, tmp_path):
    Image.fromarray(FACE).save(tmp_path / "face.png")
    done = apply(ageing, tmp_path / "face.png", tmp_path / "all.png", "--age=all")
    assert done.returncode == 0, done.stderr
    assert "1 aged" in done.stdout
    strip = np.asarray(Image.open(tmp_path / "all.png"))
    assert strip.shape == (64, 7 * 64 + 4, 3)
    assert_near(strip[:, :64], FACE)
    for group in range(6):
        left = 68 + 64 * group
        assert_near(strip[:, left : left + 64], expected(ageing, group))


def test_a_folder_whose_pictures_are_cut_to_squares(ageing, tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    wide = np.zeros((64, 90, 3), np.uint8)
    wide[:, 13:77] = FACE
    Image.fromarray(wide).save(folder / "wide.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    done = apply(ageing, folder, tmp_path / "aged", "--age=0-18")
    assert done.returncode == 1
    assert "not aged: " in done.stderr and "broken.jpg" in done.stderr
    assert [path.name for path in (tmp_path / "aged").iterdir()] == ["wide.png"]
    assert_near(Image.open(tmp_path / "aged" / "wide.png"), expected(ageing, 0))


def test_what_is_refused(ageing, tmp_path):
    Image.fromarray(FACE).save(tmp_path / "face.png")
    target = tmp_path / "out.png"
    for arguments, words in (
        ([], ["--age is missing", "0-18", "60+", "all"]),
        (["--age=61"], ["'61'", "60+"]),
        (["--age=all", "--compare"], ["--compare is not for a run like"]),
    ):
        assert_refused(apply(ageing, tmp_path / "face.png", target, *arguments), *words)
    assert not target.exists()


def test_a_latent_is_optimised_towards_the_face(ageing):
    config, _ = runs.read_workdir(ageing)
    gan, state = runs.load(ageing)
    face = FACE / np.float32(127.5) - 1
    first, found = (apply_faces.network(config, gan, state, range(6), optimize)(face) for optimize in (False, True))
    errors = [np.square(faces - face).mean((1, 2, 3)).min() for faces in (first, found)]
    assert errors[1] < 0.999 * errors[0]


def test_optimised_latents_draw_the_face():
    # A generator that a latent can make draw anything: here the latents are found exactly.
    def generate(latents):
        return jnp.tanh(latents).reshape(-1, 2, 2, 1)

    faces = np.random.default_rng(1).uniform(-0.9, 0.9, (3, 2, 2, 1)).astype(np.float32)
    found = inversion.optimised_latents(generate, None, faces, jnp.zeros((3, 4)))
    np.testing.assert_allclose(generate(found), faces, atol=1e-3)
    # One who is drawn already stays as he is, whatever the others need.
    known = np.arctanh(faces.reshape(3, 4)) * np.array([[1], [0], [0]])
    found = inversion.optimised_latents(generate, None, faces, jnp.asarray(known, jnp.float32))
    np.testing.assert_allclose(found[0], known[0], atol=1e-3)
