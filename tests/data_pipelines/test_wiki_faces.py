import zlib

import numpy as np
import pytest

from data_pipelines import DataError, ages, face_photos, prepare, reading, wiki_faces
from data_pipelines._tensorflow import import_tensorflow
from tests.data_pipelines import wiki_files
from tests.data_pipelines.wiki_files import row, write_mat, write_picture

GOOD = 24


def good_rows(count=GOOD):
    """Photographs of a person each, of all ages."""
    return [row(f"{i % 3:02}/{i}_x_2000.png", (1995 - 3 * i, 1, 9), 2000, f"Person {i}") for i in range(count)]


@pytest.fixture
def folder(tmp_path):
    """wiki_crop with good pictures, and with every kind of bad one."""
    folder = tmp_path / "wiki_crop"
    rows = good_rows()
    for i, one in enumerate(rows):
        write_picture(folder / one["full_path"], colour=(200, 120, 10 * i))
    plain = write_picture(folder / "00" / "plain.png").relative_to(folder).as_posix()
    write_picture(folder / "00" / "tiny.png", (30, 200))
    write_picture(folder / "00" / "grey.jpg", mode="L")
    (folder / "00" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    write_picture(tmp_path / "outside.png")
    rows += [
        row(plain, birth=5, name="before the calendar"),
        row(plain, birth=(2000, 3, 1), year=2000, name="not yet one"),
        row(plain, birth=(1999, 7, 2), year=2000, name="not yet one either"),
        row(plain, birth=(1883, 3, 1), year=2000, name="too old"),
        row(plain, birth=(2005, 3, 1), year=2000, name="unborn"),
        row(plain, score=-np.inf, name="no face"),
        row(plain, score=0.9, name="low"),
        row(plain, second=2.0, name="two faces"),
        row("00/broken.jpg", name="broken"),
        row("00/missing.jpg", name="missing"),
        row("../outside.png", name="outside"),
        row("00/tiny.png", name="tiny"),
        row("00/grey.jpg", name="grey"),
    ]
    write_mat(folder / "wiki.mat", rows)
    return folder


def test_every_bad_row_is_dropped_and_counted(folder):
    data, tally = wiki_faces.read(str(folder), test=0.3)
    assert tally.dropped == {
        "no age": 1, "age out of range": 4, "no face": 1, "low face score": 1, "second face": 1, "unreadable": 3,
        "tiny": 1, "grey": 1,
    }  # fmt: skip
    assert {path: why.split(":")[0] for path, why in tally.unreadable.items()} == {
        "00/broken.jpg": "UnidentifiedImageError", "00/missing.jpg": "FileNotFoundError", "../outside.png": "ValueError"
    }  # fmt: skip
    assert sum(len(arrays["label"]) for arrays in data.values()) == GOOD
    for arrays in data.values():
        assert arrays["image"].shape == (len(arrays["label"]), 64, 64, 3)
        np.testing.assert_array_equal(arrays["label"], ages.groups(arrays["age"]))
        # The colour in the middle names the row, and so the age; the noise around is cut off but for a rim.
        number = np.round(arrays["image"][:, 32, 32, 2] / 10)
        np.testing.assert_array_equal(arrays["age"], 5 + 3 * number)
        assert (arrays["image"][:, 12:52, 12:52].std((1, 2)) < 1).all()


def test_ages_at_the_limits_stay(tmp_path):
    rows = [row("a.png", (1884, 1, 1), name="116"), row("a.png", (1999, 6, 30), name="1")]
    write_picture(tmp_path / "a.png")
    rows += [row("a.png", name=str(i)) for i in range(20)]
    write_mat(tmp_path / "wiki.mat", rows)
    data, tally = wiki_faces.read(str(tmp_path))
    assert not tally.dropped
    assert {1, 30, 116} == set(np.concatenate([arrays["age"] for arrays in data.values()]))


def test_nobody_is_in_both_splits_and_names_alone_decide(tmp_path):
    write_picture(tmp_path / "a.png")
    rows = [row("a.png", (1990 - i, 1, 1), name=f"Person {i % 50}") for i in range(150)]
    write_mat(tmp_path / "wiki.mat", rows)
    data, _ = wiki_faces.read(str(tmp_path), size=2, test=0.3)
    persons = {split: set(arrays["identity"].tolist()) for split, arrays in data.items()}
    assert not persons["train"] & persons["test"]
    assert len(persons["train"] | persons["test"]) == 50
    assert 5 < len(persons["test"]) < 25
    # Fewer photographs of the same people change nothing for those that stay.
    write_mat(tmp_path / "wiki.mat", rows[:70])
    fewer, _ = wiki_faces.read(str(tmp_path), size=2, test=0.3)
    for split in data:
        assert set(fewer[split]["identity"].tolist()) == persons[split]


def test_persons_without_a_name_are_known_by_their_file(tmp_path):
    files = ["17/100_1981-05-05_2009.jpg", "17/100_1981-05-05_2011.jpg", "48/7_1999-01-01_2003.jpg"]
    write_mat(tmp_path / "wiki.mat", [row(file, name="") for file in files])
    assert [one.name for one in wiki_faces.rows(str(tmp_path))] == ["100", "100", "7"]


@pytest.mark.parametrize("compressed", [True, False])
def test_the_fields_of_a_row(tmp_path, compressed):
    write_mat(tmp_path / "wiki.mat", [row("01/a.jpg", (1981, 7, 1), 2009, "Zoë Ö")], compressed=compressed)
    assert wiki_faces.rows(str(tmp_path)) == [face_photos.Row("01/a.jpg", 27, "Zoë Ö", "")]


def refused(folder, message):
    with pytest.raises(DataError, match=message) as caught:
        wiki_faces.rows(str(folder))
    assert f"{folder / 'wiki.mat'}: cannot be read as the wiki.mat of wiki_crop" in str(caught.value)


def test_files_that_are_no_wiki_mat(tmp_path, monkeypatch):
    path = tmp_path / "wiki.mat"
    refused(tmp_path, "No such file")
    path.write_bytes(b"")
    refused(tmp_path, "version 5 to 7")
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    refused(tmp_path, "version 5 to 7")
    wiki_files.scipy.io.savemat(path, {"imdb": {"dob": [1]}})
    refused(tmp_path, "it lacks 'wiki'")
    write_mat(path, good_rows(), name=None)
    refused(tmp_path, "name")
    write_mat(path, good_rows(), dob=np.zeros((1, 3)))
    refused(tmp_path, "many lengths: {'dob': 3, 'photo_taken': 24")
    write_mat(path, good_rows())
    path.write_bytes(path.read_bytes()[:-40])
    refused(tmp_path, "cannot be read")
    write_mat(path, good_rows())
    monkeypatch.setattr(wiki_faces, "_LARGEST", 1000)
    refused(tmp_path, "more than 1,000 bytes")


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(wiki_faces, "_LARGEST", 100_000)
    monkeypatch.setattr(wiki_files.scipy.io, "loadmat", None)  # would fail with another message
    bomb = zlib.compress(bytes(10_000_000), 9)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (tmp_path / "wiki.mat").write_bytes(header + (15).to_bytes(4, "little") + len(bomb).to_bytes(4, "little") + bomb)
    refused(tmp_path, "a variable has more than 100,000 bytes")


def test_too_few_faces_are_told_with_the_causes(tmp_path):
    write_mat(tmp_path / "wiki.mat", [row("missing.png"), row("a.png", second=1.0), row("missing.png")])
    with pytest.raises(DataError, match="train split has no face; 0 can be used, dropped: 2 unreadable, 1 second face"):
        wiki_faces.read(str(tmp_path))


@pytest.mark.parametrize(
    "change", [{"size": 0}, {"smallest": 0}, {"keep": 0.0}, {"keep": 1.1}, {"test": 0.0}, {"test": 1.0}]
)
def test_settings_out_of_range(tmp_path, change):
    with pytest.raises(DataError, match="need sides >= 1, 0 < keep <= 1, 0 < test < 1"):
        face_photos.collect(str(tmp_path), [], **change)


@pytest.fixture
def halved(monkeypatch):
    """Half of so few persons are in the test split, so that each split has some."""
    collect = face_photos.collect
    monkeypatch.setattr(face_photos, "collect", lambda *args, **options: collect(*args, **{"test": 0.5} | options))


def test_tfds_reads_what_was_prepared(folder, tmp_path, capsys, halved):
    command = ["wiki_faces", "--from", str(folder), "--data_dir", str(tmp_path / "tfds")]
    assert prepare.main(command) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert "wiki_faces is now prepared in" in said
    assert said.endswith(
        "dropped: 4 age out of range, 3 unreadable, 1 no age, 1 no face, 1 low face score, "
        "1 second face, 1 tiny, 1 grey"
    )
    expected, _ = wiki_faces.read(str(folder))
    found = reading.load("wiki_faces", data_dir=str(tmp_path / "tfds"))
    for split, arrays in expected.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[split][name], array)
    assert prepare.main(command) == 0
    assert "was already prepared" in capsys.readouterr().out


def test_the_builder_makes_its_own_examples(folder, tmp_path, halved):
    import_tensorflow()
    import tensorflow_datasets as tfds

    from data_pipelines.builders.wiki_faces import WikiFaces

    builder = WikiFaces(data_dir=tmp_path / "tfds")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder))
    expected, _ = wiki_faces.read(str(folder))
    sets = tfds.load("wiki_faces", data_dir=tmp_path / "tfds", download=False, batch_size=-1)
    for split, arrays in expected.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(sets[split][name], array)
    assert builder.info.features["label"].int2str(5) == "60+"


def test_unprepared_it_says_what_helps(tmp_path):
    with pytest.raises(DataError, match="prepare wiki_faces --from FOLDER"):
        reading.load("wiki_faces", data_dir=str(tmp_path))


def test_a_faulty_folder_prepares_nothing(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    command = ["wiki_faces", "--from", str(tmp_path / "empty"), "--data_dir", str(tmp_path / "tfds")]
    assert prepare.main(command) == 2
    assert "wiki.mat: cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "tfds").exists()
