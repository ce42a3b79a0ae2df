"""Runs as jobs: processes of this machine, and those of a cluster that is played by three small programs."""

import os
import signal
import stat
import sys
from pathlib import Path

import pytest
import submitit

from experiments import runs
from experiments.commands import UsageError
from experiments.interrupts import Interrupted
from experiments.sweep import job, submission
from tests.experiments import programs
from tests.experiments.test_commands import assert_refused
from tests.experiments.test_search import wait_for

# Counts its starts; the first is stopped by SIGTERM, as a run is, and a later one ends.
STOPPABLE = """
import pathlib, signal, sys, time
starts = pathlib.Path(sys.argv[1])
with open(starts, "a") as file:
    file.write("x")
signal.signal(signal.SIGTERM, lambda *_: (print("checkpoint", flush=True), sys.exit(143)))
while starts.read_text() == "x":
    time.sleep(0.02)
print("done")
"""

SBATCH = """
import os, pathlib, subprocess, sys
folder = pathlib.Path(__file__).parent
number = str(100 + len(list(folder.glob("submitted-*"))))
(folder / f"submitted-{number}").write_text("")
tasks = [""]
for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
    if line.startswith("#SBATCH --array="):
        tasks = [f"_{task}" for task in range(int(line.split("-")[-1].split("%")[0]) + 1)]
for task in tasks:
    own = {"SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NODEID": "0"}
    own |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    if task:
        own |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": task[1:]}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen(["bash", sys.argv[1]], env=os.environ | own, **quiet)
    (folder / f"task-{number}{task}").write_text(str(process.pid))
print(f"Submitted batch job {number}")
"""
SRUN = """
import os, sys
command = sys.argv[sys.argv.index("--error") + 2 :]
os.execvp(command[0], command)
"""
SACCT = """
import os, pathlib
print("JobID|State|NodeList")
for path in pathlib.Path(__file__).parent.glob("task-*"):
    try:
        with open(f"/proc/{path.read_text()}/stat") as file:
            alive = file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        alive = False
    print(f"{path.name.removeprefix('task-')}|{'RUNNING' if alive else 'COMPLETED'}|here")
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder with SLURM's programs, on the PATH."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, program in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        (folder / name).write_text(f"#!{sys.executable}\n{program}")
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(programs.ROOT))
    return folder


def stoppable(path):
    return [sys.executable, "-c", STOPPABLE, str(path)]


def wait_for_jobs(output, cluster, commands):
    try:
        submission.Jobs(output, cluster, {"timeout_min": 60}).run(commands, 2, {})
    except Interrupted as interrupted:
        sys.exit(interrupted.status)


def test_each_job_has_its_log_and_its_exit_status(tmp_path, monkeypatch):
    monkeypatch.chdir(programs.ROOT)
    python = [sys.executable, "-c"]
    commands = {"whole": [*python, "print('done')"], "broken": [*python, "raise SystemExit('no')"]}
    jobs = submission.Jobs(tmp_path / "sweep", "local", submission.options(["partition=gpu", "cpus_per_task=1"]))
    assert jobs.run(commands, 1, {}) == {"whole": 0, "broken": 1}
    assert (tmp_path / "sweep" / "whole.log").read_text() == "done\n"
    assert (tmp_path / "sweep" / "broken.log").read_text() == "no\n"


def test_a_job_that_is_cut_off_ends_its_run_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(programs.ROOT)
    executor = submitit.AutoExecutor(tmp_path / "jobs", "local")
    executor.update_parameters(timeout_min=60)
    submitted = executor.submit(job.Job(stoppable(tmp_path / "starts"), tmp_path / "log"))
    wait_for((tmp_path / "starts").exists)
    os.kill(_task_of(submitted), signal.SIGUSR2)
    assert submitted.result() == 0
    assert (tmp_path / "starts").read_text() == "xx"
    assert (tmp_path / "log").read_text() == "checkpoint\ndone\n"


def _task_of(submitted):
    """The process in which submitit calls what was submitted."""
    children = Path(f"/proc/{submitted.job_id}/task/{submitted.job_id}/children")
    (task,) = children.read_text().split()
    return int(task)


def test_jobs_of_a_cluster_outlive_the_command_and_are_not_submitted_twice(slurm, tmp_path, monkeypatch):
    monkeypatch.chdir(programs.ROOT)
    output = tmp_path / "sweep"
    commands = {name: stoppable(tmp_path / name) for name in ("a", "b")}
    process = programs.SERVER.Process(target=_with_path, args=(os.environ["PATH"], output, commands))
    process.start()
    wait_for(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)
    assert process.exitcode == 143
    underway = submission.known(output, "slurm")
    assert set(underway) == {"a", "b"}
    for name in commands:
        (tmp_path / name).write_text("go on")
    assert submission.Jobs(output, "slurm", {"timeout_min": 60}).run(commands, 2, underway) == {"a": 0, "b": 0}
    assert [(tmp_path / name).read_text() for name in commands] == ["go on"] * 2
    assert [path.name for path in slurm.glob("submitted-*")] == ["submitted-100"]  # one array of two
    assert runs.read_json(output / ".jobs" / "jobs.json") == {"a": "100_0", "b": "100_1"}
    assert submission.known(output, "slurm") == {}


def _with_path(path, *arguments):
    os.environ |= {"PATH": path, "PYTHONPATH": str(programs.ROOT)}
    os.chdir(programs.ROOT)
    wait_for_jobs(arguments[0], "slurm", arguments[1])


def test_options():
    found = submission.options(["partition=gpu", "gpus_per_node=2", "slurm_qos=high", "array_parallelism=4"])
    assert found == {
        "slurm_partition": "gpu",
        "gpus_per_node": 2,
        "slurm_qos": "high",
        "slurm_array_parallelism": 4,
    }
    with pytest.raises(UsageError, match="'gpu' is not of the form"):
        submission.options(["gpu"])


def test_an_option_that_slurm_does_not_have(slurm, tmp_path):
    with pytest.raises(UsageError, match="'partion'"):
        submission.Jobs(tmp_path / "sweep", "slurm", submission.options(["timeout_min=60", "partion=gpu"]))


@pytest.mark.parametrize(
    ("options", "words"),
    [([], ["timeout_min"]), (["timeout_min=60"], ["srun"])],
)
def test_the_command_refuses(options, words, tmp_path):
    output = tmp_path / "sweep"
    arguments = [
        "--config=experiments/configs/vanilla.py:tiny",
        f"--output={output}",
        "--grid=seed=0",
        "--submit=slurm",
    ]
    arguments += [f"--submit_options={','.join(options)}"] if options else []
    assert_refused(programs.call("sweep", *arguments), *words)
    assert not output.exists()
