"""Runs commands side by side, each on processor cores of its own."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.commands import UsageError
from experiments.interrupts import Interrupted, Interrupts


class Command(NamedTuple):
    """A program with its arguments; the open files `keep` stay open in it."""

    name: str
    arguments: Sequence[str]
    keep: Sequence[int] = ()


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
    statuses = {}
    run_each((Command(name, command) for name, command in commands.items()), folder, jobs, statuses.__setitem__)
    return statuses


def run_each(
    commands: Iterator[Command | None],
    folder: Path,
    jobs: int,
    ended: Callable[[str, int], None],
    stop: Callable[[str], bool] = lambda name: False,
) -> None:
    """As `run_all`, for commands that are thought of one after another.

    Args:
      commands: the next whenever there are cores for it; None where there is nothing to be done at present.
      folder, jobs: as for `run_all`.
      ended: gets a command's name and exit status.
      stop: is asked again and again whether the command of this name is to be terminated.
    """
    free, running, left = core_groups(jobs), [], True
    with Interrupts() as interrupts:
        while (left or running) and not interrupts.number:
            while left and free:
                try:
                    command = next(commands)
                except StopIteration:
                    left = False
                else:
                    if command is None:
                        break
                    running.append(_start(command, folder, free.pop(0)))
            time.sleep(0.2)
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                free.append(one.cores)
                seconds = time.monotonic() - one.begin
                print(f"{one.name}: exit status {one.process.returncode}, {seconds:.0f} s", flush=True)
                ended(one.name, one.process.returncode)
            for one in running:
                if stop(one.name):
                    one.process.terminate()
        for one in running:
            one.process.terminate()
        for one in running:
            one.process.wait()
    if interrupts.number:
        raise Interrupted(interrupts.number)


def _start(command, folder, cores):
    log = folder / f"{command.name}.log"
    print(f"{command.name}: started, log in {log}", flush=True)
    with open(log, "w") as file, _pinned(cores):
        # In a session of its own a Ctrl-C reaches it only once, through `run_each`.
        process = subprocess.Popen(
            command.arguments, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, pass_fds=command.keep
        )
    return _Running(command.name, process, cores, time.monotonic())


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
