import os
import sys

import numpy as np
import pytest
from PIL import Image

from data_pipelines import pictures, prepare, reading


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures in three classes; those of one class all have its number as their pixels."""
    folder = tmp_path / "pictures"
    for i in range(12):
        (folder / f"class{i % 3}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), (i % 3,) * 3).save(folder / f"class{i % 3}" / f"{i}.png")
    return folder


def command(folder, output, *more, size=16):
    return ["images", "--from", str(folder), "--output", str(output), "--size", str(size), *more]


def test_from_folder_to_batches(folder, tmp_path, capsys):
    output = tmp_path / "own.npz"
    assert prepare.main(command(folder, output, "--test", "0.25")) == 0
    said = capsys.readouterr().out
    assert said == (
        f"{output}: 9 train, 3 test pictures of 16 x 16 x 3, 3 classes; 0 of them enlarged; "
        "left out: 0 not read, 0 without a face\n"
    )
    data = reading.load("own", path=str(output))
    assert data["train"]["image"].shape == (9, 16, 16, 3)
    for arrays in data.values():
        assert (arrays["image"] == arrays["label"][:, None, None, None]).all()
    with np.load(output, allow_pickle=False) as file:
        assert file["classes"].tolist() == ["class0", "class1", "class2"]


def test_the_same_folder_gives_the_same_file(folder, tmp_path):
    contents = []
    for name in ("a.npz", "b.npz"):
        assert prepare.main(command(folder, tmp_path / name)) == 0
        with np.load(tmp_path / name) as file:
            contents.append([(key, file[key].tobytes()) for key in file])
    assert contents[0] == contents[1]


def test_everything_left_out_is_told(folder, tmp_path, capsys):
    (folder / "class1" / "bad.jpg").write_bytes(b"no picture")
    assert prepare.main(command(folder, tmp_path / "own.npz", "--grey", size=24)) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("not read: class1/bad.jpg: UnidentifiedImageError")
    assert "11 train, 1 test pictures of 24 x 24 x 1, 3 classes; 12 of them enlarged; left out: 1 not read" in last


def test_pictures_without_a_face_are_told(folder, tmp_path, monkeypatch, capsys):
    def find(picture):
        return (0, 0, 16, 16) if picture.getpixel((0, 0))[0] else None

    monkeypatch.setattr(pictures.faces, "finder", lambda: find)
    assert prepare.main(command(folder, tmp_path / "own.npz", "--crop", "anime")) == 0
    *listed, last = capsys.readouterr().out.splitlines()
    assert listed == [f"no face: class0/{i}.png" for i in (0, 3, 6, 9)]
    assert last.endswith("4 without a face")


def test_refusals_write_nothing(folder, tmp_path, monkeypatch, capsys):
    def refused(message, *more, start=folder, output=tmp_path / "own.npz", **size):
        before = sorted(tmp_path.rglob("*"))
        assert prepare.main(command(start, output, *more, **size)) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("data_pipelines.prepare: ")
        assert said.err.count("\n") == 1
        assert message in said.err
        assert sorted(tmp_path.rglob("*")) == before

    refused("cannot be read as a folder", start=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    refused("has no pictures", start=tmp_path / "empty")
    refused("own.npy: must end in .npz", output=tmp_path / "own.npy")
    refused("is no folder that can be written to", output=tmp_path / "none" / "own.npz")
    refused("need size >= 1", size=0)
    refused("0 < test < 1", "--test", "1")
    monkeypatch.setitem(sys.modules, "animeface", None)
    refused('pip install "gans[anime]"', "--crop", "anime")


def test_without_a_readable_picture_nothing_is_written(tmp_path, capsys):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"no picture")
    assert prepare.main(command(tmp_path, tmp_path / "own.npz")) == 2
    assert "but 0 could be used, 0 had no face, 3 could not be read; 0.png: " in capsys.readouterr().err
    assert not (tmp_path / "own.npz").exists()


def test_bombs_are_left_out_one_by_one(folder, tmp_path, monkeypatch, capsys):
    Image.new("RGB", (40, 40)).save(folder / "class0" / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert prepare.main(command(folder, tmp_path / "own.npz")) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("not read: class0/bomb.png: DecompressionBombWarning")
    assert "11 train, 1 test" in last


def test_what_is_there_stays(folder, tmp_path, monkeypatch, capsys):
    output = tmp_path / "own.npz"
    output.write_text("precious")
    assert prepare.main(command(folder, output)) == 2
    assert "own.npz: is there already; move it away" in capsys.readouterr().err
    # Even what comes to be while the pictures are read.
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    assert prepare.main(command(folder, output)) == 2
    assert output.read_text() == "precious"


@pytest.mark.parametrize("fault", [OSError("the disk is full"), KeyboardInterrupt()])
def test_a_file_half_written_is_removed(folder, tmp_path, monkeypatch, fault):
    def stop(file, **arrays):
        file.write(b"half")
        raise fault

    monkeypatch.setattr(np, "savez", stop)
    if isinstance(fault, OSError):
        assert prepare.main(command(folder, tmp_path / "own.npz")) == 2
    else:
        with pytest.raises(KeyboardInterrupt):
            prepare.main(command(folder, tmp_path / "own.npz"))
    assert not (tmp_path / "own.npz").exists()


@pytest.mark.parametrize(
    "more",
    [[], ["--from", "x"], ["--from", "x", "--output", "y.npz"], ["--from", "x", "--output", "y.npz", "--size", "big"]],
)
def test_misuse_exits_with_status_2(more, capsys):
    with pytest.raises(SystemExit) as caught:
        prepare.main(["images", *more])
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err
