r"""Writes what a run's discriminator sees in its data, and scores how well a linear classifier reads the classes there.

    python -m experiments.features --workdir=runs/digits --output=features.npz
    python -m experiments.features --workdir=runs/digits --output=features.npz --split=test --path=own.npz

The file holds `train_features` float32 [n, size] and, where the data has labels, `train_label` int64 [n], in the stored
order, and likewise `test_...`. The features are the convolutions' outputs, max-pooled to a grid (`gans.features`), or
without convolutions the last ones before the logits. The score is the accuracy on the test split in percent of
`gans.scores.linear`, which is fitted to the training split, beside those of the same classifier on the pixels and on
the features of the discriminator that the run started from; all go into the workdir's scores.json. For volumes the
classifier is a linear support vector machine, as in their literature, and the voxels, max-pooled to 32^3 where they are
more, take the place of the pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import ConfigDict

from experiments import data, runs, scoring
from experiments.commands import UsageError, check_output, define_best, start, whole_file
from gans.core import Gan, State
from gans.features import grid_max
from gans.scores import linear

WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run.", required=True)
BEST = define_best()
OUTPUT = flags.DEFINE_string("output", None, "The .npz file to write.", required=True)
SPLIT = flags.DEFINE_enum("split", "both", ["train", "test", "both"], "What to write; the score needs both.")
PATH = flags.DEFINE_string("path", None, "Your own files in place of the run's data, as config.data.path.")

VOLUMES = 16  # volumes in a batch, whose maps are large


def volumes(config: ConfigDict) -> bool:
    """Whether the run is about volumes and not pictures."""
    return len(config.model.image_shape) == 4


def read(config: ConfigDict) -> dict[str, data.Arrays]:
    """The asked splits of the data.

    Raises:
      UsageError: if the pictures are not of the size that the networks take.
    """
    splits = data.read(config)
    for name, arrays in splits.items():
        if (found := arrays["image"].shape[1:]) != (shape := tuple(config.model.image_shape)):
            raise UsageError(f"The {name} split's pictures are {found}, but this run's networks take {shape}.")
    return splits if SPLIT.value == "both" else {SPLIT.value: splits[SPLIT.value]}


def extract(config: ConfigDict, gan: Gan, states: Sequence[State], arrays: data.Arrays) -> list[np.ndarray]:
    """The features in each state, and the pixels in [-1, 1] or voxels, in stored order, float32 [n, size] each."""

    @jax.jit
    def features(state, batch):
        return jnp.concatenate(list(gan.features(state, batch).values()), 1)

    found = []
    batch_size = VOLUMES if volumes(config) else scoring.BATCH
    for batch in data.evaluation_batches(config, arrays, batch_size):
        valid = batch.pop("valid")
        seen = grid_max(batch["image"], 32) if volumes(config) else batch["image"]
        columns = [*(features(state, batch) for state in states), seen.reshape(len(valid), -1)]
        found.append([np.asarray(column)[valid] for column in columns])
    return [np.concatenate(column) for column in zip(*found, strict=True)]


def scores(config: ConfigDict, step: int, labels: dict, found: dict[str, list[np.ndarray]]) -> dict[str, dict]:
    """The accuracies in percent, {name: {'value', 'step', 'protocol'}}.

    Args:
      config: the run's.
      step: the one that the discriminator is of.
      labels: {split: int [n]}.
      found: {split: what `extract` returns for the discriminator and the untrained one}.
    """
    hinge = volumes(config)
    classifier = "linear SVM, one against the rest," if hinge else "multinomial logistic regression"
    kind = "volumes" if hinge else "pictures"
    protocol = (
        f"{classifier} on the {len(labels['train'])} training {kind} of "
        f"{config.data.path or config.data.name}, standardised, L2 chosen on a tenth of them; "
        f"test split, {len(labels['test'])} {kind}"
    )
    result = {}
    raw = "voxels" if hinge else "pixels"
    columns = (("discriminator", "features", step), ("untrained", "features", 0), (raw, raw, step))
    for (name, unit, at), train, test in zip(columns, found["train"], found["test"], strict=True):
        try:
            value = 100 * linear.accuracy(train, labels["train"], test, labels["test"], hinge=hinge)
        except ValueError as error:
            raise UsageError(f"No linear classifier on the {unit}: {error}") from error
        what = f"{test.shape[1]} {unit}; {protocol}"
        result[f"linear_accuracy_{name}"] = {"value": round(value, 6), "step": at, "protocol": what}
    return result


def why_no_score(labels: dict[str, np.ndarray]) -> str:
    """Why there is no accuracy, or nothing if there can be one."""
    if SPLIT.value != "both":
        return f"it needs both splits, and --split is {SPLIT.value}"
    if not labels:
        return "the data has no labels"
    if len(np.unique(labels["train"])) < 2:
        return "all training pictures have one label"
    return ""


def main() -> None:
    workdir, output = Path(WORKDIR.value), Path(OUTPUT.value)
    check_output(output)
    config, _ = runs.read_workdir(workdir)
    gan, state = runs.load(workdir, best=BEST.value)
    if gan.features is None:
        raise UsageError(f"{workdir}: the family {config.family} has no discriminator whose features could be had.")
    if PATH.value:
        config.data.path = PATH.value
    splits = read(config)
    labels = {split: arrays["label"] for split, arrays in splits.items() if "label" in arrays}
    reason = why_no_score(labels)
    states = [state] if reason else [state, runs.initial(config, gan, state.frozen)]
    found = {split: extract(config, gan, states, arrays) for split, arrays in splits.items()}
    with whole_file(output) as file:
        written = {f"{split}_features": columns[0] for split, columns in found.items()}
        np.savez(file, **written, **{f"{split}_label": column for split, column in labels.items()})
    for name, features in written.items():
        print(f"{name}: {len(features):,} x {features.shape[1]:,} in {output}")
    if reason:
        print(f"No accuracy of a linear classifier: {reason}.")
        return
    new = scores(config, int(state.step), labels, found)
    scoring.write_scores(workdir, new)
    for name, entry in new.items():
        print(f"{name:32}{entry['value']:>8.2f}%  ({entry['protocol']}, step {entry['step']})")


if __name__ == "__main__":
    start(main)
