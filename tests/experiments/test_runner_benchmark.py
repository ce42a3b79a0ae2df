import time

import jax
import jax.numpy as jnp
import pytest

from experiments.benchmarks import idle
from tests.experiments import programs


def test_the_benchmark_of_the_runner_prints_a_ratio():
    config = "--config=experiments/configs/vanilla.py:tiny"
    done = programs.call("benchmarks.runner", config, "--pairs=2", "--steps=2", "--config.data.loader=memory")
    assert done.returncode == 0, done.stderr
    assert "median" in done.stdout
    assert "devices idle, by a profile of 2 steps" in done.stdout


def test_idle_time_is_what_no_work_covers():
    assert idle.gaps([(10, 20), (12, 30), (40, 45), (30, 35)]) == pytest.approx(5 / 35)
    assert idle.gaps([(0, 4), (1, 2), (4, 9)]) == 0


def test_a_loop_that_lets_the_device_wait_is_seen():
    double = jax.jit(lambda x: 2 * x)
    x = jax.block_until_ready(double(jnp.ones((4, 4))))

    def waits():
        for _ in range(3):
            jax.block_until_ready(double(x))
            time.sleep(0.2)

    assert idle.idle_share(waits) > 0.5
