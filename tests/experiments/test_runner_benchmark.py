from tests.experiments import programs


def test_the_benchmark_of_the_runner_prints_a_ratio():
    config = "--config=experiments/configs/vanilla.py:tiny"
    done = programs.call("benchmarks.runner", config, "--pairs=2", "--steps=2", "--config.data.loader=memory")
    assert done.returncode == 0, done.stderr
    assert "median" in done.stdout
