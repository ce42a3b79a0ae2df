"""A run that diverges or collapses goes back to where it was well, with another order of its examples."""

import json

import pytest

from experiments import checkpoints, logs, train
from experiments.configs import vanilla
from experiments.sentinel import Collapsed


@pytest.fixture
def config():
    config = vanilla.get_config("tiny")
    config.checkpoint_every, config.score_every = 2, 0
    config.data.loader = "memory"
    return config


@pytest.fixture
def faults(monkeypatch):
    """{step: what happens there, once}."""
    steps, metrics = {}, logs.Logs.metrics

    def faulty(log, step, values):
        if step in steps:
            raise steps.pop(step)
        metrics(log, step, values)

    monkeypatch.setattr(logs.Logs, "metrics", faulty)
    return steps


def losses(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return {record["step"]: record["generator/loss"] for record in map(json.loads, lines)}


def test_it_goes_back_as_often_as_the_config_says(config, faults, tmp_path, capsys):
    train.train(config, tmp_path / "plain")
    config.rollbacks = 1
    faults[5] = logs.Diverged("Step 5: the loss of the generator is nan.")
    train.train(config, tmp_path / "run")
    said = capsys.readouterr().out
    assert "Step 5: the loss of the generator is nan. The run goes back" in said
    assert "another order of examples (1 of 1)" in said
    assert "Going on from step 4" in said
    before, after = losses(tmp_path / "plain"), losses(tmp_path / "run")
    assert list(after) == [1, 2, 3, 4, 5, 6]
    assert [step for step in before if before[step] != after[step]] == [5, 6]


def test_then_it_stops(config, faults, tmp_path):
    config.rollbacks = 1
    faults[3] = logs.Diverged("first")
    faults[5] = logs.Diverged("second")
    with pytest.raises(logs.Diverged, match="second"):
        train.train(config, tmp_path)
    # Nothing is lost; started again, it keeps the order that it went on with, and stops where it must.
    assert json.loads((tmp_path / train.ROLLBACKS).read_text()) == ["first"]
    assert checkpoints.steps(tmp_path / "checkpoints") == [4, 2]


def test_after_a_collapse_it_goes_back_to_before_its_beginning(config, faults, tmp_path, capsys):
    config.rollbacks = 1
    faults[5] = Collapsed("Step 5: the generator has collapsed.", began=3)
    train.train(config, tmp_path)
    assert "Going on from step 2 " in capsys.readouterr().out
    assert list(losses(tmp_path)) == [1, 2, 3, 4, 5, 6]
    assert [path.name for path in (tmp_path / "checkpoints" / "damaged").iterdir()] == ["4-0"]
