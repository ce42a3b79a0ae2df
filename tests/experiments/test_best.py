"""Scores on a validation split, and the checkpoint that has the best of them."""

import json

import numpy as np
import pytest

from experiments import checkpoints, data, rehearsal, runs, scoring, train
from experiments.commands import UsageError
from experiments.configs import vanilla


@pytest.fixture
def config():
    config = vanilla.get_config("tiny")
    config.data.loader, config.data.validation = "memory", 0.2
    config.checkpoint_every = config.score_every = 2
    config.keep_checkpoints = 1
    config.best.score = "fid_some"
    return config


@pytest.fixture
def splits_scored(monkeypatch):
    """Scores that are set here, of steps 0 to 6; the names and lengths of the splits they were asked for."""
    values, seen = {0: 9.0, 2: 3.0, 4: 7.0, 6: 5.0}, []

    def scores(config, gan, state, record, examples, split="test"):
        seen.append((split, len(examples["image"])))
        step = int(state.step)
        return {"fid_some": {"value": values[step], "step": step, "protocol": split}}

    monkeypatch.setattr(scoring, "scores", scores)
    return seen


@pytest.mark.parametrize(("lowest", "best"), [(True, 2), (False, 4)])
def test_the_checkpoint_with_the_best_score_stays(config, splits_scored, tmp_path, lowest, best):
    config.best.lowest = lowest
    told = train.train(config, tmp_path)
    assert f"best: step {best} by fid_some = " in told
    assert checkpoints.steps(tmp_path / "checkpoints") == [6, best]
    assert int(runs.load(tmp_path)[1].step) == 6
    assert int(runs.load(tmp_path, best=True)[1].step) == best


def test_only_the_last_scores_are_of_the_test_split(config, splits_scored, tmp_path):
    train.train(config, tmp_path)
    count = len(data.read(config)["train"]["image"]) // 5
    assert [split for split, _ in splits_scored] == ["validation"] * 4 + ["test"]
    assert {size for split, size in splits_scored if split == "validation"} == {count}
    assert json.loads((tmp_path / runs.HISTORY).read_text()) == {"fid_some": {"2": 3.0, "4": 7.0, "6": 5.0}}


def test_a_score_that_the_run_will_not_have_is_refused_before_anything_is_written(config, splits_scored, tmp_path):
    config.best.score = "fid_other"
    with pytest.raises(UsageError, match="'fid_other' is none of this run's scores: fid_some"):
        train.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"data.validation": 0.0}, "needs a validation split"),
        ({"score_every": 0}, "needs a validation split"),
        ({"checkpoint_every": 4}, "must be a multiple of"),
        ({"data.validation": 1.0}, "no share"),
    ],
)
def test_what_does_not_fit_together_is_refused(config, fields, words):
    for name, value in fields.items():
        config.update_from_flattened_dict({name: value})
    with pytest.raises(UsageError, match=words):
        rehearsal.check(config)


def test_a_run_without_scores_on_the_way_has_no_best(config, tmp_path):
    config.best.score, config.score_every, config.data.validation = "", 0, 0.0
    config.judge = {}
    train.train(config, tmp_path)
    with pytest.raises(UsageError, match="has no best checkpoint"):
        runs.load(tmp_path, best=True)


def test_persons_are_held_out_whole(config):
    identity = np.arange(40) // 4
    train_split = {"image": np.arange(40), "identity": identity}
    held = data.hold_out(config, {"train": train_split, "test": {}})
    assert len(set(held["validation"]["identity"])) == 2  # of ten, by 0.2
    assert not set(held["validation"]["identity"]) & set(held["train"]["identity"])
    assert sorted([*held["train"]["image"], *held["validation"]["image"]]) == list(range(40))


def test_a_share_that_leaves_nothing_is_refused(config):
    with pytest.raises(UsageError, match="leaves one of the splits empty"):
        data.hold_out(config, {"train": {"image": np.arange(1)}, "test": {}})


def test_deterministic_programs_are_asked_for_beside_the_users_own_flags(config):
    environment = {"XLA_FLAGS": "--xla_a=1"}
    train.keep_bits(config, environment)
    assert environment == {"XLA_FLAGS": "--xla_a=1"}
    config.deterministic = True
    train.keep_bits(config, environment)
    assert environment["XLA_FLAGS"].split() == ["--xla_a=1", "--xla_gpu_deterministic_ops=true"]
