"""A clock that is set back, and a folder of somebody else's."""

import json
import os
import tempfile
import time
from pathlib import Path

import pytest

from experiments import runs, train
from experiments.commands import UsageError
from experiments.configs import vanilla
from tests.experiments import programs


def config():
    config = vanilla.get_config("tiny")
    config.checkpoint_every, config.score_every = 2, 0
    config.data.loader = "memory"
    return config


def losses(workdir):
    return [json.loads(line)["generator/loss"] for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_a_clock_that_jumps_back_and_back_again(tmp_path, monkeypatch):
    train.train(config(), tmp_path / "plain")
    now, calls = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: now() - 3600 * next(calls))
    train.train(config(), tmp_path / "run")
    assert losses(tmp_path / "run") == losses(tmp_path / "plain")
    step, _ = runs.restore(tmp_path / "run", config(), runs.build(config()))
    assert step == 6
    assert next(calls) > 10  # the clock was asked


def claim_as_somebody_else(folder):
    os.setuid(65534)  # root may write everywhere
    try:
        runs.claim_workdir(folder / "run", config())
    except UsageError as error:
        raise SystemExit(7 if "cannot be written" in str(error) else str(error)) from error


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can become somebody else")
def test_a_workdir_that_this_user_cannot_write():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        process = programs.SERVER.Process(target=claim_as_somebody_else, args=(Path(folder),))
        process.start()
        process.join(60)
        assert process.exitcode == 7
