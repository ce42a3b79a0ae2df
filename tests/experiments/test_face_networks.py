import itertools
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import face_networks, tfjs_weights, weights
from experiments.commands import UsageError
from gans.frozen import face
from tests.experiments import face_api, programs


@pytest.fixture(scope="module")
def networks():
    return {
        "face_recognition_model": face_api.tensors(face_api.recogniser_shapes()),
        "age_gender_model": face_api.tensors(face_api.age_shapes()),
    }


@pytest.fixture(scope="module")
def folder(networks, tmp_path_factory):
    path = tmp_path_factory.mktemp("face") / "model"
    face_api.write(path, networks)
    return path


@pytest.fixture(scope="module")
def variables(folder):
    return face_networks.convert(folder)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gans" / "face"


def pixels(size):
    return np.random.default_rng(1).uniform(0, 255, (2, size, size, 3)).astype(np.float32)


def assert_close(ours, theirs, tolerance=1e-4):
    assert np.shape(ours) == theirs.shape
    assert np.abs(np.asarray(ours) - theirs).max() <= tolerance * np.abs(theirs).max()


def test_the_recogniser_is_that_of_face_api(networks, variables):
    images = pixels(face.SIZE)
    expected = face_api.descriptors(networks["face_recognition_model"], images)
    ours = jax.jit(face.descriptor)(variables["recogniser"], images / 127.5 - 1)
    assert ours.shape == (2, 128)
    assert_close(ours, expected)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["recogniser"])) == 5_614_592


def test_the_estimator_of_age_is_that_of_face_api(networks, variables):
    images = pixels(face.AGE_SIZE)
    ages, genders = face_api.ages_and_genders(networks["age_gender_model"], images)
    ours = jax.jit(face.age_gender)(variables["age_gender"], images / 127.5 - 1)
    assert_close(ours[0], ages)
    assert_close(ours[1], genders)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["age_gender"])) == 421_731


def test_weights_are_converted_once_and_kept(folder, variables, cache, monkeypatch):
    found, record = face_networks.find(str(folder))
    jax.tree.map(np.testing.assert_array_equal, found, variables)
    assert [str(path) for path in cache.iterdir()] == [record["path"]]
    assert record["sha256"] == weights.file_digest(record["path"])
    monkeypatch.setattr(tfjs_weights, "read", None)  # would fail if it were called
    assert face_networks.find(str(folder))[1] == record
    # What was kept is found again by its record, and by its name.
    again = weights.load_frozen({"face": record})["face"]
    jax.tree.map(np.testing.assert_array_equal, again, variables)
    assert face_networks.find(record["path"])[1] == record


def test_other_weights_are_kept_apart(networks, tmp_path, cache):
    face_api.write(tmp_path / "model", networks)
    _, first = face_networks.find(str(tmp_path / "model"))
    shard = tmp_path / "model" / "age_gender_model.bin"
    shard.write_bytes(shard.read_bytes()[:-4] + bytes(4))
    found, second = face_networks.find(str(tmp_path / "model"))
    assert first["path"] != second["path"]
    assert found["age_gender"]["params"]["fc_gender"]["bias"][1] == 0


def test_arbitrary_weights_for_tests(cache):
    found, record = face_networks.find("random")
    seen = jax.jit(face.descriptor)(found["recogniser"], jax.random.uniform(jax.random.key(0), (3, 64, 64, 3)))
    assert seen.shape == (3, 128)
    # Different faces, different descriptors, of a size that a loss can use.
    assert 0.01 < np.linalg.norm(seen[0] - seen[1]) < 1000
    assert face_networks.find("random")[1] == record


@pytest.mark.parametrize(
    ("stem", "change", "message"),
    [
        (
            "face_recognition_model",
            {"conv64_1/conv2/conv/filters": (3, 3, 64, 32)},
            r"weights of FaceRecogniser: params/conv64_1/conv2/kernel is \(3, 3, 64, 32\), expected \(3, 3, 64, 64\)",
        ),
        ("face_recognition_model", {"fc": None}, "params/fc/kernel is missing"),
        (
            "age_gender_model",
            {"middle_flow/main_block_0/separable_conv1/bias": (64,)},
            r"weights of AgeGenderNet: params/middle_flow_main_block_0/separable_conv1/pointwise/bias is \(64,\)",
        ),
        ("age_gender_model", {"extra/bias": (3,)}, r"params/extra/bias is \(3,\), expected nothing"),
    ],
)
def test_the_tensor_that_does_not_fit_is_named(networks, tmp_path, cache, stem, change, message):
    changed = dict(networks[stem])
    for name, shape in change.items():
        changed.pop(name, None)
        if shape:
            changed[name] = np.zeros(shape, np.float32)
    face_api.write(tmp_path / "model", networks | {stem: changed})
    with pytest.raises(UsageError, match=message):
        face_networks.find(str(tmp_path / "model"))
    assert not cache.exists()


def test_what_is_no_weights_is_refused(folder, tmp_path, cache):
    for source in ("", str(tmp_path / "none"), str(folder / "face_recognition_model.bin")):
        with pytest.raises(UsageError, match="give the folder `model` of the npm package @vladmandic/face-api"):
            face_networks.find(source)
    with pytest.raises(UsageError, match="face_recognition_model-weights_manifest.json cannot be read"):
        face_networks.find(str(tmp_path))
    damaged = tmp_path / "face.npz"
    damaged.write_bytes(b"no archive")
    with pytest.raises(UsageError, match="face.npz holds no face networks"):
        face_networks.find(str(damaged))
    one = {"params": {"fc": {"kernel": np.zeros(2)}}}
    weights.save(damaged, {"recogniser": one, "age_gender": one})
    with pytest.raises(UsageError, match="does not hold the weights of FaceRecogniser"):
        face_networks.find(str(damaged))


def test_the_command(folder, variables, tmp_path):
    finished = programs.call("face_weights", f"--from={folder}", f"--output={tmp_path / 'face.npz'}")
    assert finished.returncode == 0, finished.stderr
    assert f"sha256 {weights.file_digest(tmp_path / 'face.npz')}" in finished.stdout
    jax.tree.map(np.testing.assert_array_equal, face_networks.find(str(tmp_path / "face.npz"))[0], variables)
    refused = programs.call("face_weights", f"--from={folder}", f"--output={tmp_path / 'face.bin'}")
    assert (refused.returncode, refused.stderr) == (2, f"error: --output={tmp_path / 'face.bin'} must end in .npz.\n")


# Squares around the eight clearest faces of face-api's photographs: left, top, side in pixels of 1920 across.
FACES = {
    "sample1.jpg": [(1448, 230, 231), (370, 395, 216)],
    "sample3.jpg": [(1024, 251, 264), (543, 357, 256), (1479, 331, 255)],
    "sample6.jpg": [(251, 525, 260), (1433, 303, 273), (618, 375, 265)],
}


@pytest.mark.skipif("GANS_FACE_WEIGHTS" not in os.environ, reason="GANS_FACE_WEIGHTS names no folder")
def test_one_person_is_nearer_than_two():
    """With the real weights: GANS_FACE_WEIGHTS names the unpacked npm package @vladmandic/face-api, `package`."""
    package = Path(os.environ["GANS_FACE_WEIGHTS"])
    found = face_networks.convert(package / "model")["recogniser"]

    def crop(picture, left, top, side, wider=0, right=0):
        box = (left - wider + right, top - wider, left + side + wider + right, top + side + wider)
        return np.asarray(picture.crop(box).resize((64, 64)), np.float32) / 127.5 - 1

    cut = {"plain": {}, "wider": {"wider": 15}, "shifted": {"right": 15}}
    pictures = {name: Image.open(package / "demo" / name).convert("RGB") for name in FACES}
    places = [(pictures[name], *place) for name, boxes in FACES.items() for place in boxes]
    images = {kind: np.stack([crop(*place, **how) for place in places]) for kind, how in cut.items()}
    images["mirrored"] = images["plain"][:, :, ::-1]
    images["darker"] = 0.7 * (images["plain"] + 1) - 1
    seen = {kind: np.asarray(jax.jit(face.descriptor)(found, batch)) for kind, batch in images.items()}
    for one, other in itertools.combinations(seen.values(), 2):
        distances = np.linalg.norm(one[:, None] - other, axis=-1)
        same, two = np.diag(distances), distances[~np.eye(len(places), dtype=bool)]
        assert same.max() < face.THRESHOLD
        assert same.mean() + 0.2 < two.mean()
        assert (distances.argmin(1) == np.arange(len(places))).all()
