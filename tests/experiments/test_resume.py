"""A run that is killed at any moment ends exactly as one that is not."""

import json
import os
import random
import shutil
import signal
import time

import jax
import numpy as np
import pytest

from experiments import checkpoints, runs
from tests.experiments import programs

ARGUMENTS = (
    f"--config={programs.CONFIG}:tiny",
    "--config.phases.adversarial.steps=30",
    "--config.checkpoint_every=3",
    "--config.sample_every=12",
    "--config.batch_size=8",
    "--config.data.loader=memory",
)
CLOCKS = {"seconds", "steps_per_second"}


def metrics(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name not in CLOCKS} for line in lines]


def final_state(workdir, steps):
    config, _ = runs.read_workdir(workdir)
    step, state = runs.restore(workdir, config, runs.build(config))
    assert step == steps
    return state


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "uninterrupted"
    finished = programs.call("run", *ARGUMENTS, f"--workdir={workdir}")
    assert finished.returncode == 0, finished.stderr
    assert [record["step"] for record in metrics(workdir)] == list(range(1, 31))
    return workdir


def assert_same_run(workdir, uninterrupted, steps=30):
    assert metrics(workdir) == metrics(uninterrupted)
    jax.tree.map(np.testing.assert_array_equal, final_state(workdir, steps), final_state(uninterrupted, steps))
    assert (workdir / "scores.json").read_text() == (uninterrupted / "scores.json").read_text()


def unfinished_checkpoints(workdir):
    """Steps that Orbax is writing, or has written while their checksums are still missing."""
    return [
        path
        for path in (workdir / "checkpoints").glob("[0-9]*")
        if not path.name.isdigit() or not (path / checkpoints.SEAL).exists()
    ]


def wait_for(condition, process):
    """Whether the condition came true before the process ended."""
    deadline = time.monotonic() + 120
    while process.is_alive() and time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.002)
    return False


def lines(workdir):
    path = workdir / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_killed_ten_times_it_ends_as_if_it_had_not_been(uninterrupted, tmp_path):
    workdir, chance = tmp_path / "killed", random.Random(0)
    kills = inside_a_checkpoint = 0
    moments = [
        "start",
        "checkpoint",
        "steps",
        "checkpoint",
        "steps",
        "checkpoint",
        "steps",
        "steps",
        "checkpoint",
        "steps",
    ]
    for moment in moments:
        process = programs.start(tmp_path, "run", *ARGUMENTS, f"--workdir={workdir}")
        known = lines(workdir)
        if moment == "start":
            time.sleep(chance.uniform(0.1, 2))
        elif moment == "checkpoint":
            assert wait_for(lambda known=known: lines(workdir) > known and unfinished_checkpoints(workdir), process)
        else:
            assert wait_for(lambda known=known: lines(workdir) > known, process)
            time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        inside_a_checkpoint += bool(unfinished_checkpoints(workdir))
    assert kills == 10
    assert inside_a_checkpoint >= 1
    finished = programs.call("run", *ARGUMENTS, f"--workdir={workdir}")
    assert finished.returncode == 0, finished.stderr
    assert "Going on from step" in finished.stdout
    assert_same_run(workdir, uninterrupted)


def test_asked_to_stop_it_writes_a_checkpoint_first(uninterrupted, tmp_path):
    workdir = tmp_path / "stopped"
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = programs.start(tmp_path, "run", *ARGUMENTS, f"--workdir={workdir}")
        known = lines(workdir)
        assert wait_for(lambda known=known: lines(workdir) >= known + 4, process)
        os.kill(process.pid, number)
        process.join(120)
        assert process.exitcode == status
        assert "the same command goes on from here" in (tmp_path / "errors").read_text()
        # The newest checkpoint is of the very last step that was run.
        assert checkpoints.steps(workdir / "checkpoints")[0] == metrics(workdir)[-1]["step"]
    assert programs.call("run", *ARGUMENTS, f"--workdir={workdir}").returncode == 0
    assert_same_run(workdir, uninterrupted)


def test_a_damaged_checkpoint_costs_only_its_steps(uninterrupted, tmp_path):
    workdir = shutil.copytree(uninterrupted, tmp_path / "damaged")
    newest = workdir / "checkpoints" / "30"
    path = max((path for path in newest.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    finished = programs.call("run", *ARGUMENTS, f"--workdir={workdir}")
    assert "30 is passed over" in finished.stdout
    assert "Going on from step 27" in finished.stdout
    assert_same_run(workdir, uninterrupted)
