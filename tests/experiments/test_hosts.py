"""A run of two processes with two devices each is the run of one with four."""

import json
import shutil
import socket
import threading

import jax
import numpy as np
import pytest

from experiments import checkpoints, hosts, logs, meeting, runs, train
from experiments.commands import UsageError
from experiments.configs import vanilla
from tests.experiments import several

STEPS = 6


@pytest.fixture(scope="module")
def two_by_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts")
    started = several.start(folder, 2, 2, *several.ARGUMENTS, f"--workdir={folder / 'run'}")
    assert several.statuses(started) == [0, 0], several.said(folder, 0) + several.said(folder, 1)
    return folder


def config():
    config = vanilla.get_config("document,tiny")
    config.judge, config.score_every, config.checkpoint_every, config.sample_every = None, 0, 2, 4
    config.data.loader = "memory"
    return config


def metrics(workdir):
    return [
        {name: value for name, value in record.items() if name not in ("seconds", "steps_per_second")}
        for record in logs.read_metrics(workdir)
    ]


def assert_same_run(workdir, other, without=()):
    """The same steps to float tolerance, for sums over devices are taken in other orders; `without` some metrics."""
    for one, two in zip(metrics(workdir), metrics(other), strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            if name in without:
                continue
            np.testing.assert_allclose(value, two[name], rtol=1e-3, atol=1e-5, err_msg=f"{name}, step {one['step']}")


def test_two_processes_with_two_devices_are_one_with_four(two_by_two, tmp_path):
    assert jax.device_count() == 4
    train.train(config(), tmp_path / "run")
    assert [record["step"] for record in metrics(two_by_two / "run")] == list(range(1, STEPS + 1))
    assert_same_run(two_by_two / "run", tmp_path / "run")


def test_one_process_writes_and_the_other_is_silent(two_by_two):
    workdir = two_by_two / "run"
    assert checkpoints.steps(workdir / "checkpoints") == [6, 4, 2]
    assert all(checkpoints.problem(path) is None for path in (workdir / "checkpoints").glob("[0-9]*"))
    assert {path.name for path in (workdir / "samples").iterdir()} == {"step-0000004.png", "final.png", "losses.png"}
    assert len(list(workdir.glob("events.*"))) == 1
    assert not list(workdir.glob(".seen*"))
    assert "pictures:" in several.said(two_by_two, 0, "output")
    assert several.said(two_by_two, 1, "output").replace("[Gloo]", "").count("pictures:") == 0
    assert "training" not in several.said(two_by_two, 1)


def test_what_two_by_two_saved_goes_on_at_one_by_four(two_by_two, tmp_path, capsys):
    workdir = shutil.copytree(two_by_two / "run", tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints" / "6")
    train.train(config(), workdir)
    assert f"Going on from step 4 of {workdir}" in capsys.readouterr().out
    assert_same_run(workdir, two_by_two / "run")
    states = [runs.restore(folder, config(), runs.build(config()))[1] for folder in (workdir, two_by_two / "run")]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), *states)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("node1:29500", None, None), "--processes is missing"),
        ((None, 2, 0), "--coordinator is missing"),
        ((None, 2, None), "--coordinator is missing"),
        (("node1:29500", 2, None), "--process is missing"),
        (("node1:29500", 2, 2), "counted from 0"),
        (("node1:29500", 2, -1), "counted from 0"),
        (("node1:29500", 0, 0), "counted from 0"),
        (("node1", 2, 0), "is not HOST:PORT"),
        (("node1:http", 2, 0), "is not HOST:PORT"),
        (("node1:99999", 2, 0), "is not HOST:PORT"),
    ],
)
def test_flags_that_do_not_fit_together(flags, words):
    with pytest.raises(UsageError, match=words):
        meeting.asked(*flags)


def test_flags_that_do():
    assert meeting.asked(None, None, None) is meeting.asked(None, 1, None) is meeting.asked("a:1", 1, 0) is None
    assert meeting.asked("node1:29500", 4, 3) == meeting.Place("node1", 29500, 4, 3)
    assert meeting.asked("[fe80::1]:29500", 4, 3).host == "fe80::1"


SLURM = {
    "SLURM_JOB_ID": "4000",
    "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
}
MPI = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "4000", "SLURM_NTASKS": "8"}, None),  # a batch script, or salloc's shell
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"}, None),  # a shell in a step of one
        (MPI | {"OMPI_COMM_WORLD_SIZE": "1"}, None),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2"}, ("node07", 65440, 4, 1, [1])),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "2"}, ("node07", 65440, 2, 1, None)),
        (MPI | {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, ("10.96.0.1", 62624, 4, 3, [1])),
    ],
)
def test_what_is_a_cluster(environment, place, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert meeting.detected() == (place and meeting.Place(*place))


def test_nobody_at_the_coordinator(monkeypatch):
    monkeypatch.setattr(meeting, "PATIENCE", 0.3)
    port = several.free_port()
    with pytest.raises(UsageError, match=f"did not answer at localhost:{port}"):
        meeting.find_first(meeting.Place("localhost", port, 2, 1))


def test_a_process_that_does_not_come(monkeypatch):
    monkeypatch.setattr(meeting, "PATIENCE", 0.3)
    with pytest.raises(UsageError, match="Of 3 processes number 1, 2 did not come"):
        meeting.wait_for_all(meeting.Place("localhost", several.free_port(), 3, 0))


def test_a_port_that_is_taken():
    with socket.create_server(("", 0)) as server, pytest.raises(UsageError, match="cannot listen at port"):
        meeting.wait_for_all(meeting.Place("localhost", server.getsockname()[1], 2, 0))


def test_strangers_and_doubles_are_sent_away_and_the_others_let_in():
    port, found = several.free_port(), []
    place = meeting.Place("localhost", port, 3, 0)
    waiting = threading.Thread(target=lambda: found.extend(meeting.wait_for_all(place)))
    waiting.start()
    second = meeting.find_first(meeting.Place("localhost", port, 3, 2))
    for number, processes, words in ((2, 3, "already come as --process=2"), (1, 4, "has 4"), (7, 3, "no process 7")):
        refused = meeting.find_first(meeting.Place("localhost", port, processes, number))
        assert words in refused.receive(10)["end"]
    with socket.create_connection(("localhost", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n")
    first = meeting.find_first(meeting.Place("localhost", port, 3, 1))
    waiting.join(10)
    assert [peer.process for peer in found] == [1, 2]
    for peer, other in zip(found, (first, second), strict=True):
        peer.send({"say": peer.process})
        assert other.receive(10) == {"say": peer.process}


def test_alone_nothing_is_waited_for(tmp_path):
    assert hosts.first() and not hosts.several()
    assert hosts.gather({"a": 1}) == [{"a": 1}]
    hosts.check_same("data", 1)
    hosts.check_shared(tmp_path)
    assert not list(tmp_path.iterdir())
    with hosts.joined(None, None, None):
        assert not hosts.several()


def test_a_mistake_on_the_way_ends_both_with_one_message(tmp_path):
    started = several.start(tmp_path, 2, 2, *several.ARGUMENTS, "--config.batch_size=18", f"--workdir={tmp_path}/run")
    assert several.statuses(started) == [2, 2]
    for number in (0, 1):
        (message,) = several.told(tmp_path, number)
        assert "batch_size=18 cannot be shared by 4 devices" in message
    assert not (tmp_path / "run").exists()


def test_workdirs_that_are_not_shared_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(hosts, "gather", lambda value: [value, False] if value is True else [value, value])
    with pytest.raises(UsageError, match="Process 1 does not see what process 0 writes"):
        hosts.check_shared(tmp_path)
    assert json.dumps(list(map(str, tmp_path.iterdir()))) == "[]"
