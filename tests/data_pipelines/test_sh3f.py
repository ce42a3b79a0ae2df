import zipfile

import numpy as np
import pytest

from data_pipelines import DataError, sh3f

CATALOGUE = """\
# comment with = and \\
! another
id=Somebody#catalogue
name#1=Chair
category#1=Living room
tags#1=Seat, Wood
model#1=/folder/chair.obj
width#1=50
depth#1=40.5
height#1=100

name#2 : Caf\\u00e9 chair
category#2=Kit\\
    chen
model#2=chair2.obj
modelRotation#2=1 0 0 0 0 1 0 -1 0
width#2=50
"""


def archive(path, catalogue=CATALOGUE, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        if catalogue is not None:
            file.writestr(sh3f.CATALOGUE, catalogue)
        for name, content in members.items():
            file.writestr(name, content)
    return str(path)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("a=1\nb = 2\nc:3\nd 4\ne\n", {"a": "1", "b": "2", "c": "3", "d": "4", "e": ""}),
        ("  # no=1\n\t!no=2\na#1=x # y\n", {"a#1": "x # y"}),
        ("a=one \\\n   two\\\n#three\n", {"a": "one two#three"}),
        ("a=x\\\\\nb=y\n", {"a": "x\\", "b": "y"}),
        ("a\\=b\\ c=\\u20ac\\t\\q\n", {"a=b c": "€\tq"}),
        ("a = = b\r\nc=d\r", {"a": "= b", "c": "d"}),
        ("\n\na=1\n  \n", {"a": "1"}),
        ("a=1\na=2", {"a": "2"}),
        ("a=x\x85y\fz\nb=1\\", {"a": "x\x85y\fz", "b": "1"}),
    ],
)
def test_properties_are_read_as_java_does(text, table):
    assert sh3f.parse_properties(text) == table


def test_the_pieces_of_a_catalogue(tmp_path):
    with sh3f.open_archive(archive(tmp_path / "a.sh3f")) as opened:
        (chair, cafe), faulty = sh3f.pieces(opened)
    assert not faulty
    assert (chair.model, chair.name, chair.category, chair.tags) == (
        "folder/chair.obj",
        "Chair",
        "Living room",
        "Seat, Wood",
    )
    assert chair.size == (50, 100, 40.5)
    np.testing.assert_array_equal(chair.rotation, np.eye(3))
    assert (cafe.name, cafe.category, cafe.size) == ("Café chair", "Kitchen", None)
    # With z up in the file, (x, y, z) comes to (x, z, -y).
    np.testing.assert_array_equal(cafe.rotation @ [1, 2, 3], [1, 3, -2])


@pytest.mark.parametrize("line", ["modelRotation#1=1 2 3", "width#1=wide", "height#1=nan"])
def test_a_piece_described_wrongly_is_listed(tmp_path, line):
    text = "model#2=b.obj\nmodel#1=a.obj\n" + line
    with sh3f.open_archive(archive(tmp_path / "a.sh3f", text)) as opened:
        pieces, faulty = sh3f.pieces(opened)
    assert [piece.model for piece in pieces] == ["b.obj"]
    assert list(faulty) == [f"{sh3f.CATALOGUE} #1"]


def test_what_is_no_catalogue(tmp_path):
    (tmp_path / "no.sh3f").write_bytes(b"no zip file")
    with pytest.raises(DataError, match="no.sh3f: cannot be read as a zip file"):
        sh3f.open_archive(str(tmp_path / "no.sh3f"))
    opened = sh3f.open_archive(archive(tmp_path / "b.sh3f", None))
    with opened, pytest.raises(DataError, match="b.sh3f: its PluginFurnitureCatalog.properties cannot be read"):
        sh3f.pieces(opened)


def test_sizes_are_bounded(tmp_path, monkeypatch):
    path = archive(tmp_path / "a.sh3f", bomb=bytes(10_000))
    with sh3f.open_archive(path) as opened:
        assert sh3f.read_member(opened, "bomb", 10_000) == bytes(10_000)
        with pytest.raises(ValueError, match="more than 9,999 bytes"):
            sh3f.read_member(opened, "bomb", 9_999)
        monkeypatch.setattr(sh3f, "_MOST_BYTES", 100)
        with pytest.raises(DataError, match="more than 100 bytes"):
            sh3f.pieces(opened)
    monkeypatch.setattr(sh3f, "_MOST_MEMBERS", 1)
    with pytest.raises(DataError, match="more than 1 members"):
        sh3f.open_archive(path)
