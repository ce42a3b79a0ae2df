import gzip
import struct

import numpy as np
import pytest

from data_pipelines import DataError, idx
from tests.data_pipelines import idx_files

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
CONTENT = idx_files.encode(IMAGES)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_plain_and_gzipped(tmp_path, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(CONTENT))
    np.testing.assert_array_equal(idx.read(path), IMAGES)


def test_reads_wider_types_in_native_order(tmp_path):
    values = np.array([1, -2, 70000], ">i4")
    (tmp_path / "file").write_bytes(struct.pack(">BBBBI", 0, 0, 0x0C, 1, 3) + values.tobytes())
    array = idx.read(tmp_path / "file")
    assert array.dtype == np.int32
    assert array.tolist() == values.tolist()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no idx file"),
        (b"\0\0\x08", "no idx file"),
        (b"PK\x08\x03" + CONTENT[4:], "no idx file: it begins with 50 4b 08 03"),
        (b"\0\0\x07\x03" + CONTENT[4:], "no idx file"),
        (b"\0\0\x08\0" + CONTENT[4:], "no idx file"),
        (struct.pack(">BBBB255I", 0, 0, 8, 255, *[1] * 255) + b"1", "no idx file"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 0, *[2**32 - 1] * 2), "is empty"),
        (CONTENT[:9], "truncated within its header"),
        (CONTENT[:-1], "asks for 40 bytes, but it has .*39"),
        (CONTENT + b"\0", "asks for 40 bytes, but it has 41"),
        # A petabyte must be refused before memory is taken for it.
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 2**20, 2**15, 2**15) + b"\0" * 99, "but it has at most"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "but it has at most"),
    ],
)
def test_refuses_faulty_content(tmp_path, content, message, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(content))
    with pytest.raises(DataError, match=f"{path}: .*{message}"):
        idx.read(path)


@pytest.mark.parametrize("damage", [lambda x: x[:-9], lambda x: x[:-8] + b"12345678", lambda x: x[:12]])
def test_refuses_damaged_gzip(tmp_path, damage):
    path = tmp_path / "file.gz"
    path.write_bytes(damage(gzip.compress(CONTENT)))
    with pytest.raises(DataError, match="damaged gzip file"):
        idx.read(path)


def test_refuses_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        idx.read(tmp_path / "file")
    with pytest.raises(DataError, match="cannot be read"):
        idx.read(tmp_path)


@pytest.mark.parametrize("dash", ["-", "."])
@pytest.mark.parametrize("zipped", [False, True])
def test_reads_folder_in_every_spelling(tmp_path, dash, zipped):
    written = idx_files.write_folder(tmp_path, dash=dash, zipped=zipped)
    read = idx.read_folder(tmp_path)
    for split in ("train", "test"):
        for key, dtype in (("image", np.uint8), ("label", np.int64)):
            np.testing.assert_array_equal(read[split][key], written[split][key])
            assert read[split][key].dtype == dtype


def test_folder_faults(tmp_path):
    with pytest.raises(DataError, match="has no train-images-idx3-ubyte, nor .*ubyte.gz"):
        idx.read_folder(tmp_path)
    idx_files.write_folder(tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(idx_files.encode(np.zeros(9, np.uint8)))
    with pytest.raises(DataError, match="has 10 images, but .* has 9 labels"):
        idx.read_folder(tmp_path)
    labels.write_bytes(idx_files.encode(np.zeros((10, 1), np.uint8)))
    with pytest.raises(DataError, match=r"holds uint8 \[10, 1\], not uint8 of 1 dimensions"):
        idx.read_folder(tmp_path)
