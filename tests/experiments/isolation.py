"""Runs programs where nothing of this project, nor what it is built on, can be imported."""

import os
import subprocess
import sys

BLOCKED = ("gans", "experiments", "data_pipelines", "flax", "optax", "orbax", "tensorflow")
BLOCKER = f"""\
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocker())
"""


def run(program, folder):
    """The output of a Python program, run in `folder` with jax, numpy and the standard library."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    finished = subprocess.run(
        [sys.executable, "-c", BLOCKER + program],
        cwd=folder,
        env=environment | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
