from tests.experiments import programs


def test_it_prints_a_row_for_a_population():
    config = "--config=experiments/configs/vanilla.py:tiny"
    done = programs.call("benchmarks.population", config, "--sizes=2", "--forms=vmap", "--seconds=0")
    assert done.returncode == 0, done.stderr
    head, _, *rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert head == "| members | one after another | vmap |"
    assert [row.split(" | ")[0] for row in rows] == ["| 2"]
    for row in rows:
        assert all(float(cell.split()[0]) > 0 for cell in row.strip("| ").split(" | ")[1:])
