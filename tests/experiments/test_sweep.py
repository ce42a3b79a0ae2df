"""Members of a sweep, and a sweep that is stopped and goes on."""

import json
import os
import signal
import time

import pytest

from experiments import sweep
from experiments.commands import UsageError, fields_of
from experiments.configs import inpainting, vanilla
from tests.experiments import programs
from tests.experiments.test_commands import assert_refused

RATE = "optimizers.adversarial.generator.learning_rate"
OTHER_RATE = "optimizers.adversarial.discriminator.learning_rate"


def test_a_grid_has_every_combination_and_leaves_the_config_alone():
    config = inpainting.get_config("tiny")
    before = fields_of(config)
    members = sweep.grid({RATE: (1e-3, 2e-3), "seed": (0, 1, 2)})
    found = [
        (member.optimizers.adversarial.generator.learning_rate, member.seed) for member in sweep.expand(config, members)
    ]
    assert found == [(1e-3, 0), (1e-3, 1), (1e-3, 2), (2e-3, 0), (2e-3, 1), (2e-3, 2)]
    assert fields_of(config) == before
    changed = [
        name for name, value in fields_of(list(sweep.expand(config, members))[-1]).items() if value != before[name]
    ]
    assert set(changed) == {RATE, "seed"}


def test_a_field_can_be_emptied():
    (config,) = sweep.expand(inpainting.get_config(), [{"coefficients.adversarial": None}])
    assert config.coefficients.adversarial is None


@pytest.mark.parametrize(
    ("member", "words"),
    [({"sed": 1}, "'sed'"), ({"seed.deep": 1}, "'seed.deep'"), ({"batch_size": "many"}, "batch_size to 'many'")],
)
def test_what_does_not_fit_the_config_is_refused(member, words):
    with pytest.raises(UsageError, match=words):
        list(sweep.expand(vanilla.get_config(), [member]))


def test_names_are_short_and_tell_members_apart():
    assert sweep.names([{RATE: 1e-3, "seed": 0}]) == ["learning_rate=0.001-seed=0"]
    both = sweep.names([{RATE: 1e-3}, {OTHER_RATE: 1e-3}])
    assert both == ["generator.learning_rate=0.001", "discriminator.learning_rate=0.001"]
    assert sweep.names([{"data.maps": ("a/b", "c")}]) == ["maps=_a_b_c_"]
    assert sweep.names([{"a": 1}, {"b.a": 1}]) == ["a=1", "b.a=1"]
    with pytest.raises(UsageError, match="Two members of the sweep are seed=1"):
        sweep.names([{"seed": 1}, {"seed": 1}])
    for nothing in ([], [{}]):
        with pytest.raises(UsageError, match="no members"):
            sweep.names(nothing)


def test_rows_are_what_differs_beside_the_seed():
    members = sweep.grid({RATE: (1e-3, 2e-3), "seed": (0, 1)})
    rows = sweep.rows(dict(zip("abcd", members, strict=True)))
    assert rows == {"a": "learning_rate=0.001", "b": "learning_rate=0.001"} | {
        "c": "learning_rate=0.002",
        "d": "learning_rate=0.002",
    }
    assert set(sweep.rows(dict(zip("ab", sweep.grid({"seed": (0, 1)}), strict=True))).values()) == {"all"}


def test_a_file_yields_members(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def get_sweep():\n    for seed in range(2):\n        yield {'seed': seed}\n")
    assert sweep.read_file(path) == [{"seed": 0}, {"seed": 1}]
    path.write_text("def get_sweep():\n    return [3]\n")
    with pytest.raises(UsageError, match="yields 3"):
        sweep.read_file(path)
    path.write_text("sweep = 1\n")
    with pytest.raises(UsageError, match="no function"):
        sweep.read_file(path)
    with pytest.raises(UsageError, match="no file"):
        sweep.read_file(tmp_path / "none.py")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--grid", "--members"]),
        (["--grid=seed"], ["FIELD=VALUE"]),
        (["--grid=sed=1"], ["'sed'"]),
        (["--grid=model.generator=None1"], ["generator=None1", "no network 'None1'"]),
        (["--grid=seed=0,0"], ["Two members"]),
        (["--grid=seed=0", "--config.batch_size", "8"], ["--config.batch_size=VALUE"]),
    ],
)
def test_the_command_refuses(arguments, words, tmp_path):
    output = tmp_path / "sweep"
    config = "--config=experiments/configs/vanilla.py:tiny"
    assert_refused(programs.call("sweep", config, f"--output={output}", *arguments), *words)
    assert not output.exists()


def test_a_sweep_that_is_stopped_goes_on(tmp_path):
    output = tmp_path / "sweep"
    members = [{"seed": 0}, {"seed": 0, RATE: 1e30}, {"seed": 1}]
    (tmp_path / "mine.py").write_text(f"def get_sweep():\n    return {members}\n")
    arguments = (
        "--config=experiments/configs/vanilla.py:tiny",
        "--config.data.loader=memory",
        "--config.score_every=0",
        f"--output={output}",
        f"--members={tmp_path / 'mine.py'}",
    )
    process = programs.start(tmp_path, "sweep", *arguments)
    deadline = time.monotonic() + 200
    while not (output / "seed=0-learning_rate=1e+30.log").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    process.join(100)
    assert process.exitcode == 143
    scored = (output / "seed=0" / "scores.json").stat().st_mtime_ns
    assert not (output / "table.md").exists()

    done = programs.call("sweep", *arguments)
    assert done.returncode == 1, done.stderr  # one diverged, which did not stop the others
    assert (output / "seed=0" / "scores.json").stat().st_mtime_ns == scored
    assert json.loads((output / "seed=1" / "config.json").read_text())["config"]["seed"] == 1
    table = (output / "table.md").read_text()
    assert table in done.stdout
    lines = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:3] for line in table.splitlines() if " | " in line}
    assert lines["all"] == ["2", "0"]
    assert lines["learning_rate=1e+30"] == ["1", "1"]
    assert "±" in table
