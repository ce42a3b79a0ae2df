"""Runs of several processes that lose one, are asked to stop, or go on with other numbers of processes and devices."""

import os
import shutil
import signal
import time

import pytest

from experiments import checkpoints, logs
from tests.experiments import several
from tests.experiments.test_hosts import assert_same_run, metrics
from tests.experiments.test_resume import lines, wait_for

LONG = (*several.ARGUMENTS, "--config.phases.adversarial.steps=400", "--config.sample_every=1000")
BOUND = 60  # seconds in which the others end; they take one or two


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    started = several.start(folder, 2, 2, *several.ARGUMENTS, f"--workdir={folder / 'run'}")
    assert several.statuses(started) == [0, 0], several.said(folder, 0) + several.said(folder, 1)
    return folder / "run"


@pytest.mark.parametrize(("processes", "devices"), [(1, 1), (1, 4), (4, 1)])
def test_what_two_by_two_saved_goes_on_anywhere(processes, devices, whole, tmp_path):
    workdir = shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints" / "6")
    started = several.start(tmp_path, processes, devices, *several.ARGUMENTS, f"--workdir={workdir}")
    assert several.statuses(started) == [0] * processes, several.said(tmp_path, 0)
    assert "Going on from step 4 of" in several.said(tmp_path, 0, "output")
    # The spread of a batch of fakes is taken on each device; nothing else in this game couples examples.
    assert_same_run(workdir, whole, without=() if processes * devices == 4 else ("generator/diversity",))


def running(tmp_path, workdir):
    """Two processes that have trained some steps."""
    started = several.start(tmp_path, 2, 2, *LONG, f"--workdir={workdir}")
    known = lines(workdir)
    assert wait_for(lambda: lines(workdir) > known + 5, started[0]), several.said(tmp_path, 0)
    return started


def test_one_that_is_killed_ends_the_other_and_the_run_goes_on(tmp_path):
    workdir = tmp_path / "run"
    for killed, left in ((0, 1), (1, 0)):
        started = running(tmp_path, workdir)
        started[killed].kill()
        begin = time.monotonic()
        statuses = several.statuses(started, BOUND)
        print(f"process {left} ended {time.monotonic() - begin:.1f} s after process {killed} was killed")
        assert statuses[killed] == -signal.SIGKILL
        assert statuses[left] == 1
        (message,) = several.told(tmp_path, left)
        assert f"Process {killed} of 2 is gone" in message
        assert "Start all again with the same command" in message
        saved = checkpoints.steps(workdir / "checkpoints")[0]
        shutil.rmtree(tmp_path / str(left))
    started = running(tmp_path, workdir)
    for process in started:
        os.kill(process.pid, signal.SIGTERM)
    assert several.statuses(started, BOUND) == [143, 143]
    output = several.said(tmp_path, 0, "output")
    assert int(output.split("Going on from step ")[1].split()[0]) >= saved - 2
    steps = [record["step"] for record in logs.read_metrics(workdir)]
    assert steps == list(range(1, steps[-1] + 1))


@pytest.mark.parametrize(("asked", "number", "status"), [(0, signal.SIGTERM, 143), (1, signal.SIGINT, 130)])
def test_a_signal_at_one_stops_both_at_the_same_step(asked, number, status, tmp_path):
    workdir = tmp_path / "run"
    started = running(tmp_path, workdir)
    os.kill(started[asked].pid, number)
    assert several.statuses(started, BOUND) == [status, status], several.said(tmp_path, 1)
    newest = checkpoints.steps(workdir / "checkpoints")[0]
    assert newest == metrics(workdir)[-1]["step"] < 400
    assert checkpoints.problem(workdir / "checkpoints" / str(newest)) is None
    assert "the same command goes on from here" in several.said(tmp_path, 0)


def test_a_run_that_diverges_ends_both(tmp_path):
    workdir, settings = tmp_path / "run", ("--config.optimizers.adversarial.generator.learning_rate=1e30",)
    started = several.start(tmp_path, 2, 1, *several.ARGUMENTS, *settings, f"--workdir={workdir}")
    assert several.statuses(started) == [1, 1]
    for number in (0, 1):
        (message,) = several.told(tmp_path, number)
        assert "Step " in message


def test_a_run_that_goes_back_does_so_at_both(tmp_path):
    workdir = tmp_path / "run"
    settings = ("--config.optimizers.adversarial.generator.learning_rate=1e30", "--config.rollbacks=1")
    started = several.start(tmp_path, 2, 1, *several.ARGUMENTS, *settings, f"--workdir={workdir}")
    assert several.statuses(started) == [1, 1]
    assert several.said(tmp_path, 0, "output").count("another order of examples (1 of 1)") == 1
    for number in (0, 1):
        assert len(several.told(tmp_path, number)) == 1


def test_a_folder_that_only_one_host_sees_is_noticed(tmp_path):
    port = several.free_port()
    started = [
        several.start_one(tmp_path, number, 2, 1, port, *several.ARGUMENTS, f"--workdir={tmp_path / f'run{number}'}")
        for number in (0, 1)
    ]
    assert several.statuses(started) == [2, 2]
    for number in (0, 1):
        (message,) = several.told(tmp_path, number)
        assert "Process 1 does not see what process 0 writes" in message
