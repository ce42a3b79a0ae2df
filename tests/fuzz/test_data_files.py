"""Damaged files of data: each is read, refused in one message, or left out and listed."""

import gzip
import io
import json
import os
import struct
import zipfile

import numpy as np
import pytest
import scipy.io
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_pipelines import (
    DataError,
    certh_blur,
    face_csv,
    face_photos,
    idx,
    meshes,
    pictures,
    reading,
    sh3f,
    shapenet,
    wiki_faces,
)
from experiments import photo_files
from experiments.commands import UsageError
from tests.data_pipelines import idx_files, wiki_files
from tests.fuzz.damage import assert_read_or_refused, damaged, rewritten

REFUSED = (DataError, UsageError)
NOISE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all examples of a test, each of which writes its files again."""
    return tmp_path_factory.mktemp("files")


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# idx.
IDX = idx_files.encode(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@given(damaged(IDX), st.booleans())
def test_idx(folder, content, zipped):
    path = put(folder, "a-idx3-ubyte", gzip.compress(content) if zipped else content)
    found = assert_read_or_refused(lambda: idx.read(path), DataError)
    assert found is None or found.nbytes <= len(content)


@given(damaged(gzip.compress(IDX)))
def test_idx_in_damaged_gzip(folder, content):
    path = put(folder, "a-idx3-ubyte.gz", content)
    assert_read_or_refused(lambda: idx.read(path), DataError)


# .npz.
def npz(save=np.savez):
    file = io.BytesIO()
    arrays = {"image": np.zeros((3, 4, 4, 1), np.uint8), "label": np.arange(3), "age": np.arange(3)}
    save(file, **{f"{split}_{name}": array for split in ("train", "test") for name, array in arrays.items()})
    return file.getvalue()


STORED, PACKED = npz(), npz(np.savez_compressed)
DIRECTORY = [content.index(b"PK\x01\x02") for content in (STORED, PACKED)]


@given(st.one_of(damaged(STORED, [30, DIRECTORY[0]]), damaged(PACKED, [DIRECTORY[1]])))
def test_npz(folder, content):
    path = put(folder, "own.npz", content)
    assert_read_or_refused(lambda: reading.load("own", path=str(path)), DataError)


@given(damaged(np.lib.format.header_data_from_array_1_0(np.zeros(2)).__repr__().encode()), st.booleans())
def test_npz_of_strange_headers(folder, header, right_length):
    """Headers that are whole as far as the zip file knows."""
    length = len(header) if right_length else 2**16 - 1
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", length % 2**16) + header[: 2**16 - 1]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("train_image", "train_label", "test_image", "test_label"):
            archive.writestr(f"{name}.npy", member + bytes(16))
    path = put(folder, "own.npz", file.getvalue())
    assert_read_or_refused(lambda: reading.load("own", path=str(path)), DataError)


# .mat.
def mat(variables, packed):
    file = io.BytesIO()
    scipy.io.savemat(file, variables, do_compression=packed)
    return file.getvalue()


VOLUME = (np.random.default_rng(1).random((30, 30, 30)) < 0.1).astype(np.uint8)
VOLUMES = [mat({"instance": VOLUME}, packed) for packed in (False, True)]


@given(st.one_of(damaged(VOLUMES[0], [116, 128, 180]), damaged(VOLUMES[1], [120])))
def test_shapenet(folder, content):
    path = put(folder, "a.mat", content)
    # Whatever it raises is listed; `ValueError` and scipy's own.
    found = assert_read_or_refused(lambda: shapenet.read(str(path)), Exception)
    assert found is None or set(np.unique(found)) <= {0, 1}


@pytest.fixture(scope="module")
def wiki(tmp_path_factory):
    path = tmp_path_factory.mktemp("wiki") / "wiki.mat"
    found = []
    for packed in (False, True):
        wiki_files.write_mat(path, [wiki_files.row(f"{i}.png", name=f"Anna {i}") for i in range(3)], compressed=packed)
        found.append(path.read_bytes())
    return found


@given(st.data(), st.booleans())
def test_wiki_mat(folder, wiki, data, packed):
    put(folder, "wiki.mat", data.draw(damaged(wiki[packed], [116, 128, 180, 400])))
    assert_read_or_refused(lambda: wiki_faces.rows(str(folder)), DataError)


# Lists.
CSV = "file , age , name \na.png , 31 , Anna \nb.png , 42.5 , \n"


@given(st.one_of(rewritten(CSV), damaged(CSV.encode())))
def test_face_csv(folder, content):
    path = put(folder, "faces.csv", content)
    rows = assert_read_or_refused(lambda: face_csv.rows(str(path)), DataError)
    if rows:
        assert_read_or_refused(lambda: face_photos.collect(str(folder), rows, size=4), DataError)


SHEET = "name ; label \np1 ; -1 \np2 ; 1 \n"


@given(st.one_of(rewritten(SHEET), damaged(SHEET.encode())))
def test_certh_sheet(folder, content):
    root = folder / "certh"
    if not root.exists():
        (root / "TrainingSet" / "Undistorted").mkdir(parents=True)
        (root / "EvaluationSet" / "NaturalBlurSet").mkdir(parents=True)
        for place in ("TrainingSet/Undistorted/a.png", "EvaluationSet/NaturalBlurSet/p1.png"):
            Image.new("RGB", (8, 8)).save(root / place)
    put(root, "EvaluationSet/NaturalBlurSet.csv", content)
    assert_read_or_refused(lambda: certh_blur.find(str(root)), DataError)


# Pictures.
def picture(mode, name, **options):
    image = Image.fromarray(NOISE)
    image = Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


ANIMATED = {"save_all": True, "append_images": [Image.new("RGB", (20, 24))] * 2}
EXIF = Image.Exif()
EXIF[0x0112] = 6
PICTURES = {
    "rgb.jpg": picture("RGB", "JPEG", exif=EXIF),
    "cmyk.jpg": picture("CMYK", "JPEG"),
    "rgba.png": picture("RGBA", "PNG"),
    "sixteen.png": picture("I;16", "PNG"),
    "palette.png": picture("P", "PNG", transparency=0),
    "animated.png": picture("RGB", "PNG", **ANIMATED),
    "rgb.webp": picture("RGB", "WEBP"),
    "animated.webp": picture("RGB", "WEBP", **ANIMATED),
    "deflate.tif": picture("RGB", "TIFF", compression="tiff_deflate"),
    "sixteen.tif": picture("I;16", "TIFF"),
    "lzw.tif": picture("L", "TIFF", compression="tiff_lzw"),
    "animated.gif": picture("P", "GIF", **ANIMATED),
    "rgb.bmp": picture("RGB", "BMP"),
}


@given(st.data(), st.sampled_from(sorted(PICTURES)))
def test_pictures(folder, data, name):
    path = put(folder, "pictures/" + name, data.draw(damaged(PICTURES[name])))
    # Whoever reads pictures lists what these raise.
    measured = assert_read_or_refused(lambda: pictures.size(str(path)), Exception)
    found = assert_read_or_refused(lambda: pictures.read(str(path)), Exception)
    assert found is None or (found.mode == "RGB" and measured == found.size[::-1])
    photo = assert_read_or_refused(lambda: photo_files.read(path), UsageError)
    assert photo is None or photo.pixels.shape == (*measured, 3)


# Meshes.
BOX = trimesh.creation.box((1, 2, 3))
MESHES = {kind: BOX.export(file_type=kind) for kind in ("obj", "stl", "ply", "glb", "off")}
MESHES = {kind: made.encode() if isinstance(made, str) else made for kind, made in MESHES.items()}
MESHES["ascii.ply"] = BOX.export(file_type="ply", encoding="ascii")
MESHES["ascii.stl"] = BOX.export(file_type="stl_ascii").encode()


@given(st.data(), st.sampled_from(sorted(MESHES)))
def test_meshes(folder, data, name):
    for old in (folder / "meshes").glob("*"):
        old.unlink()
    whole = MESHES[name]
    text = name not in ("stl", "glb", "ply")
    content = data.draw(st.one_of(damaged(whole), rewritten(whole.decode())) if text else damaged(whole, [12, 80, 84]))
    put(folder, f"meshes/damaged.{name.rpartition('.')[2]}", content)
    for side in (2, 3):
        put(folder, f"meshes/{side}.obj", trimesh.creation.box((1, 1, side)).export(file_type="obj").encode())
    arrays, tally = assert_read_or_refused(
        lambda: meshes.read([str(folder / "meshes")], 8, cache=str(folder / "cache")), ()
    )
    read = sum(len(arrays[f"{split}_image"]) for split in ("train", "test"))
    assert read + len(tally.unreadable) + len(tally.repeated) == 3
    assert not any("MemoryError" in why for why in tally.unreadable.values())


GLB = MESHES["glb"]
GLB_TREE = json.loads(GLB[20 : 20 + struct.unpack("<I", GLB[12:16])[0]])
NUMBERS = st.one_of(st.sampled_from((-1, 0, 1, 10**9, 10**12, 2**64, None, "a", [], {}, 0.5, float("nan"))))


def places(tree, path=()):
    """Where the leaves of a JSON tree are."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path] if not entries else [place for key, part in entries for place in places(part, (*path, key))]


@given(st.lists(st.tuples(st.sampled_from(places(GLB_TREE)), NUMBERS), min_size=1, max_size=3), st.booleans())
def test_glb_of_strange_numbers(folder, changes, without_view):
    tree = json.loads(json.dumps(GLB_TREE))
    for (*way, last), value in changes:
        place = tree
        for key in way:
            place = place[key]
        place[last] = value
    if without_view:
        tree["accessors"][0].pop("bufferView", None)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    rest = GLB[20 + struct.unpack("<I", GLB[12:16])[0] :]
    parts = struct.pack("<I", len(text)) + b"JSON" + text + rest
    content = GLB[:8] + struct.pack("<I", 12 + len(parts)) + parts
    put(folder, "glb/damaged.glb", content)
    for side in (2, 3):
        put(folder, f"glb/{side}.obj", trimesh.creation.box((1, 1, side)).export(file_type="obj").encode())
    _, tally = assert_read_or_refused(lambda: meshes.read([str(folder / "glb")], 8, cache=str(folder / "cache")), ())
    assert not any("MemoryError" in why for why in tally.unreadable.values())


# Catalogues.
CATALOGUE = "model#1= a.obj \nname#1= A \ncategory#1= chair \nwidth#1= 1 \nheight#1= 2 \ndepth#1= 3 \n"
CATALOGUE += "modelRotation#1= 1 0 0 0 1 0 0 0 1 \nmodel#2= b.obj \nname#2= B \\u00e9 \\\n  b \ncategory#2= chair \n"


def catalogue(properties):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(sh3f.CATALOGUE, properties)
        archive.writestr("a.obj", MESHES["obj"])
        archive.writestr("b.obj", trimesh.creation.box((3, 1, 1)).export(file_type="obj"))
        archive.writestr("../c.obj", MESHES["obj"])
    return file.getvalue()


WHOLE = catalogue(CATALOGUE)
STRANGE = ("nan", "-1", "0", "1e999", "../c.obj", "/etc/passwd", "\\", "\\uD800", "\\uZZZZ", "#", "")


@given(st.one_of(damaged(WHOLE, [WHOLE.index(b"PK\x01\x02")]), rewritten(CATALOGUE, STRANGE).map(catalogue)))
def test_catalogues(folder, content):
    path = put(folder, "catalogue/a.sh3f", content)
    found = assert_read_or_refused(lambda: meshes.read([str(path)], 8, cache=str(folder / "cache")), DataError)
    if found:
        assert not any("MemoryError" in why for why in found[1].unreadable.values())
    assert os.listdir(path.parent) == ["a.sh3f"]
