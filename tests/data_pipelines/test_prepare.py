import numpy as np
import pytest

from data_pipelines import DataError, digits5k, prepare, reading
from data_pipelines._tensorflow import import_tensorflow
from tests.data_pipelines import idx_files


def by_content(arrays):
    return sorted(zip((image.tobytes() for image in arrays["image"]), arrays["label"].tolist(), strict=True))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_tfds_reads_what_was_prepared_from_idx_files(tmp_path, capsys, name):
    folder, data_dir = tmp_path / "files", tmp_path / "tfds"
    folder.mkdir()
    written = idx_files.write_folder(folder, zipped=name == "fashion_mnist")
    command = [name, "--from", str(folder), "--data_dir", str(data_dir)]
    assert prepare.main(command) == 0
    out = capsys.readouterr().out.splitlines()[-1]
    assert "is now prepared in" in out
    assert "30 train, 10 test" in out

    import_tensorflow()
    import tensorflow_datasets as tfds

    sets, info = tfds.load(name, data_dir=data_dir, download=False, with_info=True, batch_size=-1)
    assert info.full_name == f"{name}/3.0.1"
    for split, examples in sets.items():
        assert by_content({key: examples[key].numpy() for key in examples}) == by_content(written[split])
    # Our own reading goes the same way.
    read = reading.load(name, data_dir=str(data_dir))
    np.testing.assert_array_equal(read["train"]["image"], sets["train"]["image"].numpy())
    assert read["train"]["label"].dtype == np.int64

    # A second time changes nothing, whatever the folder holds by now.
    before = {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")}
    assert prepare.main([name, "--from", str(tmp_path), "--data_dir", str(data_dir)]) == 0
    assert "was already prepared in" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")}


def test_digits5k_through_tfds_is_digits5k_read_directly(tmp_path, monkeypatch):
    few = {split: {key: array[::100] for key, array in arrays.items()} for split, arrays in digits5k.read().items()}
    monkeypatch.setattr(digits5k, "read", lambda: few)
    assert prepare.main(["digits5k", "--data_dir", str(tmp_path)]) == 0
    import tensorflow_datasets as tfds

    sets = tfds.load("digits5k:1.0.0", data_dir=tmp_path, download=False, batch_size=-1)
    for split, arrays in few.items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(sets[split][key].numpy(), array)


def test_digits5k_builder_makes_its_own_examples(tmp_path):
    from data_pipelines.builders.digits5k import Digits5k

    splits = Digits5k(data_dir=tmp_path)._split_generators(None)
    key, example = next(iter(splits["test"]))
    np.testing.assert_array_equal(example["image"], digits5k.read()["test"]["image"][key])


def test_faulty_files_write_nothing(tmp_path, capsys):
    data_dir = tmp_path / "tfds"

    def refused(*message):
        assert prepare.main(["mnist", "--from", str(tmp_path), "--data_dir", str(data_dir)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert all(part in said.err for part in message)
        assert not data_dir.exists()

    refused("has no train-images-idx3-ubyte")
    idx_files.write_folder(tmp_path, size=20)
    refused("pictures (20, 20, 1)", "not mnist, which has (28, 28, 1) and 10 classes")
    idx_files.write_folder(tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(idx_files.encode(np.full(10, 11, np.uint8)))
    refused("test: ", "labels up to 11")
    labels.write_bytes(labels.read_bytes()[:-1])
    refused(str(labels), "asks for 18 bytes")


@pytest.mark.parametrize("command", [[], ["minst"], ["mnist"], ["digits5k", "--from", "folder"], ["mnist", "-x"]])
def test_misuse_exits_with_status_2(command, capsys):
    with pytest.raises(SystemExit) as caught:
        prepare.main(command)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_interrupted_preparation_leaves_no_data_set(tmp_path, monkeypatch):
    idx_files.write_folder(tmp_path)

    def stop(image, label):
        yield 0, {"image": image[0], "label": label[0]}
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "_examples", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare("mnist", str(tmp_path), str(tmp_path / "tfds"))
    monkeypatch.undo()
    assert "is now prepared" in prepare.prepare("mnist", str(tmp_path), str(tmp_path / "tfds"))
    assert len(reading.load("mnist", data_dir=str(tmp_path / "tfds"))["train"]["label"]) == 30


def test_damaged_set_is_named(tmp_path):
    idx_files.write_folder(tmp_path)
    prepare.prepare("mnist", str(tmp_path), str(tmp_path / "tfds"))
    record = next(tmp_path.rglob("mnist-test.tfrecord*"))
    record.write_bytes(record.read_bytes()[:-5])
    with pytest.raises(DataError, match=f"{record.parent}: cannot be read .*prepare it again"):
        reading.load("mnist", data_dir=str(tmp_path / "tfds"))
