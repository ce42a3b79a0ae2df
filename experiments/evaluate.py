r"""Scores a run's newest checkpoint on the test split, into its scores.json.

python -m experiments.evaluate --workdir=runs/digits
"""

from pathlib import Path

from absl import flags

from experiments import data, runs, scoring
from experiments.commands import define_best, start

WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run to score.", required=True)
BEST = define_best()


def main() -> None:
    workdir = Path(WORKDIR.value)
    config, record = runs.read_workdir(workdir)
    gan, state = runs.load(workdir, best=BEST.value)
    splits = data.read(config)
    if state.frozen is None:
        frozen, now = scoring.frozen_networks(config, splits["train"])
        runs.check_frozen(workdir, now)
        state = state.replace(frozen=frozen)
    print(scoring.report(workdir, config, gan, state, record, splits["test"]))


if __name__ == "__main__":
    start(main)
