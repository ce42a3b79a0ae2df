import numpy as np
import pytest

from data_pipelines import DataError, face_csv, prepare, reading
from tests.data_pipelines.wiki_files import row, write_mat, write_picture


@pytest.fixture
def folder(tmp_path):
    """Twenty faces of ten persons; the colour of each says how old it is."""
    lines = ["name,file,Age"]
    for i in range(20):
        write_picture(tmp_path / "faces" / "in" / f"{i}.png", (70, 90), (10 * i, 255, 0))
        lines.append(f"Person {i % 10},in/{i}.png,{5 * i + 1}")
    (tmp_path / "faces" / "list.csv").write_text("\n".join(lines))
    return tmp_path / "faces"


def command(folder, output, *more):
    return ["faces", "--from", str(folder), "--output", str(output), *more]


def test_from_a_csv_to_batches(folder, tmp_path, capsys):
    with open(folder / "list.csv", "a") as file:
        file.write("\nNobody,in/none.png,30\nNobody,in/1.png,\nNobody,in/1.png,130\n")
    output = tmp_path / "own.npz"
    assert prepare.main(command(folder, output, "--test", "0.3", "--size", "32")) == 0
    unread, train, test, dropped = capsys.readouterr().out.splitlines()
    assert unread == "not read: in/none.png: FileNotFoundError: is no file"
    assert dropped == "dropped: 1 unreadable, 1 no age, 1 age out of range"
    data = reading.load("own", path=str(output))
    assert data.keys() == {"train", "test"}
    for split, line in (("train", train), ("test", test)):
        arrays = data[split]
        assert arrays["image"].shape[1:] == (32, 32, 3)
        np.testing.assert_array_equal(arrays["age"], 5 * np.round(arrays["image"][:, 16, 16, 0] / 10) + 1)
        assert arrays["identity"].dtype == arrays["age"].dtype == np.int64
        persons = len(set(arrays["identity"].tolist()))
        assert line.startswith(f"{output}, {split}: {len(arrays['label'])} faces of {persons} persons; 0-18: ")
    assert len(data["train"]["label"]) + len(data["test"]["label"]) == 20
    assert not set(data["train"]["identity"]) & set(data["test"]["identity"])


def test_from_wiki_crop(tmp_path, capsys):
    write_picture(tmp_path / "a.png")
    write_mat(tmp_path / "wiki.mat", [row("a.png", name=str(i), score=i / 10) for i in range(60)])
    output = tmp_path / "wiki.npz"
    assert prepare.main(command(tmp_path, output, "--min_score", "2")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "dropped: 20 low face score"
    (whole,) = {len(np.unique(reading.load("w", path=str(output))["train"]["image"], axis=0))}
    assert whole == 1


def test_what_cannot_be(folder, tmp_path, capsys):
    def refused(message, *more, start=folder, output=tmp_path / "own.npz"):
        assert prepare.main(command(start, output, *more)) == 2
        said = capsys.readouterr()
        assert said.out == ""
        *_, last = said.err.splitlines()  # a bar may stand before
        assert last.startswith("data_pipelines.prepare: ")
        assert message in last
        assert not (tmp_path / "own.npz").exists()

    refused("own.npy: must end in .npz", output=tmp_path / "own.npy")
    refused("is no folder that can be written to", output=tmp_path / "none" / "own.npz")
    refused("cannot be read as a folder", start=tmp_path / "none")
    refused("has no wiki.mat and 0 CSV files; name one with --csv", start=tmp_path)
    refused("cannot be read as a CSV", "--csv", str(tmp_path / "none.csv"))
    refused("need sides >= 1", "--size", "0")
    refused("train split has no face; 0 can be used, dropped: 20 tiny", "--smallest", "100")
    (folder / "second.csv").write_text("in/0.png,5\n")
    refused("2 CSV files; name one with --csv")


def test_the_csv_may_be_elsewhere(folder, tmp_path):
    (folder / "list.csv").rename(tmp_path / "list.csv")
    output = tmp_path / "own.npz"
    assert prepare.main(command(folder, output, "--csv", str(tmp_path / "list.csv"), "--test", "0.3")) == 0
    with pytest.raises(SystemExit) as caught:
        prepare.main(["faces", "--from", str(folder)])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a.png,5\n\nb.png,x\n", [("a.png", 5.0, "a.png"), ("b.png", None, "b.png")]),
        ("a.png, 5.5 ,Ann\nb.png,7\n", [("a.png", 5.5, "Ann"), ("b.png", 7.0, "b.png")]),
        ("\ufeffage,sex,file\n5,f,a.png\n", [("a.png", 5.0, "a.png")]),
        ('file,age,name\n"a, b.png",5,""\n', [("a, b.png", 5.0, "a, b.png")]),
    ],
)
def test_ways_to_write_a_csv(tmp_path, content, expected):
    (tmp_path / "list.csv").write_text(content, encoding="utf-8")
    assert [row[:3] for row in face_csv.rows(str(tmp_path / "list.csv"))] == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lists no file"),
        (b"file,age\n", "lists no file"),
        (b"a.png,5\nb.png\n", "line 2: need a file and an age, not"),
        (b"a.png,5\n,6\n", "line 2: need a file and an age"),
        (b"\xff\xfe,5", "cannot be read as a CSV of file, age"),
    ],
)
def test_faulty_csvs(tmp_path, content, message):
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(DataError, match=f"list.csv.*{message}"):
        face_csv.rows(str(tmp_path / "list.csv"))
