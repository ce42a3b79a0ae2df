"""Runs commands side by side, each on processor cores of its own."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.commands import UsageError
from experiments.train import Interrupted, Interrupts


class _Running(NamedTuple):
    name: str
    process: subprocess.Popen
    cores: list[int] | None
    begin: float


def core_groups(jobs: int) -> list[list[int] | None]:
    """The cores that this process may use, in as many groups of neighbours; None each where a system cannot pin.

    Raises:
      UsageError: if there are fewer cores than jobs.
    """
    if not hasattr(os, "sched_getaffinity"):
        return [None] * jobs
    cores = sorted(os.sched_getaffinity(0))
    if jobs > len(cores):
        raise UsageError(f"--jobs={jobs}: there are only {len(cores)} cores; give each job one at least.")
    return [group.tolist() for group in np.array_split(cores, jobs)]


def run_all(commands: Mapping[str, Sequence[str]], folder: Path, jobs: int) -> dict[str, int]:
    """Runs commands in their order, `jobs` at a time; one that fails does not end the others.

    Args:
      commands: {name: program and arguments}.
      folder: where what a command says goes, into `name`.log.
      jobs: how many at once; each has a group of the cores to itself.

    Returns:
      {name: exit status}.

    Raises:
      UsageError: if there are fewer cores than jobs.
      Interrupted: after SIGTERM or SIGINT, which is passed on and waited for.
    """
    waiting, free = list(commands.items()), core_groups(jobs)
    running, statuses = [], {}
    with Interrupts() as interrupts:
        while (waiting or running) and not interrupts.number:
            while waiting and free:
                running.append(_start(*waiting.pop(0), folder, free.pop(0)))
            time.sleep(0.2)
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                free.append(one.cores)
                statuses[one.name] = one.process.returncode
                seconds = time.monotonic() - one.begin
                print(f"{one.name}: exit status {one.process.returncode}, {seconds:.0f} s", flush=True)
        for one in running:
            one.process.terminate()
        for one in running:
            one.process.wait()
    if interrupts.number:
        raise Interrupted(interrupts.number)
    return statuses


def _start(name, command, folder, cores):
    print(f"{name}: started, log in {folder / name}.log", flush=True)
    with open(folder / f"{name}.log", "w") as log, _pinned(cores):
        # In a session of its own a Ctrl-C reaches it only once, through `run_all`.
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    return _Running(name, process, cores, time.monotonic())


@contextlib.contextmanager
def _pinned(cores: list[int] | None) -> Iterator[None]:
    """What this thread starts meanwhile inherits its cores, from the first instruction on."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
