"""Searches by several processes, with programs in the place of runs."""

import functools
import json
import os
import signal
import sys
import time

import pytest

from experiments import processes, runs
from experiments.commands import UsageError
from experiments.configs import vanilla
from experiments.interrupts import Interrupted
from experiments.sweep import search, space
from tests.experiments import programs
from tests.experiments.test_commands import assert_refused

RATE = "optimizers.adversarial.generator.learning_rate"
RANGES = {RATE: space.Range(1e-4, 1e-1, True)}
CHOICES = {"batch_size": [16, 32]}
GOOD = space.Goal("good", True)
STEPS = sum(phase.steps for phase in vanilla.get_config("tiny").phases.values())

# What a run leaves: metrics on the way, each a little later than the one before, and at its end a score.
RUN = f"""
import json, pathlib, sys, time
workdir, rate, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
workdir.mkdir(exist_ok=True)
with open(workdir / "starts", "a") as file:
    file.write("x")
if rate > 0.5:
    (workdir / "stopped.json").write_text(json.dumps({{"reason": "diverged", "sentence": "Step 3: all is nan."}}))
    sys.exit(1)
(workdir / "config.json").write_text("{{}}")
with open(workdir / "metrics.jsonl", "w") as file:
    for step in range(1, {STEPS} + 1):
        file.write(json.dumps({{"step": step, "generator/loss": rate * step}}) + "\\n")
        file.flush()
        time.sleep(seconds)
(workdir / "scores.json").write_text(json.dumps({{"good": {{"value": rate, "step": {STEPS}, "protocol": "made up"}}}}))
"""


def command(output, seconds, name, member):
    return [sys.executable, "-c", RUN, str(output / name), str(member[RATE]), str(seconds)]


def take_part(output, trials, *, seconds=0.0, goal=GOOD, ranges=RANGES, **settings):
    """One process's part in a search."""
    config = vanilla.get_config("tiny")
    own = search.Search(output, config, ranges, CHOICES, goal, settings.pop("sampler", "random"), trials, **settings)
    processes.run_each(own.claims(functools.partial(command, output, seconds)), output, 1, own.ended, own.stop)
    return own


def take_part_or_stop(output, trials, seconds):
    try:
        take_part(output, trials, seconds=seconds)
    except Interrupted as interrupted:
        sys.exit(interrupted.status)


def started(*arguments):
    process = programs.SERVER.Process(target=take_part_or_stop, args=arguments)
    process.start()
    return process


def states(own):
    return [trial.state.name for trial in own.study.get_trials()]


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_processes_on_one_file_end_with_exactly_the_trials_asked_for(tmp_path):
    output = tmp_path / "search"
    both = [started(output, 7, 0.02) for _ in range(2)]
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    own = take_part(output, 7)  # nothing is left
    assert states(own) == ["COMPLETE"] * 7
    assert [(output / search.name_of(number) / "starts").read_text() for number in range(7)] == ["x"] * 7
    assert len({trial.params[RATE] for trial in own.study.get_trials()}) == 7
    assert own.best().value == max(trial.value for trial in own.study.get_trials())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_trials_of_a_process_that_is_gone_are_taken_up_again(number, tmp_path):
    output = tmp_path / "search"
    process = started(output, 3, 0.05)
    wait_for((output / "trial-0001" / "starts").exists)
    os.kill(process.pid, number)
    process.join(60)
    own = take_part(output, 3)
    assert states(own) == ["COMPLETE"] * 3
    assert (output / "trial-0000" / "starts").read_text() == "x"
    assert (output / "trial-0001" / "starts").read_text() == "xx"


def test_draws_belong_to_the_trial_and_not_to_the_process(tmp_path):
    once = take_part(tmp_path / "once" / "search", 4)
    take_part(tmp_path / "twice" / "search", 2)
    twice = take_part(tmp_path / "twice" / "search", 4)
    assert [trial.params for trial in once.study.get_trials()] == [trial.params for trial in twice.study.get_trials()]


def test_a_database_by_its_url(tmp_path):
    own = take_part(tmp_path / "search", 2, storage=f"sqlite:///{tmp_path / 'study.db'}", sampler="tpe")
    assert states(own) == ["COMPLETE"] * 2
    assert not (tmp_path / "search" / "study.journal").exists()
    with pytest.raises(UsageError, match="cannot be opened"):
        take_part(tmp_path / "other", 2, storage="nowhere://x")


def test_bad_trials_are_stopped_on_the_way_and_marked(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "SECONDS", 0.0)
    output = tmp_path / "search"
    goal = space.Goal("generator/loss", False)
    take_part(output, 6, goal=goal, ranges={RATE: space.Range(1e-4, 1.1e-4)})
    own = take_part_again(output, goal)
    assert own.study.get_trials()[6].state.name == "PRUNED"
    note = runs.read_json(output / "trial-0006" / "stopped.json")
    assert note["reason"] == "pruned"
    assert "worse than the median" in note["sentence"]
    assert not (output / "trial-0006" / "scores.json").exists()
    assert "| trial-0006 | pruned (pruned: Step " in own.markdown()


def take_part_again(output, goal):
    """One trial more, far worse than the others."""
    config = vanilla.get_config("tiny")
    own = search.Search(output, config, {RATE: space.Range(1e-4, 1.1e-4)}, CHOICES, goal, "random", 7, prune=True)
    claims = own.claims(lambda name, member: command(output, 0.3, name, {**member, RATE: 0.4}))
    processes.run_each(claims, output, 1, own.ended, own.stop)
    return own


def test_diverged_trials_count_and_broken_ones_fail(tmp_path):
    output = tmp_path / "search"
    config = vanilla.get_config("tiny")
    own = search.Search(output, config, RANGES, CHOICES, GOOD, "tpe", 2)

    def commands(name, member):
        broken = [sys.executable, "-c", "raise SystemExit('no')"]
        return broken if name == "trial-0001" else command(output, 0, name, {RATE: 1.0})

    processes.run_each(own.claims(commands), output, 1, own.ended, own.stop)
    assert states(own) == ["PRUNED", "FAIL"]
    assert own.best() is None
    text = own.markdown()
    assert "diverged: Step 3: all is nan." in text
    assert "exit status 1: no" in text


def test_a_score_that_runs_do_not_have_stops_the_search(tmp_path):
    with pytest.raises(UsageError, match="no score 'god'; it has good"):
        take_part(tmp_path / "search", 5, goal=space.Goal("god", True))
    assert not (tmp_path / "search" / "trial-0001").exists()


def test_another_search_in_the_same_study_is_refused(tmp_path):
    take_part(tmp_path / "search", 1)
    with pytest.raises(UsageError, match=r"goal: .*good.* -> .*bad"):
        take_part(tmp_path / "search", 1, goal=space.Goal("bad", True))
    with pytest.raises(UsageError, match=f"search {RATE}"):
        take_part(tmp_path / "search", 1, ranges={RATE: space.Range(1e-5, 1.0, True)})


def test_ranges_are_of_the_fields_kind():
    config = vanilla.get_config("tiny")
    found = space.distributions(
        config, {"batch_size": space.Range(8.0, 64.0, True), **RANGES}, {"seeds": ["a", (1, 2)]}
    )
    assert found["batch_size"] == space.IntDistribution(8, 64, log=True)
    assert found[RATE] == space.FloatDistribution(1e-4, 1e-1, log=True)
    assert found["seeds"].choices == ("a", "(1, 2)")


def test_with_a_validation_split_the_test_split_chooses_nothing(tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps({"good": {"value": 9.0}}))
    (tmp_path / "score_history.json").write_text(json.dumps({"good": {"9": 1.0, "10": 2.0}}))
    assert space.Goal("good", True, validation=True).reached(tmp_path, 10) == 2.0
    assert space.Goal("good", True).reached(tmp_path, 10) == 9.0


def test_values_on_the_way_are_scores_or_means_of_a_metric(tmp_path):
    (tmp_path / "score_history.json").write_text(json.dumps({"good": {"10": 1.0, "20": 2.0}}))
    assert GOOD.on_the_way(tmp_path, 40) == {10: 1.0, 20: 2.0}
    lines = [{"step": step, "generator/loss": step} for step in range(1, 51)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = space.Goal("generator/loss", False).on_the_way(tmp_path, 400)
    assert found == {20: 10.5, 40: 30.5}
    assert space.Goal("generator/loss", False).reached(tmp_path, 50) == 49.0
    with pytest.raises(UsageError, match="no metric 'generator/los' at its end; it has generator/loss"):
        space.Goal("generator/los", False).reached(tmp_path, 50)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--grid=seed=0,1", "--trials=3"], ["--trials belongs to --search"]),
        (["--search=tpe", "--trials=3"], ["--maximize=SCORE"]),
        (["--search=tpe", "--trials=3", "--maximize=a"], ["nothing to search"]),
        (["--search=tpe", "--trials=3", "--maximize=a", "--grid=seed=0,1"], ["lucky"]),
        (["--search=tpe", "--trials=3", "--maximize=a", "--range=batch_size=8"], ["FIELD=LOW,HIGH"]),
        (["--search=tpe", "--trials=3", "--maximize=a", "--range=batch_size=9,8"], ["batch_size=9"]),
        (["--search=tpe", "--trials=3", "--maximize=a", "--range=bath_size=8,16"], ["'bath_size'"]),
        (["--search=tpe", "--trials=3", "--maximize=a", "--grid=model.generator=None1"], ["no network 'None1'"]),
        (["--search=tpe", "--trials=3", "--maximize=a", "--grid=batch_size=8", "--submit=local"], ["--submit"]),
    ],
)
def test_the_command_refuses(arguments, words, tmp_path):
    output = tmp_path / "search"
    config = "--config=experiments/configs/vanilla.py:tiny"
    assert_refused(programs.call("sweep", config, f"--output={output}", *arguments), *words)
    assert not output.exists()
