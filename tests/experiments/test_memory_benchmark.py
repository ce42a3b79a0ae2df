from tests.experiments import programs


def test_the_benchmark_of_memory_prints_both_ends():
    options = ("--steps=100", "--config.data.loader=memory", "--config.judge.epochs=1")
    done = programs.call("benchmarks.memory", "--config=experiments/configs/vanilla.py:tiny", *options)
    assert done.returncode == 0, done.stderr
    assert "MB in the last" in done.stdout
    assert "at most" in done.stdout
