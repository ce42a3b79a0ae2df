r"""Trains a config many times with some of its fields changed, each in a workdir of its own; one table at the end.

    python -m experiments.sweep --config=experiments/configs/inpainting.py --output=runs/rates \
        --grid=optimizers.adversarial.generator.learning_rate=1e-3,3e-3 --grid=seed=0,1,2 --workers=2
    python -m experiments.sweep --config=experiments/configs/dcgan.py:digits5k --output=runs/mine --members=mine.py

Every combination of the grid's values is a run, or every {field: value} that the function get_sweep() in a Python file
yields. Each is an ordinary workdir, OUTPUT/FIELD=VALUE-..., beside what it said, OUTPUT/FIELD=VALUE-....log. Starting
again goes on with what is unfinished; a run that breaks does not stop the others. OUTPUT/table.md holds means and
deviations over the seeds, of runs that diverged or collapsed too. On a GPU keep to one worker.

With --vectorize, members that differ only in numbers (their seed, loss weights, an optimizer's numbers) are trained at
once by one program, in a process whose log is OUTPUT/population-N.log.
"""

import ast
import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags
from ml_collections import ConfigDict, config_flags

from experiments import data, processes, runs, scoring, sweep, table, train
from experiments.commands import UsageError, define_config, fail, start
from experiments.sweep import vectorized

CONFIG = define_config()
OUTPUT = flags.DEFINE_string("output", None, "The sweep's folder.", required=True)
GRID = flags.DEFINE_multi_string("grid", [], "FIELD=VALUE,VALUE,...; may be given several times.")
MEMBERS = flags.DEFINE_string("members", None, "A Python file with get_sweep(), instead of a grid.")
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


def base_arguments(arguments: Sequence[str]) -> list[str]:
    """The config, and the command line's own changes of it, which every member gets."""
    given = [argument for argument in arguments if argument.startswith("--config.")]
    if short := [argument for argument in given if "=" not in argument]:
        fail(f"{short[0]}: write {short[0]}=VALUE here.")
    return [f"--config={config_flags.get_config_filename(flags.FLAGS['config'])}", *given]


def check(configs: dict[str, ConfigDict]) -> None:
    """Refuses, before any work, what a run would refuse.

    Raises:
      UsageError: with the member's name.
    """
    for name, config in configs.items():
        try:
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
        if "collapse" in config:
            config.collapse.stop = False  # here the sentinel only tells
        if table.log_of(workdir).is_file():
            found.append(table.result(rows[name], config.seed, workdir, steps, train.watching(config)))
    return found


def main(arguments: Sequence[str]) -> int:
    jax.config.update("jax_platforms", "cpu")  # the accelerator is for the members
    output, members = Path(OUTPUT.value), asked()
    members = dict(zip(sweep.names(members), members, strict=True))
    configs = dict(zip(members, sweep.expand(CONFIG.value, members.values()), strict=True))
    base = base_arguments(arguments)
    check(configs)
    output.mkdir(parents=True, exist_ok=True)
    ended = {result.workdir.name for result in results(configs, members) if result.scores or result.diverged}
    commands = {
        name: [sys.executable, "-m", "experiments.run", *base]
        + [f"--config.{path}={value}" for path, value in members[name].items()]
        + [f"--workdir={output / name}"]
        for name in members
        if name not in ended
    }
    if WORKERS.value > 1:
        # Each judge is made once, before runs that start together would each make their own.
        for config in {sweep.shared_needs(configs[name]): configs[name] for name in commands}.values():
            scoring.frozen_networks(config, data.read(config)["train"])
    if VECTORIZE.value:
        commands = vectorized_commands(commands, configs, members, base)
    try:
        statuses = processes.run_all(commands, output, WORKERS.value)
    except train.Interrupted as interrupted:
        print(f"{interrupted}; the same command goes on from here.", file=sys.stderr)
        return interrupted.status

    text = table.markdown(results(configs, members), "Mean ± sample standard deviation over seeds.", {"": ".4g"})
    (output / "table.md").write_text(text)
    print(text)
    return 1 if any(statuses.values()) else 0


if __name__ == "__main__":
    start(functools.partial(main, list(sys.argv)))
