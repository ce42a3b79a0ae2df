"""Runs as jobs of a cluster, through submitit.

A job whose time is up, or that makes room for another, ends its run, which writes a checkpoint, and is queued again.
Jobs of SLURM outlive the command that has submitted them; which these were stands in OUTPUT/.jobs/jobs.json.
"""

import ast
import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import submitit

from experiments import runs
from experiments.commands import UsageError
from experiments.interrupts import Interrupted, Interrupts
from experiments.sweep.job import Job

TIMES_UP = 1000  # how often a job may use up its time and be queued again
MONTH = 30 * 24 * 60  # minutes: a process on this machine is never cut off
SHARED = {"name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node"}


def options(texts: Sequence[str]) -> dict[str, Any]:
    """Options of submitit from NAME=VALUE; those that not all clusters know are SLURM's.

    Raises:
      UsageError: for another form.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--submit_options: {text!r} is not of the form NAME=VALUE.")
        with contextlib.suppress(ValueError, SyntaxError):
            value = ast.literal_eval(value)
        found[name if name in SHARED or name.startswith(("slurm_", "local_")) else f"slurm_{name}"] = value
    return found


def known(output: Path, cluster: str) -> dict[str, submitit.Job]:
    """Jobs of an earlier command that are still waiting or running, by their runs' names."""
    path = output / ".jobs" / "jobs.json"
    if cluster == "local" or not path.is_file():
        return {}  # processes of this machine end with the command
    found = {name: submitit.SlurmJob(path.parent, job) for name, job in runs.read_json(path).items()}
    return {name: job for name, job in found.items() if not job.done() and job.state != "UNKNOWN"}


class Jobs:
    """The jobs of a sweep."""

    def __init__(self, output: Path, cluster: str, given: Mapping[str, Any]):
        """Jobs of the cluster 'slurm', or processes of this machine, 'local'.

        Raises:
          UsageError: if there is no such cluster, or for options that it does not have.
        """
        self._output, self._cluster, self._folder = output, cluster, output / ".jobs"
        if cluster == "slurm" and not {"timeout_min", "slurm_time"} & set(given):
            raise UsageError("--submit=slurm needs --submit_options=timeout_min=MINUTES, a job's time.")
        try:
            self._executor = submitit.AutoExecutor(self._folder, cluster, **{f"{cluster}_max_num_timeout": TIMES_UP})
            self._executor.update_parameters(**{"name": output.resolve().name, "timeout_min": MONTH} | dict(given))
        except (RuntimeError, NameError, ValueError, AssertionError) as error:
            raise UsageError(f"--submit={cluster}: {str(error).splitlines()[0]}") from error

    def run(
        self, commands: Mapping[str, Sequence[str]], at_once: int, underway: Mapping[str, submitit.Job]
    ) -> dict[str, int]:
        """Submits commands, `at_once` at a time, and waits for their jobs.

        Args:
          commands: {name: program and arguments}.
          at_once: how many jobs may be waiting or running.
          underway: jobs that are so already; they are waited for, and not submitted again.

        Returns:
          {name: exit status}, 1 for a job that was lost.

        Raises:
          Interrupted: after SIGTERM or SIGINT; jobs of SLURM go on.
        """
        active, statuses = dict(underway), {}
        waiting = [name for name in commands if name not in active]
        for name, job in active.items():
            print(f"{name}: is job {job.job_id}", flush=True)
        with Interrupts() as interrupts:
            while (waiting or active) and not interrupts.number:
                count = max(at_once - len(active), 0)
                active |= self._submit({name: commands[name] for name in waiting[:count]})
                waiting = waiting[count:]
                time.sleep(0.5)
                for name in [name for name, job in active.items() if job.done()]:
                    statuses[name] = _status(name, active.pop(name))
            if interrupts.number and self._cluster == "local":
                for job in active.values():
                    job.cancel()
                for job in active.values():
                    job.wait()
        if interrupts.number:
            raise Interrupted(interrupts.number)
        return statuses

    def _submit(self, commands):
        if not commands:
            return {}
        with self._executor.batch():
            jobs = {
                name: self._executor.submit(Job(command, self._output / f"{name}.log"))
                for name, command in commands.items()
            }
        path = self._folder / "jobs.json"
        old = runs.read_json(path) if path.is_file() else {}
        runs.write_json(path, old | {name: job.job_id for name, job in jobs.items()})
        for name, job in jobs.items():
            print(f"{name}: submitted as job {job.job_id}, log in {self._output / name}.log", flush=True)
        return jobs


def _status(name, job):
    error = job.exception()
    status = 1 if error else job.result()
    print(f"{name}: " + (f"lost, {str(error).splitlines()[0]}" if error else f"exit status {status}"), flush=True)
    return status
