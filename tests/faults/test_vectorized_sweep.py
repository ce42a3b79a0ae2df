"""A sweep that trains its members as one population is stopped, and goes on."""

import os
import signal
import time

from experiments import logs
from tests.experiments import programs
from tests.experiments.test_vectorized import FIELDS, RATE


def test_a_vectorized_sweep_that_is_stopped_goes_on(tmp_path):
    output = tmp_path / "sweep"
    members = [{"seed": 0}, {"seed": 1}, {"seed": 2, RATE: 1e30}, {"seed": 3}]
    (tmp_path / "mine.py").write_text(f"def get_sweep():\n    return {members}\n")
    fields = FIELDS | {"phases.adversarial.steps": 150, "checkpoint_every": 50, "sample_every": 150}
    config = ["--config=experiments/configs/vanilla.py:tiny"]
    config += [f"--config.{path}={value}" for path, value in fields.items()]
    arguments = (*config, f"--output={output}", f"--members={tmp_path / 'mine.py'}", "--vectorize")
    process = programs.start(tmp_path, "sweep", *arguments)
    deadline = time.monotonic() + 200
    while not logs.read_metrics(output / "seed=0") and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    process.join(100)
    assert process.exitcode == 143
    assert not (output / "seed=1" / "scores.json").exists()

    # One goes on by itself, the others together, those that have ended not at all.
    alone = programs.call("run", *config, "--config.seed=0", f"--workdir={output / 'seed=0'}")
    assert alone.returncode == 0, alone.stderr
    assert "Going on from step" in alone.stdout
    scored = (output / "seed=0" / "scores.json").stat().st_mtime_ns
    done = programs.call("sweep", *arguments)
    assert done.returncode == 0, done.stderr
    assert "population-0: seed=1, seed=3" in done.stdout
    assert (output / "seed=0" / "scores.json").stat().st_mtime_ns == scored
    table = (output / "table.md").read_text()
    lines = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:3] for line in table.splitlines() if " | " in line}
    assert lines["all"] == ["3", "0"]
    assert lines["learning_rate=1e+30"] == ["1", "1"]
