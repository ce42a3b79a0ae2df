"""The benchmark of the heap in its smallest form."""

from tests.experiments import programs


def test_both_sides_take_turns():
    done = programs.call("benchmarks.heap", "--family=vanilla", "--turns=1", "--seconds=0")
    assert done.returncode == 0, done.stderr
    without, settled = (line.split(" | ") for line in done.stdout.splitlines()[-2:])
    assert without[1] == "without"
    assert without[3] == "1.00 (1.00 to 1.00)"
    assert settled[1] == "settled"
    assert float(settled[2]) > 0


def test_an_unknown_row_is_refused():
    done = programs.call("benchmarks.heap", "--family=dcgan29")
    assert done.returncode == 2
    assert "dcgan28" in done.stderr
