r"""Trains a config many times with some of its fields changed, each in a workdir of its own; one table at the end.

    python -m experiments.sweep --config=experiments/configs/inpainting.py --output=runs/rates \
        --grid=optimizers.adversarial.generator.learning_rate=1e-3,3e-3 --grid=seed=0,1,2 --workers=2
    python -m experiments.sweep --config=experiments/configs/dcgan.py:digits5k --output=runs/mine --members=mine.py
    python -m experiments.sweep --config=experiments/configs/inpainting.py --output=runs/search --search=tpe \
        --trials=30 --maximize=accuracy_restored --range=coefficients.adversarial=0.01,1,log --grid=batch_size=64,128
    python -m experiments.sweep --config=experiments/configs/inpainting.py --output=runs/seeds --grid=seed=0,1,2 \
        --submit=slurm --submit_options=partition=gpu,gpus_per_node=1,timeout_min=600

Every combination of the grid's values is a run, or every {field: value} that the function get_sweep() in a Python file
yields. Each is an ordinary workdir, OUTPUT/FIELD=VALUE-..., beside what it said, OUTPUT/FIELD=VALUE-....log. Starting
again goes on with what is unfinished; a run that breaks does not stop the others. OUTPUT/table.md holds means and
deviations over the seeds, of runs that diverged or collapsed too. On a GPU keep to one worker.

With --vectorize, members that differ only in numbers (their seed, loss weights, an optimizer's numbers) are trained at
once by one program, in a process whose log is OUTPUT/population-N.log.
A search draws the fields' values by Optuna, in runs OUTPUT/trial-0000, ..., until the study has --trials of them. The
same command, started as often as one likes and on several machines, shares one study, in OUTPUT/study.journal or in the
database of --storage. With config.score_every, or for a metric, trials that do worse than the median are stopped.

With --submit each run is a job of a SLURM cluster, through submitit. Such jobs go on when this command is stopped, and
the same command waits for them again.
"""

import ast
import functools
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags
from ml_collections import ConfigDict, config_flags

from experiments import data, logs, processes, runs, scoring, sentinel, sweep, table, train
from experiments.commands import UsageError, define_config, fail, fitting, start, write_text
from experiments.sweep import vectorized

CONFIG = define_config()
OUTPUT = flags.DEFINE_string("output", None, "The sweep's folder.", required=True)
GRID = flags.DEFINE_multi_string("grid", [], "FIELD=VALUE,VALUE,...; may be given several times.")
MEMBERS = flags.DEFINE_string("members", None, "A Python file with get_sweep(), instead of a grid.")
RANGE = flags.DEFINE_multi_string("range", [], "FIELD=LOW,HIGH or FIELD=LOW,HIGH,log: what a search draws from.")
SEARCH = flags.DEFINE_enum("search", None, ["tpe", "random"], "Search by Optuna, instead of every combination.")
TRIALS = flags.DEFINE_integer("trials", None, "Runs of a search, in all.", lower_bound=1)
MAXIMIZE = flags.DEFINE_string("maximize", None, "The score, or the metric PLAYER/NAME, that a search makes large.")
MINIMIZE = flags.DEFINE_string("minimize", None, "The one that it makes small.")
STORAGE = flags.DEFINE_string("storage", None, "A search's database, by Optuna's URL; else a file in OUTPUT.")
PRUNE = flags.DEFINE_bool("prune", True, "Stop trials of a search that do worse on the way than the median.")
SUBMIT = flags.DEFINE_enum("submit", None, ["slurm", "local"], "Make each run a job; local: a process, to try it out.")
SUBMIT_OPTIONS = flags.DEFINE_list("submit_options", [], "Options of submitit: partition=gpu,timeout_min=600.")
WORKERS = flags.DEFINE_integer("workers", 1, "Runs at once, each on cores of its own.", lower_bound=1)
VECTORIZE = flags.DEFINE_bool("vectorize", False, "Train members that differ only in numbers as one population.")


def asked() -> list[sweep.Overrides]:
    """The members that the flags ask for.

    Raises:
      UsageError: if there are none, or both a grid and a file.
    """
    if bool(GRID.value) == bool(MEMBERS.value):
        raise UsageError("Give either --grid=FIELD=VALUE,VALUE or --members=FILE.py.")
    return sweep.read_file(Path(MEMBERS.value)) if MEMBERS.value else sweep.grid(dict(map(_values, GRID.value)))


def _values(text):
    """(field, its values) of FIELD=VALUE,VALUE."""
    path, equals, values = text.partition("=")
    if not equals or not values:
        raise UsageError(f"--grid={text} is not of the form FIELD=VALUE,VALUE.")
    try:
        return path, ast.literal_eval(f"[{values}]")
    except (ValueError, SyntaxError):
        return path, values.split(",")


def check_together() -> None:
    """Refuses flags that do not go together, and those whose packages are missing.

    Raises:
      UsageError: with what is missing or too much.
    """
    of_search = {"trials": TRIALS, "maximize": MAXIMIZE, "minimize": MINIMIZE, "range": RANGE, "storage": STORAGE}
    if not SEARCH.value:
        if strange := [name for name, flag in of_search.items() if flag.value]:
            raise UsageError(f"--{strange[0]} belongs to --search=tpe or --search=random.")
    elif not TRIALS.value or bool(MAXIMIZE.value) == bool(MINIMIZE.value):
        raise UsageError("--search needs --trials=N, and either --maximize=SCORE or --minimize=SCORE.")
    elif MEMBERS.value or SUBMIT.value:
        raise UsageError(
            "--search goes with neither --members nor --submit. To search on a cluster, start this command in several "
            "jobs: they share the study."
        )
    if VECTORIZE.value and (SEARCH.value or SUBMIT.value):
        raise UsageError("--vectorize goes with neither --search nor --submit, where each run is a process of its own.")
    for flag, package, extra in ((SEARCH, "optuna", "search"), (SUBMIT, "submitit", "slurm")):
        if flag.value and importlib.util.find_spec(package) is None:
            raise UsageError(f"--{flag.name} needs {package}: pip install -e '.[{extra}]'.")


def base_arguments(arguments: Sequence[str]) -> list[str]:
    """The command line's own config and changes of it, which every member gets."""
    given = [argument for argument in arguments if argument.startswith("--config.")]
    if short := [argument for argument in given if "=" not in argument]:
        fail(f"{short[0]}: write {short[0]}=VALUE here.")
    return [f"--config={config_flags.get_config_filename(flags.FLAGS['config'])}", *given]


def command(base: Sequence[str], name: str, member: sweep.Overrides) -> list[str]:
    """The program and its arguments that train a member."""
    changes = [f"--config.{path}={value}" for path, value in member.items()]
    return [sys.executable, "-m", "experiments.run", *base, *changes, f"--workdir={Path(OUTPUT.value) / name}"]


def check(configs: dict[str, ConfigDict]) -> None:
    """Refuses, before any work, what a run would refuse.

    Raises:
      UsageError: with the member's name.
    """
    for name, config in configs.items():
        try:
            with fitting("The config cannot be used"):
                runs.build(config)
                data.maps(config, config.data.maps + config.data.evaluation_maps)
            runs.claim_workdir(Path(OUTPUT.value) / name, config)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from error


def vectorized_commands(
    commands: dict[str, list[str]],
    configs: dict[str, ConfigDict],
    members: dict[str, sweep.Overrides],
    base: Sequence[str],
) -> dict[str, list[str]]:
    """The commands, with one for each group of members that can be trained at once instead of theirs."""
    found = {}
    for group in vectorized.groups({name: configs[name] for name in commands}):
        first = group[0]
        if len(group) == 1:
            found[first] = commands[first]
            continue
        numbers = {name: vectorized.traced(configs[name]) for name in group}
        # What is no number is the same in all of them, so the first one's is everyone's.
        shared = [f"--config.{path}={value}" for path, value in members[first].items() if path not in numbers[first]]
        own = {name: {path: numbers[name][path] for path in members[name] if path in numbers[name]} for name in group}
        title = f"population-{len(found)}"
        print(f"{title}: {', '.join(group)}", flush=True)
        found[title] = [sys.executable, "-m", "experiments.sweep.population", *base, *shared]
        found[title] += [f"--output={OUTPUT.value}", f"--members={json.dumps(own)}"]
    return found


def results(configs: dict[str, ConfigDict], members: dict[str, sweep.Overrides]) -> list[table.Result]:
    """What has become of each member that was ever started."""
    found, rows = [], sweep.rows(members)
    for name, config in configs.items():
        workdir = Path(OUTPUT.value) / name
        steps = sum(phase.steps for phase in config.phases.values())
        if table.log_of(workdir).is_file():
            metrics = logs.read_metrics(workdir)
            found.append(table.result(rows[name], config.seed, workdir, metrics, steps, sentinel.telling(config)))
    return found


def searched(base: Sequence[str]) -> int:
    """A search, or this process's part in it."""
    from experiments.sweep import search, space

    ranges = dict(map(space.read_range, RANGE.value))
    choices = dict(map(_values, GRID.value))
    corners = space.corners(space.distributions(CONFIG.value, ranges, choices), choices)
    corners = {sweep.names([member])[0]: member for member in corners}
    check(dict(zip(corners, sweep.expand(CONFIG.value, corners.values()), strict=True)))
    goal = space.Goal(MAXIMIZE.value or MINIMIZE.value, bool(MAXIMIZE.value), CONFIG.value.data.validation > 0)
    output = Path(OUTPUT.value)
    study = search.Search(
        output, CONFIG.value, ranges, choices, goal, SEARCH.value, TRIALS.value, STORAGE.value, PRUNE.value
    )
    if "/" not in goal.name and not goal.validation:
        print("Trials are compared by the test split; hold some training examples out by --config.data.validation=0.1.")
    if "/" not in goal.name and not CONFIG.value.score_every:
        if goal.validation:
            raise UsageError("Scores of the validation split are taken on the way: set --config.score_every=STEPS.")
        if PRUNE.value:
            print("No run takes scores on the way (config.score_every=0), so that none will be pruned.")
    with study.alone():  # the judge is made once
        scoring.frozen_networks(CONFIG.value, data.read(CONFIG.value)["train"])
    claims = study.claims(functools.partial(command, base))
    processes.run_each(claims, output, WORKERS.value, study.ended, study.stop)
    text = study.markdown()
    (output / "table.md").write_text(text)
    print(text)
    best = study.best()
    if best is None:
        print("No trial came to its end.", file=sys.stderr)
        return 1
    given = " ".join(f"--config.{path}={value}" for path, value in study.member(best.params).items())
    print(f"Best: {search.name_of(best.number)}, {goal.name} {best.value:.6g}, of one seed. {given}")
    return 0


def trained(base: Sequence[str]) -> int:
    """The members of a grid or a file."""
    output, members = Path(OUTPUT.value), asked()
    members = dict(zip(sweep.names(members), members, strict=True))
    configs = dict(zip(members, sweep.expand(CONFIG.value, members.values()), strict=True))
    if SUBMIT.value:
        from experiments.sweep import submission

        given, underway = submission.options(SUBMIT_OPTIONS.value), submission.known(output, SUBMIT.value)
        check({name: config for name, config in configs.items() if name not in underway})
        jobs = submission.Jobs(output, SUBMIT.value, given)
    else:
        check(configs)
        jobs = None
    output.mkdir(parents=True, exist_ok=True)
    ended = {result.workdir.name for result in results(configs, members) if result.ended}
    commands = {name: command(base, name, member) for name, member in members.items() if name not in ended}
    if WORKERS.value > 1 or jobs:
        # Each judge is made once, before runs that start together would each make their own.
        for config in {sweep.shared_needs(configs[name]): configs[name] for name in commands}.values():
            scoring.frozen_networks(config, data.read(config)["train"])
    if VECTORIZE.value:
        commands = vectorized_commands(commands, configs, members, base)
    if jobs:
        at_once = len(configs) if SUBMIT.value == "slurm" else WORKERS.value
        statuses = jobs.run(commands, at_once, underway)
    else:
        statuses = processes.run_all(commands, output, WORKERS.value)

    text = table.markdown(results(configs, members), "Mean ± sample standard deviation (n) over seeds.", {"": ""})
    write_text(output / "table.md", text)
    print(text)
    return 1 if any(statuses.values()) else 0


def main(arguments: Sequence[str]) -> int:
    jax.config.update("jax_platforms", "cpu")  # the accelerator is for the members
    check_together()
    base = base_arguments(arguments)
    try:
        return searched(base) if SEARCH.value else trained(base)
    except train.Interrupted as interrupted:
        print(f"{interrupted}; the same command goes on from here.", file=sys.stderr)
        return interrupted.status


if __name__ == "__main__":
    start(functools.partial(main, list(sys.argv)))
