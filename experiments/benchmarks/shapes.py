r"""Shapes of finished 3D-GAN runs, and held-out real ones, beside the training volumes: one table.

    python -m experiments.benchmarks.shapes runs/chairs-0 runs/chairs-1 runs/chairs-2

The runs differ in their seed alone. Each makes so many volumes as there are for training; sets of as many as are held
out are drawn from these, from the training volumes and from those held out, and scored against each other
(`experiments.voxel_scores.scores_of_draws`). What the held-out ones reach is what a perfect generator would. Means, and
deviations over the runs.
"""

import statistics
from pathlib import Path

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict

from experiments import data, runs, scoring
from experiments.commands import UsageError, start
from experiments.voxel_scores import scores_of_draws
from experiments.voxel_scores import statistics as of_volumes

# What makes runs of other cadences, pictures and checkpoints the same recipe.
RECIPE = ("batch_size", "accumulate", "synchronised_norm", "data", "model", "coefficients", "optimizers", "phases")

DRAWS = flags.DEFINE_integer("draws", 200, "Sets that are drawn.", lower_bound=1)


def same_recipe(configs: dict[str, ConfigDict]) -> ConfigDict:
    """The config of runs that differ in their seed alone.

    Raises:
      UsageError: if they differ in more, or are not of volumes.
    """
    (name, first), *others = configs.items()
    if first.family != "gan3d":
        raise UsageError(f"{name} is a run of {first.family}: give runs of gan3d.")
    for other, config in others:
        for field in RECIPE:
            if config[field] != first[field]:
                raise UsageError(f"{other} has another config.{field} than {name}: give runs of one config.")
    return first


def scores(volumes: np.ndarray, train: np.ndarray, count: int) -> dict[str, float]:
    return scores_of_draws(volumes, train, count, DRAWS.value) | of_volumes(volumes)


def main(workdirs: list[str]) -> None:
    if not workdirs:
        raise UsageError("Give the folders of finished runs.")
    config = same_recipe({workdir: runs.read_workdir(Path(workdir))[0] for workdir in workdirs})
    splits = data.read(config)
    train, held_out = (np.asarray(splits[split]["image"]) for split in ("train", "test"))
    count = min(len(held_out), len(train))
    made = []
    for workdir in workdirs:
        gan, state = runs.load(workdir)
        made.append(scores(scoring.volumes(config, gan, state, len(train)), train, count))
    real, own = scores(held_out, train, count), of_volumes(train)
    print(f"{jax.devices()[0].device_kind}; {len(train)} training volumes, sets of {count}, {DRAWS.value} draws\n")
    print("| score | generated | held out | training |\n| --- | --- | --- | --- |")
    for name, value in real.items():
        values = [found[name] for found in made]
        spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        print(f"| `{name}` | {statistics.mean(values):.4f}{spread} | {value:.4f} | {_figure(own.get(name))} |")


def _figure(value):
    return "" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    start(main, positional=True)
