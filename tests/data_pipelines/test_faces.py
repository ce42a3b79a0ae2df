import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_pipelines import DataError, faces


@pytest.mark.parametrize(
    ("face", "margin", "box"),
    [
        ((40, 40, 20, 20), 0.0, (40, 40, 60, 60)),
        ((40, 40, 20, 20), 0.25, (35, 35, 65, 65)),
        # The longer side counts, and the face stays in the middle.
        ((40, 40, 20, 10), 0.25, (35, 30, 65, 60)),
        # Moved, not shrunk, where the margin leaves the picture.
        ((0, 0, 20, 20), 0.25, (0, 0, 30, 30)),
        ((80, 60, 20, 20), 0.25, (70, 50, 100, 80)),
        # Shrunk where the picture is too small for it.
        ((10, 0, 70, 70), 0.25, (5, 0, 85, 80)),
        # What a detector should not say.
        ((-30, -30, 20, 20), 0.0, (0, 0, 20, 20)),
        ((500, 500, 0, 0), 0.25, (99, 79, 100, 80)),
    ],
)
def test_face_square(face, margin, box):
    assert faces.face_square(face, 100, 80, margin) == box


@given(
    st.tuples(*[st.integers(-50, 250)] * 2, *[st.integers(0, 300)] * 2),
    st.integers(1, 200),
    st.integers(1, 200),
)
def test_face_square_is_a_square_inside(face, width, height):
    left, top, right, bottom = faces.face_square(face, width, height)
    assert right - left == bottom - top
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def face(x, y, width, height):
    return SimpleNamespace(face=SimpleNamespace(pos=SimpleNamespace(x=x, y=y, width=width, height=height)))


def test_the_largest_face_is_taken(monkeypatch):
    found = [face(10, 10, 8, 8), face(50, 40, 20, 20), face(0, 0, 30, 5)]
    monkeypatch.setitem(sys.modules, "animeface", SimpleNamespace(detect=lambda picture: found))
    picture = Image.new("RGB", (100, 80))
    assert faces.finder()(picture) == (45, 35, 75, 65)
    found.clear()
    assert faces.finder()(picture) is None


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "animeface", None)
    with pytest.raises(DataError, match=r'animeface, which cannot be imported .*pip install "gans\[anime\]"'):
        faces.finder()


def test_the_real_detector_finds_no_face_on_a_blank_picture():
    pytest.importorskip("animeface")
    assert faces.finder()(Image.new("RGB", (200, 150), "white")) is None
