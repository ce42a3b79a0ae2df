import importlib
import json
import os
import signal
import sys

import jax
import numpy as np
import pytest

from experiments import figures, processes, runs, table
from experiments.benchmarks import families
from experiments.commands import UsageError
from tests.experiments import programs
from tests.experiments.test_commands import assert_refused

PROTOCOL = {"data": "digits5k", "data_path": "", "steps": 600, "batch_size": 16, "torch_size": "32"}
HEALTHY = {"generator/diversity": 0.9, "discriminator/accuracy_real": 0.7, "discriminator/accuracy_fake": 0.7}
DIVERGED = "error: Step 340: the loss of the generator is nan. The last good checkpoint is kept in x/checkpoints.\n"


def write_run(output, name, scores=None, *, diversity=0.9, log=""):
    """A made-up run; `scores` are those of a finished one."""
    workdir = output / name
    (workdir / "samples").mkdir(parents=True)
    lines = [{"step": s, **HEALTHY, "generator/diversity": diversity, "seconds": 0.2 * s} for s in range(10, 601, 10)]
    for line in lines[30:]:
        line["seconds"] -= 60  # resumed after 300 steps
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table.log_of(workdir).write_text(log)
    if scores:
        entries = {n: {"value": value, "step": 600, "protocol": "test split, judge abc"} for n, value in scores.items()}
        runs.write_json(workdir / "scores.json", entries)
        shade = np.zeros((25, 28, 28, 1), np.uint8)
        shade[0] = 255
        figures.write(workdir / "samples" / "final.png", figures.grid(shade))


@pytest.fixture
def output(tmp_path):
    write_run(tmp_path, "dcgan-minimax-0", {"fid_digits_10k": 10.0, "modes_10": 10})
    write_run(tmp_path, "dcgan-minimax-1", {"fid_digits_10k": 14.0, "modes_10": 9})
    write_run(tmp_path, "dcgan-minimax-2", log=DIVERGED)
    write_run(tmp_path, "vanilla-0", {"fid_digits_10k": 20.0, "modes_10": 1}, diversity=0.1)
    write_run(tmp_path, "vanilla-1")
    write_run(tmp_path, "r3gan-0", log="Traceback\nValueError: no\n")
    runs.write_json(tmp_path / "protocol.json", PROTOCOL)
    return tmp_path


def cells(text, row):
    return [
        cell.strip() for line in text.splitlines() if line.startswith(f"| {row} ") for cell in line.split("|")[1:-1]
    ]


def test_the_table_counts_and_names_every_run(output):
    text = families.write_report(output, PROTOCOL)
    assert (output / "table.md").read_text() == text
    assert cells(text, "row") == ["row", "runs", "diverged", "collapsed", "fid_digits_10k", "modes_10", "minutes"]
    minimax = ["dcgan-minimax", "3", "1", "0", "12.00 ± 2.83 (n=2)", "9.5 ± 0.7 (n=2)", "2.0 ± 0.0 (n=2)"]
    assert cells(text, "dcgan-minimax") == minimax
    assert cells(text, "vanilla") == ["vanilla", "1", "0", "1", "20.00 (n=1)", "1.0 (n=1)", "2.0 (n=1)"]
    assert cells(text, "r3gan") == ["r3gan", "0", "0", "0", "–", "–", "–"]
    assert "- dcgan-minimax, seed 2 diverged and has no scores. Step 340: the loss of the generator is nan.\n" in text
    assert "- vanilla, seed 0: Step 500: the generator has collapsed" in text
    assert "- vanilla, seed 1 has not come to its end" in text
    assert text.count("Scores: test split, judge abc.") == 1


def test_scores_of_an_earlier_step_are_no_end(output):
    found = table.read(output, ["vanilla"], 700, families.dcgan.get_config().collapse, 10)
    assert [(result.seed, result.scores) for result in found] == [(0, {}), (1, {})]


def test_the_picture_has_the_first_samples_of_each_row(output):
    lines = table.picture(families.results_of(output, PROTOCOL))
    assert lines.shape[1] > table.SAMPLES * 28
    first = table._first_samples(output / "vanilla-0" / "samples" / "final.png")
    assert first.shape == (20, 28, 28, 1)
    assert first[0].min() == 1
    assert first[1:].max() == -1


@pytest.mark.parametrize("row", families.ROWS)
def test_each_row_is_a_run_that_its_program_accepts(row, tmp_path):
    adversarial = {"vanilla": "relativistic", "dcgan-wgan_gp": "wasserstein", "r3gan": "relativistic"}
    adversarial |= {"dcgan": "relativistic", "torch-dcgan": "non_saturating"}
    flags = families.command(row, 7, tmp_path / "run", PROTOCOL)[3:]
    given = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    file, presets = given["config"].split(":")
    config = importlib.import_module(f"experiments.configs.{file.rpartition('/')[2][:-3]}").get_config(presets)
    assert config.model.adversarial == adversarial.get(row, row.removeprefix("dcgan-"))
    assert (config.coefficients.gradient_penalty is None) == (row != "dcgan-wgan_gp")
    assert config.data.name == "digits5k"
    for name in (name.removeprefix("config.") for name in given if name.startswith("config.")):
        *folders, field = name.split(".")
        place = config
        for folder in folders:
            place = place[folder]
        assert field in place, name
    gan = runs.build(config)
    jax.eval_shape(lambda: runs.initial(config, gan))


def test_a_run_that_breaks_does_not_end_the_others(tmp_path):
    python = [sys.executable, "-c"]
    commands = {
        "broken": [*python, "raise SystemExit('no')"],
        "whole": [*python, "print('done')"],
        "last": [*python, "print('done')"],
    }
    assert processes.run_all(commands, tmp_path, 1) == {"broken": 1, "whole": 0, "last": 0}
    assert [(tmp_path / f"{name}.log").read_text() for name in commands] == ["no\n", "done\n", "done\n"]


def test_a_real_run_that_diverges_is_told_from_one_that_breaks(tmp_path):
    arrays = {"image": np.zeros((40, 28, 28, 1), np.uint8), "label": np.arange(40) % 10}
    few = {f"{split}_{name}": array for split in ("train", "test") for name, array in arrays.items()}
    np.savez(tmp_path / "few.npz", **few)
    protocol = PROTOCOL | {"steps": 3, "data_path": str(tmp_path / "few.npz")}
    command = families.command("vanilla", 0, tmp_path / "vanilla-0", protocol)
    command += ["--config.data.loader=memory", "--config.judge.epochs=1", "--config.judge.batch_size=16"]
    command += ["--config.optimizers.adversarial.generator.learning_rate=1e30"]
    assert processes.run_all({"vanilla-0": command}, tmp_path, 1) == {"vanilla-0": 1}
    (result,) = families.results_of(tmp_path, protocol)
    assert result.scores == {}
    assert result.stopped == "diverged"
    assert result.why.startswith("Step ")
    assert result.why.count(".") == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no processes")
def test_runs_side_by_side_share_no_core(tmp_path):
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        pytest.skip("one core")
    # Each waits for the other, so that they must be running at once.
    program = (
        "import os, pathlib, sys, time; here, there = map(pathlib.Path, sys.argv[1:]); "
        "here.write_text(repr(os.sched_getaffinity(0)))\nwhile not there.exists(): time.sleep(0.01)"
    )
    pair = [str(tmp_path / "a"), str(tmp_path / "b")]
    commands = {name: [sys.executable, "-c", program, *paths] for name, paths in (("a", pair), ("b", pair[::-1]))}
    assert processes.run_all(commands, tmp_path, 2) == {"a": 0, "b": 0}
    first, second = (eval((tmp_path / name).read_text()) for name in "ab")
    assert first and second and not first & second
    assert first | second == before == os.sched_getaffinity(0)


def test_more_jobs_than_cores_are_refused(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert processes.core_groups(2) == [[0, 1], [2]]
    with pytest.raises(UsageError, match="only 3 cores"):
        processes.core_groups(4)


def test_a_signal_reaches_the_runs(tmp_path):
    program = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('stopped'), exit(143)))\n"
        "os.kill(os.getppid(), signal.SIGTERM)\ntime.sleep(60)"
    )
    commands = {"asked": [sys.executable, "-uc", program], "never": ["true"]}
    with pytest.raises(processes.Interrupted) as stopped:
        processes.run_all(commands, tmp_path, 1)
    assert stopped.value.status == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["asked.log"]
    assert (tmp_path / "asked.log").read_text() == "stopped\n"


def test_what_has_ended_is_not_run_again(output):
    flags = [f"--{name}={value}" for name, value in PROTOCOL.items()]
    done = programs.call("benchmarks.families", f"--output={output}", "--rows=dcgan-minimax", "--seeds=0,1,2", *flags)
    assert done.returncode == 0, done.stderr
    assert "started" not in done.stdout
    assert cells(done.stdout, "dcgan-minimax")[:3] == ["dcgan-minimax", "3", "1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rows=dcgan-hinge,dcgan-hinged"], ["no row 'dcgan-hinged'", "r3gan"]),
        (["--seeds=0,x"], ["'x' is no seed"]),
        (["--report"], ["no benchmark", "protocol.json"]),
    ],
)
def test_mistakes_are_told_in_one_message(arguments, words, tmp_path):
    assert_refused(programs.call("benchmarks.families", f"--output={tmp_path / 'new'}", *arguments), *words)
    assert not (tmp_path / "new").exists()


def test_runs_of_another_protocol_are_not_mixed(output):
    with pytest.raises(UsageError, match="--steps=600, not 700"):
        families.protocol_of(output, PROTOCOL | {"steps": 700})
    assert families.protocol_of(output, None) == families.protocol_of(output, PROTOCOL) == PROTOCOL
