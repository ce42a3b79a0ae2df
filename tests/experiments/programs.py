"""Runs the commands as a user would, in processes of their own."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = "experiments/configs/inpainting.py"

# Commands start from a process that has done their imports, which take seconds.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["experiments.train", "tensorflow"])


def command(name, *arguments):
    return [sys.executable, "-m", f"experiments.{name}", *map(str, arguments)]


def environment():
    # One device, as on a user's machine; the cache folder is this test session's.
    return os.environ | {"PYTHONUNBUFFERED": "1", "JAX_PLATFORMS": "cpu"}


def start(folder, name, *arguments):
    """A running process, whose output goes into the files `output` and `errors` of a folder."""
    paths = [os.path.join(folder, stream) for stream in ("output", "errors")]
    process = SERVER.Process(target=_run, args=(command(name, *arguments), environment(), paths))
    process.start()
    return process


def call(name, *arguments):
    """A finished process with its output; a hang is an error."""
    with tempfile.TemporaryDirectory() as folder:
        process = start(folder, name, *arguments)
        process.join(300)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"experiments.{name} is still running")
        output, errors = (Path(folder, stream).read_text() for stream in ("output", "errors"))
        return subprocess.CompletedProcess(name, process.exitcode, output, errors)


def _run(command, environment, paths):
    """What `python -m` does, in a process that was forked."""
    for stream, path in enumerate(paths, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    _, _, module, *arguments = command
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
