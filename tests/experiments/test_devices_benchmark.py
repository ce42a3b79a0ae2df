import subprocess

from tests.experiments import programs


def test_a_row_for_each_number_of_devices():
    config = "--config=experiments/configs/vanilla.py:tiny"
    command = programs.command("benchmarks.devices", config, "--turns=1", "--seconds=0")
    # JAX reads it when it is imported, so this needs a process that has not done so.
    environment = programs.environment() | {"JAX_NUM_CPU_DEVICES": "3"}
    done = subprocess.run(command, env=environment, cwd=programs.ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    _, _, *rows = [line.strip("|").split("|") for line in done.stdout.splitlines() if line.startswith("|")]
    assert [int(row[0]) for row in rows] == [1, 2, 3]
    assert all(float(row[1]) > 0 for row in rows)
