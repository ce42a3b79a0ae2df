"""What is left of outputs when the writing process is killed, or the disk takes no more."""

import os
import resource
import signal
import sys

import numpy as np
import pytest
from PIL import Image

from data_pipelines import npz_files, prepare
from experiments import commands, runs
from tests.experiments import programs

BEFORE = b"the one before"


def killed_while_writing(path, write):
    """Kills this process in the middle of its writing."""

    def half(file, *_, **__):
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    np.savez = half
    write(path)


def as_a_set(path):
    npz_files._write(str(path), {"image": np.zeros(3)})


def as_a_file(path):
    with commands.whole_file(path) as file:
        np.savez(file)


def as_a_folder(path):
    with commands.whole_folder(path) as folder, open(folder / "0.png", "wb") as file:
        np.savez(file)


@pytest.mark.parametrize("write", [as_a_set, as_a_file, as_a_folder])
def test_a_kill_leaves_nothing_under_the_final_name(tmp_path, write):
    process = programs.SERVER.Process(target=killed_while_writing, args=(tmp_path / "out.npz", write))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("out.npz.")
    assert left.suffix == ".part"


def test_a_kill_leaves_an_old_file_as_it_was(tmp_path):
    (tmp_path / "out.npz").write_bytes(BEFORE)
    process = programs.SERVER.Process(target=killed_while_writing, args=(tmp_path / "out.npz", as_a_file))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / "out.npz").read_bytes() == BEFORE


def test_a_folder_that_is_there_keeps_what_is_in_it(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_bytes(BEFORE)
    with pytest.raises(OSError, match="full"), commands.whole_folder(tmp_path / "out") as folder:
        (folder / "0.png").write_bytes(b"half")
        raise OSError("full")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "thesis.tex"]
    with commands.whole_folder(tmp_path / "out") as folder:
        (folder / "0.png").write_bytes(b"whole")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["0.png", "out", "thesis.tex"]


def prepared_on_a_small_disk(folder, errors):
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), sys.stderr.fileno())
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    target = str(folder / "out.npz")
    sys.exit(prepare.main(["images", f"--from={folder / 'in'}", f"--output={target}", "--size=128"]))


def test_a_full_disk_leaves_nothing_and_is_told_in_one_message(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "in" / f"{number}.png")
    process = programs.SERVER.Process(target=prepared_on_a_small_disk, args=(tmp_path, tmp_path / "errors"))
    process.start()
    process.join(60)
    assert process.exitcode == 2
    said = (tmp_path / "errors").read_text().splitlines()
    assert "File too large" in said[-1]
    assert not any("Traceback" in line for line in said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["errors", "in"]


def test_a_workdir_whose_first_file_was_cut_by_a_kill_is_still_free(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json.123.part").write_text('{"conf')
    runs.claim_workdir(tmp_path / "run", runs.ConfigDict({"seed": 0}))
