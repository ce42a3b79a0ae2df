import numpy as np
import pytest

from data_pipelines import DataError, ages, reading, synthetic_faces

# One small picture of each of four faces, in cells of 16x16 pixels: green, rows from above.
GOLDEN = [
    [81.7, 23.4, 28.1, 79.4, 78.8, 138.7, 128.3, 75.9, 108.7, 137.4, 112.4, 100.2, 117.1, 105.4, 93.8, 111.7],
    [90.5, 38.2, 37.8, 95.3, 75.7, 74.3, 81.9, 79.8, 85.6, 66.4, 81.6, 81.9, 103.5, 62.9, 68.2, 102.3],
    [223.7, 120.5, 113.5, 218.7, 170.1, 91.8, 73.4, 152.8, 166.9, 84.1, 66.8, 142.9, 174.5, 59.3, 56.2, 147.8],
    [113.4, 134.0, 139.1, 114.0, 115.8, 105.6, 117.2, 126.4, 112.2, 84.9, 107.8, 123.8, 117.6, 77.5, 89.5, 116.9],
]  # fmt: skip


def thumbnails(images):
    return images.reshape(-1, 4, 16, 4, 16, 3).mean((2, 4))


def faces(identity, age, picture, seed=0):
    count = max(np.size(x) for x in (identity, age, picture))
    return synthetic_faces.render(seed, *(np.broadcast_to(x, count) for x in (identity, age, picture)))


def test_a_picture_depends_on_its_own_numbers_alone():
    identity, age, picture = np.array([5, 9, 5]), np.array([30, 3, 70]), np.array([1, 2, 3])
    whole = faces(identity, age, picture)
    assert (whole.shape, whole.dtype) == ((3, 64, 64, 3), np.uint8)
    for i in range(3):
        np.testing.assert_array_equal(faces(identity[i], age[i], picture[i]), whole[i : i + 1])
    changes = [faces(6, 30, 1), faces(5, 31, 1), faces(5, 30, 2), faces(5, 30, 1, seed=1)]
    for changed in changes:
        assert (changed != whole[:1]).mean() > 0.1


def test_pictures_stay_as_they_are():
    found = thumbnails(faces([0, 1, 2, 3], [5, 25, 45, 75], [0, 1, 2, 3]))
    # If you did not intend this: runs on other drawings compare with none before; raise synthetic_faces._VERSION.
    np.testing.assert_allclose(found[..., 1].reshape(4, 16), GOLDEN, atol=0.5)


def test_nuisances_change_less_than_persons():
    same = faces(np.arange(40), 30, np.arange(40)), faces(np.arange(40), 30, np.arange(100, 140))
    face = [thumbnails(images.astype(float))[:, 1:3, 1:3] for images in same]
    between = np.linalg.norm((face[0][:, None] - face[1][None]).reshape(40, 40, -1), axis=-1)
    assert np.median(np.diag(between)) < 0.7 * np.median(between)


def test_hair_turns_grey_and_skin_wrinkles():
    young, old = faces(np.arange(60), 25, np.arange(60)), faces(np.arange(60), 75, np.arange(60))
    # The hair on the top of the head.
    hair = [np.ptp(images[:, 4:10, 24:40].astype(int), axis=-1).mean() for images in (young, old)]
    assert hair[1] < 0.6 * hair[0]
    # Lines across the forehead, and under an eye.
    for rows, columns in ((slice(16, 24), slice(28, 36)), (slice(34, 40), slice(14, 24))):
        parts = [images[:, rows, columns].astype(float).mean(-1) for images in (young, old)]
        detail = [np.median(np.abs(np.diff(part, 2, axis=1)).mean((1, 2))) for part in parts]
        assert detail[1] > 1.4 * detail[0]


def test_children_have_their_eyes_lower():
    def darkest_row(images):
        # Of the columns where eyes are.
        eyes = images[:, 20:44, 18:46].astype(float).mean(-1)
        return 20 + eyes.min(2).argmin(1).mean()

    child, adult = (faces(np.arange(60), age, np.arange(60)) for age in (4, 25))
    assert darkest_row(child) > darkest_row(adult) + 2


def test_every_group_has_its_share_and_its_ages():
    data = synthetic_faces.examples(0, 10, 30)
    assert data["image"].shape == (180, 64, 64, 3)
    assert {name: array.dtype for name, array in data.items() if name != "image"} == dict.fromkeys(
        ("label", "age", "identity"), np.int64
    )
    assert np.bincount(data["label"]).tolist() == [30] * 6
    np.testing.assert_array_equal(data["label"], ages.groups(data["age"]))
    np.testing.assert_array_equal(np.unique(data["identity"], return_counts=True), [range(10, 40), [6] * 30])
    assert data["age"].min() >= 1
    assert data["age"].max() <= 85
    # A longer set begins as a shorter one.
    for name, array in synthetic_faces.examples(0, 10, 2).items():
        np.testing.assert_array_equal(array, data[name][:12])


@pytest.fixture
def few(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(synthetic_faces, "SETS", {"synthetic_faces": {"train": 4, "test": 2}})
    return tmp_path / "gans" / "data"


def test_loaded_by_name_and_kept(few, monkeypatch):
    first = reading.load("synthetic_faces")
    assert first["train"]["image"].shape == (24, 64, 64, 3)
    assert not set(first["train"]["identity"]) & set(first["test"]["identity"])
    assert [path.name for path in few.iterdir()] == ["synthetic_faces-1.npz"]
    monkeypatch.setattr(synthetic_faces, "render", None)  # would fail if it were called
    again = reading.load("synthetic_faces")
    for split, arrays in first.items():
        assert arrays.keys() == again[split].keys() == {"image", "label", "age", "identity"}
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, again[split][name])


def test_an_interrupted_drawing_leaves_nothing(few, monkeypatch):
    def stop(*numbers):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(synthetic_faces, "render", stop)
        with pytest.raises(KeyboardInterrupt):
            reading.load("synthetic_faces")
    assert not list(few.iterdir())
    assert len(reading.load("synthetic_faces")["test"]["label"]) == 12


def test_faults_of_the_cache(few, monkeypatch, tmp_path):
    reading.load("synthetic_faces")
    (kept,) = few.iterdir()
    kept.write_bytes(kept.read_bytes()[:-100])
    with pytest.raises(DataError, match="synthetic_faces-1.npz: cannot be read .*; delete it"):
        reading.load("synthetic_faces")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(synthetic_faces, "render", None)  # it is known before the work
    with pytest.raises(DataError, match="cannot be kept .*let XDG_CACHE_HOME name a writable folder"):
        reading.load("synthetic_faces")
