import pytest

from tests.experiments import programs


def test_the_benchmark_compares_equal_networks():
    pytest.importorskip("torch")
    done = programs.call("benchmarks.enlarge", "--pairs=2", "--side=8", "--blocks=1")
    assert done.returncode == 0, done.stderr
    assert "PyTorch / ours" in done.stdout
