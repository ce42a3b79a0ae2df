"""Starts a run of several processes on this machine, each with CPU devices of its own."""

import os
import socket

from tests.experiments import programs

ARGUMENTS = (
    "--config=experiments/configs/vanilla.py:document,tiny",
    "--config.data.loader=memory",
    "--config.judge=None",
    "--config.score_every=0",
    "--config.checkpoint_every=2",
    "--config.sample_every=4",
)


def free_port():
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


def start_one(folder, number, processes, devices, port, *arguments):
    """One running process of several, or of one; its `output` and `errors` lie in folder/<its number>."""
    (folder / str(number)).mkdir(parents=True, exist_ok=True)
    if processes > 1:
        arguments += (f"--coordinator=localhost:{port}", f"--processes={processes}", f"--process={number}")
    before = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{before} --xla_force_host_platform_device_count={devices}"
    try:
        return programs.start(folder / str(number), "run", *arguments)
    finally:
        os.environ["XLA_FLAGS"] = before


def start(folder, processes, devices, *arguments):
    """All of the running processes."""
    port = free_port()
    return [start_one(folder, number, processes, devices, port, *arguments) for number in range(processes)]


def statuses(started, seconds=300):
    """The exit statuses; a hang is an error."""
    for process in started:
        process.join(seconds)
    running = [process for process in started if process.is_alive()]
    for process in running:
        process.kill()
    assert not running, f"{len(running)} of {len(started)} processes are still running"
    return [process.exitcode for process in started]


def said(folder, number, stream="errors"):
    return (folder / str(number) / stream).read_text()


def told(folder, number):
    """The messages of errors: JAX and Gloo write lines of their own into the same stream."""
    return [line for line in said(folder, number).splitlines() if line.startswith(("error:", "Traceback"))]
