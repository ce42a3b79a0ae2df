r"""Trains members of a sweep at once, as `experiments.sweep --vectorize` asks it to.

    python -m experiments.sweep.population --config=experiments/configs/dcgan.py:tiny --output=runs/seeds \
        --members='{"seed=0": {"seed": 0}, "seed=1": {"seed": 1}}'

They differ in their seeds and in other numbers that a program can be given, see `vectorized.groups`.
"""

import json
import sys
from pathlib import Path

from absl import flags

from experiments import sweep, train
from experiments.commands import UsageError, define_config, start
from experiments.sweep import vectorized

CONFIG = define_config()
OUTPUT = flags.DEFINE_string("output", None, "The sweep's folder.", required=True)
MEMBERS = flags.DEFINE_string("members", None, "JSON: {name: {field: value}}.", required=True)


def main() -> int:
    members = json.loads(MEMBERS.value)
    configs = dict(zip(members, sweep.expand(CONFIG.value, members.values()), strict=True))
    if len(vectorized.groups(configs)) != 1:
        raise UsageError("--members: they differ in more than numbers that one program can be given.")
    print(f"A population of {len(configs)}: {', '.join(configs)}.", flush=True)
    try:
        failed = vectorized.train_members(configs, Path(OUTPUT.value))
    except train.Interrupted as interrupted:
        print(f"{interrupted}; the same command goes on from here.", file=sys.stderr)
        return interrupted.status
    for name in failed:
        print(f"{name} failed, see {Path(OUTPUT.value) / name}.log", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    start(main)
