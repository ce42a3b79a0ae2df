"""Runs the commands as a user would, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = "experiments/configs/inpainting.py"


def command(name, *arguments):
    return [sys.executable, "-m", f"experiments.{name}", *arguments]


def environment():
    # One device, as on a user's machine; the cache folder is this test session's.
    return os.environ | {"PYTHONUNBUFFERED": "1", "JAX_PLATFORMS": "cpu"}


def call(name, *arguments):
    """A finished process with its output; a hang is an error."""
    return subprocess.run(
        command(name, *map(str, arguments)), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300
    )


def start(name, *arguments, **options):
    return subprocess.Popen(command(name, *map(str, arguments)), cwd=ROOT, env=environment(), **options)
