r"""Every family and loss on the same data, steps, seeds and judge, beside PyTorch's own DCGAN tutorial: one table.

    python -m experiments.benchmarks.families --output=runs/families --data=mnist --steps=5000 --seeds=0,1,2
    python -m experiments.benchmarks.families --output=runs/families --rows=dcgan-hinge,torch-dcgan --torch_size=32
    python -m experiments.benchmarks.families --output=runs/families --report

Each row and seed is a run of its own, in OUTPUT/ROW-SEED. Starting again goes on with what is unfinished; a run that
diverged has ended and is counted. OUTPUT/table.md and OUTPUT/samples.png show all runs that lie in OUTPUT, whichever
were asked for last. A step is one turn of the generator; WGAN-GP's critic takes five, each on pictures of its own.
"""

import importlib.util
import sys
from pathlib import Path
from typing import NamedTuple

import jax
from absl import flags

from experiments import configs, data, figures, processes, runs, scoring, table
from experiments.commands import UsageError, start, write_text
from experiments.configs import dcgan
from experiments.interrupts import Interrupted


class Row(NamedTuple):
    """A module of `experiments`, and a config of `experiments/configs` with presets."""

    program: str
    config: str
    presets: str = ""


ROWS = {
    "vanilla": Row("run", "vanilla"),
    "dcgan": Row("run", "dcgan"),
    "dcgan-minimax": Row("run", "dcgan", "minimax"),
    "dcgan-non_saturating": Row("run", "dcgan", "non_saturating"),
    "dcgan-least_squares": Row("run", "dcgan", "least_squares"),
    "dcgan-hinge": Row("run", "dcgan", "hinge"),
    "dcgan-wgan_gp": Row("run", "dcgan", "wgan_gp"),
    "dcgan-relativistic": Row("run", "dcgan", "relativistic"),
    "r3gan": Row("run", "dcgan", "r3gan"),
    "torch-dcgan": Row("benchmarks.torch_dcgan", "dcgan", "non_saturating"),
}

OUTPUT = flags.DEFINE_string("output", None, "The benchmark's folder.", required=True)
DATA = flags.DEFINE_enum("data", "mnist", ["digits5k", "mnist", "fashion"], "Preset of the data set.")
DATA_PATH = flags.DEFINE_string("data_path", "", "The data set's own files instead: config.data.path.")
STEPS = flags.DEFINE_integer("steps", 5000, "Steps of each run.", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Pictures of a step.", lower_bound=2)
TORCH_SIZE = flags.DEFINE_enum("torch_size", "64", ["64", "32"], "Side of the pictures in the tutorial's networks.")
SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of each row.")
ROWS_ASKED = flags.DEFINE_list("rows", list(ROWS), "Rows to run.")
JOBS = flags.DEFINE_integer("jobs", 1, "Runs at once, each on cores of its own; 1 on a GPU.", lower_bound=1)
REPORT = flags.DEFINE_bool("report", False, "Train nothing: write the table of the runs in OUTPUT.")


def command(row: str, seed: int, workdir: Path, protocol: dict) -> list[str]:
    """The program and its arguments that train and score one run.

    Args:
      row: a name in ROWS.
      seed: of the run.
      workdir: its folder.
      protocol: as `protocol_of` returns it.
    """
    recipe, steps = ROWS[row], protocol["steps"]
    config = Path(configs.__file__).with_name(f"{recipe.config}.py")
    fields = {
        "seed": seed,
        "batch_size": protocol["batch_size"],
        "phases.adversarial.steps": steps,
        "log_every": log_every(steps),
        "sample_every": steps,
        "checkpoint_every": 500,
        "score_every": 0,
        "data.path": protocol["data_path"],
    }
    arguments = [f"--config={config}:{protocol['data']},{recipe.presets}"]
    arguments += [f"--config.{name}={value}" for name, value in fields.items()]
    if recipe.program != "run":
        arguments.append(f"--size={protocol['torch_size']}")
    return [sys.executable, "-m", f"experiments.{recipe.program}", *arguments, f"--workdir={workdir}"]


def log_every(steps: int) -> int:
    """Steps between metrics; the last step has some."""
    return min(10, steps)


def protocol_of(output: Path, wanted: dict | None) -> dict:
    """What all runs of a benchmark's folder have in common, kept there in protocol.json.

    Args:
      output: the folder; made if it does not exist.
      wanted: what this call asks for, or None to take what the folder has.

    Raises:
      UsageError: if the folder's runs follow another protocol, or if it has none where none is given.
    """
    path = output / "protocol.json"
    if not path.is_file():
        if wanted is None:
            raise UsageError(f"{output} holds no benchmark: it has no protocol.json. Run it without --report first.")
        output.mkdir(parents=True, exist_ok=True)
        runs.write_json(path, wanted)
    known = runs.read_json(path)
    if wanted is not None and known != wanted:
        changed = [
            f"--{name}={value!r}, not {wanted[name]!r}" for name, value in known.items() if value != wanted[name]
        ]
        raise UsageError(f"The runs in {output} have {', '.join(changed)}; choose another --output.")
    return known


def asked() -> list[tuple[str, int]]:
    """The rows and seeds that the flags ask for.

    Raises:
      UsageError: for a row that does not exist, a seed that is none, or a row whose packages are missing.
    """
    for row in ROWS_ASKED.value:
        if row not in ROWS:
            raise UsageError(f"--rows: there is no row {row!r}; choose from {', '.join(ROWS)}.")
    for seed in SEEDS.value:
        if not seed.isdecimal():
            raise UsageError(f"--seeds: {seed!r} is no seed; give whole numbers such as 0,1,2.")
    if "torch-dcgan" in ROWS_ASKED.value and importlib.util.find_spec("torch") is None:
        raise UsageError("The row torch-dcgan needs PyTorch: pip install -e '.[bench]', or leave it out of --rows.")
    return [(row, int(seed)) for seed in dict.fromkeys(SEEDS.value) for row in dict.fromkeys(ROWS_ASKED.value)]


def prepare_side_by_side(protocol: dict) -> None:
    """Has the one judge made before runs start at once, each of which would else make its own.

    Raises:
      UsageError: on an accelerator, which serves one run at a time.
    """
    if jax.default_backend() != "cpu":
        raise UsageError(f"--jobs={JOBS.value}: the runs would share one {jax.default_backend()}; use --jobs=1.")
    config = dcgan.get_config(protocol["data"])
    config.data.path = protocol["data_path"]
    scoring.frozen_networks(config, data.read(config)["train"])


def results_of(output: Path, protocol: dict) -> list[table.Result]:
    """All runs in the benchmark's folder."""
    collapse = dcgan.get_config().collapse
    return table.read(output, ROWS, protocol["steps"], collapse, log_every(protocol["steps"]))


def write_report(output: Path, protocol: dict) -> str:
    """Writes table.md and samples.png, and returns the table."""
    results = results_of(output, protocol)
    title = (
        f"{protocol['data']}, {protocol['steps']:,} steps of {protocol['batch_size']} pictures: mean ± sample standard "
        "deviation (n) over seeds."
    )
    if any(result.row == "torch-dcgan" for result in results):
        title += f" The tutorial's networks are those for pictures of {protocol['torch_size']} pixels."
    text = table.markdown(results, title)
    write_text(output / "table.md", text)
    if (picture := table.picture(results)) is not None:
        figures.write(output / "samples.png", picture)
    return text


def train(output: Path, protocol: dict, wanted: list[tuple[str, int]]) -> list[str]:
    """Runs what has not ended yet; returns the names of runs that broke, with what they said last."""
    ended = {(r.row, r.seed) for r in results_of(output, protocol) if r.ended}
    workdirs = {one: output / f"{one[0]}-{one[1]}" for one in wanted if one not in ended}
    if JOBS.value > 1 and len(workdirs) > 1:
        prepare_side_by_side(protocol)
    commands = {workdir.name: command(*one, workdir, protocol) for one, workdir in workdirs.items()}
    processes.run_all(commands, output, JOBS.value)
    ended = {r.workdir for r in results_of(output, protocol) if r.ended}
    return [_last_words(table.log_of(workdir)) for workdir in workdirs.values() if workdir not in ended]


def _last_words(log):
    said = log.read_text().strip().splitlines() or ["nothing"]
    return f"{log.stem} broke: {said[-1]} (all of it in {log})"


def main() -> int:
    output = Path(OUTPUT.value)
    if REPORT.value:
        print(write_report(output, protocol_of(output, None)))
        return 0
    wanted = asked()
    names = ("data", "data_path", "steps", "batch_size", "torch_size")
    protocol = protocol_of(output, {name: flags.FLAGS[name].value for name in names})
    try:
        broken = train(output, protocol, wanted)
    except Interrupted as interrupted:
        print(f"{interrupted}; the same command goes on from here.", file=sys.stderr)
        return interrupted.status
    print(write_report(output, protocol))
    for sentence in broken:
        print(sentence, file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    start(main)
