import numpy as np
import pytest
from PIL import Image

from data_pipelines import pictures, prepare


def write(folder, count, size=(24, 16)):
    for i in range(count):
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (size[0] + i, size[1]), (i, 2 * i, 3 * i)).save(folder / f"{i:02}.png")


def prepared(name, folder, data_dir, capsys):
    """What the command says, and the examples TFDS then reads, {split: [example]}."""
    assert prepare.main([name, "--from", str(folder), "--data_dir", str(data_dir)]) == 0
    # But for TFDS' own lines.
    said = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(("Downloading", "Dataset"))]
    import tensorflow_datasets as tfds

    sets = tfds.load(name, data_dir=data_dir, download=False)
    return said, {split: list(one.as_numpy_iterator()) for split, one in sets.items()}


def test_a_folder_of_photographs(tmp_path, capsys):
    folder = tmp_path / "photographs"
    write(folder, 12)
    (folder / "bad.jpg").write_bytes(b"no picture")
    with open(folder / "03.png", "r+b") as file:
        file.truncate(45)
    with pytest.warns(UserWarning, match="03.png: is left out"):
        said, sets = prepared("photo_folder", folder, tmp_path / "tfds", capsys)
    assert said[0].startswith("not read: bad.jpg: ")
    assert said[1] == "photographs: 11 train, 1 test; left out: 0 too small, 1 not read, 0 not matched"
    assert said[2].startswith("photo_folder is now prepared in ")
    assert said[2].endswith("10 train, 1 test examples")
    examples = sets["train"] + sets["test"]
    assert len(examples) == 11
    for example in examples:
        expected = np.asarray(pictures.read(str(folder / example["name"].decode())))
        np.testing.assert_array_equal(example["image"], expected)
    again, _ = prepared("photo_folder", tmp_path, tmp_path / "tfds", capsys)
    assert len(again) == 1
    assert "was already prepared" in again[0]


def test_pairs(tmp_path, capsys):
    for half in ("blur", "sharp"):
        write(tmp_path / half, 5)
    _, sets = prepared("blur_pairs", tmp_path, tmp_path / "tfds", capsys)
    assert {split: len(examples) for split, examples in sets.items()} == {"train": 4, "test": 1}
    for example in sets["train"]:
        np.testing.assert_array_equal(example["image"], example["source"])


def test_certh(tmp_path, capsys):
    pytest.importorskip("openpyxl")
    from tests.data_pipelines import certh_files

    certh_files.write_folder(tmp_path)
    said, sets = prepared("certh_blur", tmp_path, tmp_path / "tfds", capsys)
    assert "photographs: 7 train, 3 natural, 2 digital" in said[0]
    shades = {0: certh_files.SHARP, 1: certh_files.NATURAL, 2: certh_files.ARTIFICIAL}
    assert {split: len(examples) for split, examples in sets.items()} == {"train": 7, "natural": 3, "digital": 2}
    for example in sets["train"] + sets["natural"] + sets["digital"]:
        assert (example["image"] == shades[example["label"]]).all()


def test_faulty_folders_write_nothing(tmp_path, capsys):
    write(tmp_path / "one", 1)
    for name, folder, message in (
        ("photo_folder", "nowhere", "nowhere: is no folder; give another --from"),
        ("photo_folder", "one", "no photograph for the split test"),
        ("blur_pairs", "one", "no two pictures of one name"),
        ("certh_blur", "one", "no folder TrainingSet/Undistorted"),
    ):
        data_dir = tmp_path / "tfds"
        assert prepare.main([name, "--from", str(tmp_path / folder), "--data_dir", str(data_dir)]) == 2
        assert message in capsys.readouterr().err
        assert not list(data_dir.rglob("1.0.0"))
