import sys
from types import SimpleNamespace

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

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


@settings(max_examples=100)
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


@pytest.fixture
def found(monkeypatch):
    """What a detector in the place of animeface finds, by the width of the picture that it is given."""
    found = {}
    monkeypatch.setattr(PIL, "__version__", "11.3.0")
    detector = SimpleNamespace(detect=lambda picture: found.get(picture.width, []))
    monkeypatch.setitem(sys.modules, "animeface", detector)
    return found


def test_the_largest_face_is_taken(found):
    picture = Image.new("RGB", (100, 80))
    assert faces.finder()(picture) is None
    found[100] = [face(10, 10, 8, 8), face(50, 40, 20, 20), face(0, 0, 30, 5)]
    assert faces.finder()(picture) == (45, 35, 75, 65)


def test_faces_found_in_smaller_copies_count_in_full(found):
    picture = Image.new("RGB", (100, 80))
    found[25] = [face(5, 5, 10, 10)]
    assert faces.finder()(picture) == (10, 10, 70, 70)
    found[100] = [face(0, 0, 20, 20)]
    assert faces.finder()(picture) == (10, 10, 70, 70)
    found[50] = [face(5, 0, 25, 25)]
    assert faces.finder()(picture) == (0, 0, 75, 75)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "animeface", None)
    with pytest.raises(DataError, match=r'animeface, which cannot be imported .*pip install "gans\[anime\]"'):
        faces.finder()


@pytest.mark.parametrize("version", ["12.0.0", "13.0.0"])
def test_a_pillow_that_the_package_cannot_read_is_refused(found, monkeypatch, version):
    monkeypatch.setattr(PIL, "__version__", version)
    with pytest.raises(DataError, match=f"of Pillow {version}, only of Pillow 11: pip install .*pillow<12"):
        faces.finder()


def drawn_face():
    picture = Image.new("RGB", (400, 400), "white")
    draw = ImageDraw.Draw(picture)
    hair, skin = "saddlebrown", "bisque"
    draw.ellipse((105, 85, 295, 300), fill=hair)
    draw.polygon([(130, 160), (270, 160), (270, 230), (245, 270), (200, 295), (155, 270), (130, 230)], fill=skin)
    for x in range(133, 270, 22):
        draw.polygon([(x - 20, 120), (x + 20, 120), (x, 185)], fill=hair)
    for x in (166, 234):
        draw.ellipse((x - 19, 189, x + 19, 231), fill="white")
        draw.ellipse((x - 13, 190, x + 13, 230), fill="darkslateblue")
        draw.ellipse((x - 7, 201, x + 7, 222), fill="black")
        draw.arc((x - 22, 186, x + 22, 234), 190, 350, fill="black", width=5)
    draw.arc((188, 253, 212, 268), 20, 160, fill="brown", width=3)
    return picture


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) > 11, reason="animeface reads Pillow up to 11")
def test_the_real_detector():
    pytest.importorskip("animeface")
    find = faces.finder()
    assert find(Image.new("RGB", (200, 150), "white")) is None
    # The large one is found in its smaller copy only.
    for size in (200, 400, 1600):
        left, top, right, bottom = np.array(find(drawn_face().resize((size, size)))) * 400 / size
        assert right - left == bottom - top
        # Around the eyes and the chin, and not the whole picture.
        assert 50 < left < 140
        assert 80 < top < 180
        assert 260 < right < 370
        assert 290 < bottom < 380
