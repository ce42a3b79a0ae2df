import numpy as np
import pytest
from PIL import Image

from data_pipelines import DataError, blur_pairs, photos
from data_pipelines.batching import train_batches


def write(folder, *paths, size=(32, 32)):
    """Each picture's shade is twice its number, one more if it is sharp."""
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        shade = 2 * int(file.stem.split("_")[0]) + (file.parent.name in ("sharp", "target"))
        Image.new("RGB", size, (shade,) * 3).save(file)


def both(names, blurred, sharp):
    return [f"{folder}/{name}" for folder in (blurred, sharp) for name in names]


@pytest.mark.parametrize(
    ("blurred", "sharp"),
    [("blurred", "sharp"), ("blur", "sharp"), ("input", "target"), ("Blur", "Sharp"), ("a/b/input", "a/b/target")],
)
def test_pairs_are_matched_by_name(tmp_path, blurred, sharp):
    write(tmp_path, *both(["1.png", "2.png", "3.png"], blurred, sharp))
    scenes, unmatched = blur_pairs.find(str(tmp_path))
    assert unmatched == {}
    assert [scene.files for scene in scenes] == [
        tuple(str(tmp_path / folder / f"{i}.png") for folder in (sharp, blurred)) for i in (1, 2, 3)
    ]
    # In one place each pair may go where it likes.
    assert len({scene.group for scene in scenes}) == 3


def test_batches_hold_both_halves_of_a_pair(tmp_path):
    write(tmp_path, *both([f"{i}.png" for i in range(10)], "blur", "sharp"))
    data, tally = photos.load("blur_pairs", str(tmp_path), cell=16, test=0.2)
    assert tally.splits == {"train": 8, "test": 2}
    for split, overlap in (("train", 9), ("test", 4)):
        arrays = data[split]
        assert arrays["image"].shape == arrays["source"].shape == (overlap * tally.splits[split], 16, 16, 3)
        np.testing.assert_array_equal(arrays["image"][:], arrays["source"][:] + 1)
    batch = next(train_batches(data["train"], [], 8, 0, loader="memory"))
    np.testing.assert_array_equal(batch["image"], batch["source"] + 1)


def test_names_may_have_other_endings_and_lie_deeper(tmp_path):
    write(tmp_path, "blurred/street/1.jpg", "sharp/street/1.png", "blurred/2.PNG", "sharp/2.webp", "sharp/street/2.png")
    scenes, unmatched = blur_pairs.find(str(tmp_path))
    assert [scene.name for scene in scenes] == ["sharp/2.webp", "sharp/street/1.png"]
    assert unmatched == {"sharp/street/2.png": "no picture beside has its name"}


def test_everything_unmatched_is_told(tmp_path):
    write(tmp_path, *both(["1.png", "2.png", "3.png"], "blur", "sharp"))
    write(tmp_path, "blur/5.png", "sharp/6.png", "blur/7.png", "blur/7.bmp", "sharp/7.png", "other/8.png", "9.png")
    write(tmp_path, "blur/4.png", size=(32, 40))
    write(tmp_path, "sharp/4.png")
    (tmp_path / "blur" / "3.png").write_bytes(b"no picture")
    _, tally = photos.load("blur_pairs", str(tmp_path), cell=16)
    assert tally.unmatched == {
        "blur/5.png": "no picture beside has its name",
        "sharp/6.png": "no picture beside has its name",
        "blur/7.bmp": "several pictures have its name",
        "blur/7.png": "several pictures have its name",
        "sharp/7.png": "several pictures have its name",
        "sharp/4.png": "sizes differ: 32 x 32, 40 x 32",
    }
    assert list(tally.unreadable) == ["sharp/3.png"]
    assert tally.lines()[-1] == "photographs: 1 train, 1 test; left out: 0 too small, 1 not read, 6 not matched"


def gopro(folder, *splits):
    frames = ["1.png", "2.png", "3.png"]
    for split in splits:
        for sequence in ("GOPR0372_07_00", "GOPR0374_11_01", "GOPR0384_11_00"):
            where = "/".join(filter(None, (split, sequence)))
            write(folder, *both(frames, f"{where}/blur", f"{where}/sharp"), *both(frames, f"{where}/blur_gamma", "x"))


def test_gopro_has_its_own_split(tmp_path):
    gopro(tmp_path, "train", "test")
    scenes, tally = photos.scenes("blur_pairs", str(tmp_path))
    assert tally.lines() == ["photographs: 9 train, 9 test; left out: 0 too small, 0 not read, 0 not matched"]
    assert all(scene.name.startswith(f"{scene.split}/GOPR03") for scene in scenes)
    assert all("/blur/" in scene.files[1] for scene in scenes)
    with pytest.raises(DataError, match="has a test split of its own; leave config.data.held_out empty"):
        photos.scenes("blur_pairs", str(tmp_path), held_out=["train/GOPR0372_07_00"])


@pytest.mark.parametrize("split", ["", "train"])
def test_sequences_are_not_split(tmp_path, split):
    gopro(tmp_path, split)
    scenes, tally = photos.scenes("blur_pairs", str(tmp_path))
    assert tally.splits == {"train": 6, "test": 3}
    sequences = {part: {scene.group for scene in scenes if scene.split == part} for part in ("train", "test")}
    assert len(sequences["test"]) == 1
    assert not sequences["train"] & sequences["test"]
    named, _ = photos.scenes("blur_pairs", str(tmp_path), held_out=["*GOPR0384_11_00"])
    assert {scene.group.split("/")[-1] for scene in named if scene.split == "test"} == {"GOPR0384_11_00"}


def test_without_a_pair_the_folder_is_refused(tmp_path):
    write(tmp_path, "blur/1.png", "sharp/2.png", "3.png")
    with pytest.raises(DataError, match="no two pictures of one name in a folder blurred or blur or input and"):
        blur_pairs.find(str(tmp_path))
