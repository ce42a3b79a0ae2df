import re

import pytest

from tests.experiments import programs


def test_the_benchmark_compares_equal_networks():
    pytest.importorskip("torch")
    done = programs.call("benchmarks.enlarge", "--turns=2", "--seconds=0", "--side=8")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\| torch \| [\d.]+ \| [\d.]+ \(", done.stdout, re.MULTILINE)
