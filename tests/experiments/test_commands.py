"""Mistakes of a user: one clear message, exit status 2, nothing written."""

import errno
import json
import os
import re
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from experiments import commands, runs
from tests.experiments import programs

TINY = f"--config={programs.CONFIG}:tiny"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A finished tiny run."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    finished = programs.call("run", TINY, f"--workdir={folder}")
    assert finished.returncode == 0, finished.stderr
    assert "wrong of 21,000 a day" in finished.stdout
    return folder


def assert_refused(finished, *words):
    assert finished.returncode == 2, finished.stderr
    assert "Traceback" not in finished.stderr
    message = finished.stderr.strip().split("error: ", 1)[1]
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([f"--config={programs.CONFIG}:tinny"], ["no preset 'tinny'", "document"]),
        (["--config=nowhere.py"], ["nowhere.py"]),
        ([TINY, "--config.batchsize=4"], ["no field 'batchsize'", "batch_size"]),
        ([TINY, "--config.batch_size=many"], ["batch_size", "many"]),
        ([TINY, "--config.model.generator=None1"], ["no network 'None1'"]),
        ([TINY, "--config.log_every=0"], ["log_every=0"]),
        ([TINY, "--config.keep_every=4"], ["keep_every=4", "multiple of config.checkpoint_every=3"]),
        (
            [TINY, "--config.coefficients.adversarial=None", "--config.coefficients.reconstruction=None"],
            ["adversarial", "reconstruction", "weight"],
        ),
        ([TINY, "--config.steps_per_dispatch=4"], ["multiple of", "steps_per_dispatch=4"]),
        ([TINY, "--config.optimizers.adversarial.generator.name=sdg"], ["no optimizer 'sdg'"]),
        ([TINY, "--config.data.name=mnits"], ["mnits", "mnist"]),
        ([TINY, "--config.data.path=nowhere"], ["nowhere"]),
        ([TINY, "--config.family=cyclegan"], ["no family 'cyclegan'"]),
        ([TINY, "--config.family=cycle.gan"], ["no family 'cycle.gan'"]),
        ([TINY, "--config.family=core"], ["no family 'core'"]),
        ([TINY, "--config.data.maps=('images.blur',)"], ["images.blur"]),
        ([TINY, "--config.data.loader=devise"], ["data.loader='devise'", "memory, device"]),
        ([TINY, "--wrokdir=x"], ["wrokdir"]),
        ([TINY, "stray"], ["stray"]),
        ([], ["config"]),
    ],
)
def test_run_refuses(arguments, words, tmp_path):
    target = tmp_path / "run"
    assert_refused(programs.call("run", *arguments, f"--workdir={target}"), *words)
    assert not target.exists()


def test_a_batch_that_devices_cannot_share(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
    assert_refused(programs.call("run", TINY, f"--workdir={tmp_path / 'run'}"), "batch_size=16", "3 devices")


def test_another_config_in_the_same_workdir_is_refused_with_the_difference(workdir):
    before = (workdir / "config.json").read_bytes()
    refused = programs.call("run", TINY, "--config.seed=7", f"--workdir={workdir}")
    assert_refused(refused, "another config", "seed: 0 -> 7")
    assert (workdir / "config.json").read_bytes() == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    assert_refused(programs.call("run", TINY, f"--workdir={tmp_path}"), "no run's workdir")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_workdir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert_refused(programs.call("run", TINY, f"--workdir={tmp_path / 'file' / 'run'}"), "cannot be written")


def test_two_runs_in_one_workdir(workdir):
    with runs.alone_in(workdir):
        assert_refused(programs.call("run", TINY, f"--workdir={workdir}"), "Another run", str(workdir))


@pytest.mark.parametrize("name", ["sample", "evaluate"])
def test_no_run_and_no_checkpoint(name, tmp_path, workdir):
    assert_refused(programs.call(name, f"--workdir={tmp_path}"), "no config.json")
    shutil.copy(workdir / "config.json", tmp_path)
    assert_refused(programs.call(name, f"--workdir={tmp_path}"), "no whole checkpoint")


def test_evaluate_gives_the_scores_of_the_run_again(workdir):
    before = json.loads((workdir / "scores.json").read_text())
    assert set(before) == {"accuracy_clean", "accuracy_masked", "accuracy_restored"}
    assert all(set(entry) == {"value", "step", "protocol"} for entry in before.values())
    other = {"fid": {"value": 1.0, "step": 1, "protocol": "kept"}}
    (workdir / "scores.json").write_text(json.dumps(before | other))
    assert programs.call("evaluate", f"--workdir={workdir}").returncode == 0
    assert json.loads((workdir / "scores.json").read_text()) == before | other


def test_sample_writes_a_grid_or_single_files(workdir, tmp_path):
    done = programs.call("sample", f"--workdir={workdir}", "--count=5", f"--output={tmp_path / 'grid.png'}")
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "grid.png").size == (3 * 28, 2 * 28)
    done = programs.call("sample", f"--workdir={workdir}", "--count=5", f"--output={tmp_path / 'single'}")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "single").glob("*.png"))) == 5
    assert_refused(programs.call("sample", f"--workdir={workdir}", "--output=x.jpg"), "x.jpg")
    assert_refused(programs.call("sample", f"--workdir={workdir}", "--output=x.gif"), "no latents")
    assert_refused(programs.call("sample", f"--workdir={workdir}", "--count=5000"), "only 1000")


def test_apply_restores_files_and_folders(workdir, tmp_path):
    generator = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name, mode in (("grey.png", "L"), ("colour.jpg", "RGB"), ("alpha.webp", "RGBA")):
        channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
        picture = generator.integers(0, 256, (28, 28, *channels), np.uint8)
        Image.fromarray(picture, mode).save(tmp_path / "in" / name)
    done = programs.call("apply", f"--workdir={workdir}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["alpha.png", "colour.png", "grey.png"]
    given, restored = (np.asarray(Image.open(tmp_path / where / "grey.png")) for where in ("in", "out"))
    np.testing.assert_array_equal(restored[given > 0], given[given > 0])

    mask = np.zeros((28, 28), np.uint8)
    mask[9:17, 9:17] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    one = [
        f"--input={tmp_path / 'in' / 'grey.png'}",
        f"--output={tmp_path / 'one.png'}",
        f"--mask={tmp_path / 'mask.png'}",
    ]
    done = programs.call("apply", f"--workdir={workdir}", *one)
    assert done.returncode == 0, done.stderr
    restored = np.asarray(Image.open(tmp_path / "one.png"))
    np.testing.assert_array_equal(restored[mask == 0], given[mask == 0])
    assert not np.array_equal(restored[mask > 0], given[mask > 0])


def test_apply_refuses_what_it_cannot_restore(workdir, tmp_path):
    Image.new("L", (32, 30)).save(tmp_path / "large.png")
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (28, 28)).save(tmp_path / "right.png")

    def refused(source, output, *words):
        arguments = (f"--workdir={workdir}", f"--input={tmp_path / source}", f"--output={tmp_path / output}")
        assert_refused(programs.call("apply", *arguments), *words)

    refused("large.png", "out.png", "32x30", "28x28")
    refused("text.png", "out.png", "text.png", "cannot be read")
    refused("absent.png", "out.png", "does not exist")
    refused("right.png", "out.jpg", "must end in .png")
    assert not list(tmp_path.glob("out*"))


def test_describe_counts_parameters():
    done = programs.call("describe", f"--config={programs.CONFIG}:document", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "generator": {"trainable": 315_073, "other": 448},
        "discriminator": {"trainable": 382_209, "other": 0},
    }
    done = programs.call("describe", TINY)
    assert "FoldedUNet" in done.stdout or "generator" in done.stdout
    assert "GFLOP" in done.stdout


def test_describe_counts_what_a_frozen_network_costs():
    done = programs.call("describe", "--config=experiments/configs/srgan.py:tiny", "--config.coefficients.content=1.0")
    assert done.returncode == 0, done.stderr
    pretrain, adversarial = (float(cost) for cost in re.findall(r"([\d.]+) GFLOP", done.stdout))
    assert adversarial > 10 * pretrain


def test_init_from_takes_the_networks_of_another_run(workdir, tmp_path):
    target = tmp_path / "second"
    arguments = (TINY, "--config.seed=3", f"--workdir={target}")
    done = programs.call("run", *arguments, f"--init_from={workdir}")
    assert done.returncode == 0, done.stderr
    first = [json.loads((folder / "metrics.jsonl").read_text().splitlines()[0]) for folder in (workdir, target)]
    assert first[1]["generator/reconstruction"] < first[0]["generator/reconstruction"]
    other = (f"--config={programs.CONFIG}:tiny,document", f"--workdir={tmp_path / 'third'}")
    assert_refused(programs.call("run", *other, f"--init_from={workdir}"), "another network")


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    target = tmp_path / "run"
    done = programs.call(
        "run",
        TINY,
        "--config.optimizers.adversarial.generator.learning_rate=1e30",
        "--config.optimizers.adversarial.generator.warmup=0",
        "--config.optimizers.adversarial.generator.clip_norm=None",
        f"--workdir={target}",
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    message = done.stderr.split("error: ")[1]
    assert "Step" in message
    assert "generator" in message
    assert "last good checkpoint" in message


def refused_by_the_system(number, errors):
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), sys.stderr.fileno())
    sys.argv[:] = ["command"]

    def main():
        raise OSError(number, os.strerror(number), "/there/file")

    commands.start(main)


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 1), (errno.EACCES, 2), (errno.EIO, None)])
def test_what_the_system_refuses_is_one_message(number, status, tmp_path):
    process = programs.SERVER.Process(target=refused_by_the_system, args=(number, tmp_path / "errors"))
    process.start()
    process.join(60)
    said = (tmp_path / "errors").read_text()
    if status is None:
        assert "Traceback" in said  # nobody's mistake, so all of it is told
    else:
        assert said.strip() == f"error: {os.strerror(number)}: /there/file."
        assert process.exitcode == status


@pytest.mark.parametrize("chosen", ["", "--xla_cpu_experimental_ynn_fusion_type=", "--xla_dump_to=/nowhere"])
def test_cpu_convolutions_are_chosen_unless_the_user_has(chosen, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", chosen)
    commands.choose_cpu_convolutions()
    flags = os.environ["XLA_FLAGS"].split()
    assert sum("ynn_fusion_type" in flag for flag in flags) == 1
    assert not chosen or flags[0] == chosen


def test_programs_compiled_for_other_cores_are_kept_apart(monkeypatch):
    folders = set()
    for cores in ({0}, {0, 1}, {2, 3}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores, raising=False)
        folders.add(commands.compiled_folder())
    assert len(folders) == 2
    assert {folder.parent for folder in folders} == {commands.cache_folder() / "compiled"}
