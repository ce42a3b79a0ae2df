import hashlib

import numpy as np
import pytest

from data_pipelines import DataError, digits5k, reading
from data_pipelines.stacked import KEYS, SETS, Sizes, stack
from tests.data_pipelines import idx_files

# Picture i is all i, and its label is i modulo ten: a channel tells which digit it came from.
IMAGES = np.broadcast_to(np.arange(50, dtype=np.uint8)[:, None, None, None], (50, 4, 5, 1))
LABELS = np.arange(50) % 10


def test_channels_are_digits_and_the_label_spells_them():
    stacked = stack(IMAGES, LABELS, 3000, 7)
    image, label = stacked["image"], stacked["label"]
    assert (image.shape, image.dtype, label.dtype) == ((3000, 4, 5, 3), np.uint8, np.int64)
    assert (image == image[:, :1, :1]).all()
    digits = image[:, 0, 0].astype(int) % 10
    assert label.tolist() == [int(f"{red}{green}{blue}") for red, green, blue in digits]


def test_digits_are_drawn_evenly_and_independently():
    image = stack(IMAGES, LABELS, 50_000, 7)["image"][:, 0, 0].astype(int)
    for channel in range(3):
        # 1,000 expected of each; the deviation is 31.
        counts = np.bincount(image[:, channel], minlength=50)
        assert 850 < counts.min() <= counts.max() < 1150
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(image[:, one], image[:, other])[0, 1]) < 0.03
    assert len(np.unique(image % 10 @ [100, 10, 1])) == 1000


def test_a_shorter_set_begins_a_longer_one_and_keys_differ():
    long, short, other = (stack(IMAGES, LABELS, count, key) for count, key in ((200, 7), (20, 7), (200, 8)))
    np.testing.assert_array_equal(long["image"][:20], short["image"])
    assert (long["label"] != other["label"]).mean() > 0.9


def test_golden_labels():
    # If you did not intend this: scores on stacked sets compare with none that were taken before.
    assert stack(IMAGES, LABELS, 5, KEYS["train"])["label"].tolist() == [111, 260, 477, 628, 115]
    assert stack(IMAGES, LABELS, 5, KEYS["test"])["label"].tolist() == [385, 833, 345, 816, 653]


def test_other_than_digits_is_refused():
    with pytest.raises(DataError, match="one channel with labels 0..9, not of 3 with labels 0..9"):
        stack(np.repeat(IMAGES, 3, -1), LABELS, 5, 0)
    for labels, found in ((LABELS + 1, "1..10"), (LABELS - 1, "-1..8")):
        with pytest.raises(DataError, match=f"not of 1 with labels {found}: give digits"):
            stack(IMAGES, labels, 5, 0)


def test_stacked_digits5k_stacks_each_split_of_its_own_digits():
    data, digits = reading.load("stacked_digits5k"), digits5k.read()
    content = hashlib.sha256()
    for split, count in (("train", 20_000), ("test", 2_000)):
        image, label = data[split]["image"], data[split]["label"]
        assert (image.shape, image.dtype) == ((count, 28, 28, 3), np.uint8)
        assert (label.shape, label.dtype) == ((count,), np.int64)
        known = {x.tobytes(): y for x, y in zip(digits[split]["image"], digits[split]["label"], strict=True)}
        for one, expected in zip(image[:300], label, strict=False):
            red, green, blue = (known[one[..., c].tobytes()] for c in range(3))
            assert 100 * red + 10 * green + blue == expected
        content.update(label.tobytes())
    assert len(np.unique(data["train"]["label"])) == 1000
    assert content.hexdigest().startswith("e46a733fe5deb45d")


@pytest.mark.parametrize("name", list(SETS))
def test_digits_of_ones_own(tmp_path, monkeypatch, name):
    monkeypatch.setitem(SETS, name, Sizes(SETS[name].base, 40, 15))
    written = idx_files.write_folder(tmp_path)
    data = reading.load(name, path=str(tmp_path))
    for split, count in (("train", 40), ("test", 15)):
        expected = stack(*written[split].values(), count, KEYS[split])
        for key in ("image", "label"):
            np.testing.assert_array_equal(data[split][key], expected[key])


def test_stacked_mnist_is_of_mnist_and_as_large_as_in_pacgan():
    assert SETS["stacked_mnist"] == ("mnist", 128_000, 26_000)


def test_faulty_digits_of_ones_own_are_named(tmp_path):
    path = tmp_path / "letters.npz"
    image, label = np.zeros((12, 4, 4, 1), np.uint8), np.arange(12)
    np.savez(path, train_image=image, train_label=label, test_image=image, test_label=label)
    with pytest.raises(DataError, match="letters.npz: stacking takes .* not of 1 with labels 0..11"):
        reading.load("stacked_mnist", path=str(path))


def test_without_mnist_its_own_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "unreachable", lambda url: "the network is far away")
    with pytest.raises(DataError, match="^mnist is not prepared .*data_pipelines.prepare mnist --from FOLDER"):
        reading.load("stacked_mnist", data_dir=str(tmp_path))


def test_a_slip_in_the_name_suggests_it():
    with pytest.raises(DataError, match="close names: .*stacked_mnist"):
        reading.load("stacked_mnits")
