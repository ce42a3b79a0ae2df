"""One run that is killed fifty times, at random moments of its whole life."""

import random
import signal
import time

from tests.experiments import programs
from tests.experiments.test_resume import ARGUMENTS, assert_same_run, lines, unfinished_checkpoints, wait_for

STEPS = 1_500
LONG = (
    *ARGUMENTS,
    f"--config.phases.adversarial.steps={STEPS}",
    "--config.checkpoint_every=5",
    "--config.sample_every=50",
)


def test_killed_fifty_times_it_ends_as_if_it_had_not_been(tmp_path):
    whole, workdir, chance = tmp_path / "whole", tmp_path / "killed", random.Random(1)
    assert programs.call("run", *LONG, f"--workdir={whole}").returncode == 0
    inside_a_checkpoint = 0
    for kill in range(50):
        process = programs.start(tmp_path, "run", *LONG, f"--workdir={workdir}")
        known = lines(workdir)
        # A third of the kills while it starts, the others within its first 30 steps, some checkpoints among them.
        if kill % 3 == 0:
            time.sleep(chance.uniform(0, 3))
        else:
            steps = known + chance.randint(1, 30)
            assert wait_for(lambda steps=steps: lines(workdir) >= steps, process)
            time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        inside_a_checkpoint += bool(unfinished_checkpoints(workdir))
    assert inside_a_checkpoint > 3
    finished = programs.call("run", *LONG, f"--workdir={workdir}")
    assert finished.returncode == 0, finished.stderr
    assert_same_run(workdir, whole, STEPS)
    print(f"50 kills survived, {inside_a_checkpoint} of them inside a checkpoint")
