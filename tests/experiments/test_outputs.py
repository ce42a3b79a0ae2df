"""Files that commands write: where they may stand, and that they are whole."""

import pytest

from experiments.commands import UsageError, check_output, default_workdir, whole_file


def test_a_run_without_a_workdir_has_one_named_by_its_config():
    assert str(default_workdir("experiments/configs/dcgan.py:mnist,hinge")) == "runs/dcgan-mnist-hinge"
    assert str(default_workdir("my/own.py")) == "runs/own"


def test_where_no_file_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a folder"):
        check_output(tmp_path)
    with pytest.raises(UsageError, match="file is no folder"):
        check_output(tmp_path / "file" / "new" / "output.bin")
    check_output(tmp_path / "new" / "output.bin")
    check_output(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_is_there_whole_or_as_it_was(tmp_path):
    path = tmp_path / "new" / "output.bin"
    with whole_file(path) as file:
        file.write(b"first")
        file.flush()
        assert not path.exists()
    with pytest.raises(OSError, match="full"), whole_file(path) as file:
        file.write(b"half")
        raise OSError("full")
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]
