"""What a run is worth: scores on the test split, and the pictures that go with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments import data, figures, logs, runs, weights
from gans.core import Gan, State

BATCH = 500
DIGITS_A_DAY = 21_000  # what the document's reader works through


def frozen_networks(config: ConfigDict, train: data.Arrays) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """The frozen networks that the config asks for, by name, and the record of their files."""
    if "judge" not in config:
        return {}, {}
    variables, record = weights.judge(config.judge, train)
    return {"judge": variables}, {"judge": record}


def scores(config: ConfigDict, gan: Gan, state: State, record: Mapping, test: data.Arrays) -> dict[str, dict]:
    """{name: {'value', 'step', 'protocol'}} over the whole test split: `accuracy_*` in percent."""
    evaluate = jax.jit(gan.evaluate)
    totals, count = {}, 0
    for batch in data.evaluation_batches(config, test, BATCH):
        valid = batch.pop("valid")
        count += int(valid.sum())
        for name, values in evaluate(state, batch, runs.sample_key(config)).items():
            if name.startswith("correct_"):
                totals[name] = totals.get(name, 0) + int((np.asarray(values) & valid).sum())
    protocol = f"{config.data.name} test split, {count} pictures, masks of seed {config.data.evaluation_seed}"
    protocol += "".join(f", {name} {entry['sha256'][:12]}" for name, entry in record.items())
    return {
        name.replace("correct_", "accuracy_"): {
            "value": round(100 * right / count, 4),
            "step": int(state.step),
            "protocol": protocol,
        }
        for name, right in totals.items()
    }


def write_scores(workdir: Path, new: Mapping[str, dict]) -> None:
    """Merges scores into the workdir's scores.json by name."""
    path = workdir / "scores.json"
    old = runs.read_json(path) if path.is_file() else {}
    runs.write_json(path, old | dict(new))


def table(new: Mapping[str, dict]) -> str:
    """The scores for people; accuracies also as digits read wrongly a day."""
    lines = [f"{'':12}{'accuracy':>10}{f'wrong of {DIGITS_A_DAY:,} a day':>26}"]
    for name, entry in new.items():
        wrong = round(DIGITS_A_DAY * (1 - entry["value"] / 100))
        lines.append(f"{name.removeprefix('accuracy_'):12}{entry['value']:>9.2f}%{wrong:>26,}")
    protocol, step = next((entry["protocol"], entry["step"]) for entry in new.values())
    return "\n".join([*lines, f"step {step}; {protocol}"])


def sample_rows(config: ConfigDict, gan: Gan, state: State, examples: data.Arrays) -> np.ndarray:
    """Originals, what the generator was given, and what it made, with the judge's verdicts: uint8 [h, w, 3]."""
    key = runs.sample_key(config)
    inputs = {name: examples[name] for name in gan.inputs(1)}
    made = jax.jit(gan.sample)(state, inputs, key)
    judged = jax.device_get(jax.jit(gan.evaluate)(state, examples, key))
    names = {"original": "clean", "masked": "masked", "restored": "restored"}
    captions = {row: judged[f"verdict_{name}"] for row, name in names.items()}
    wrong = {row: ~judged[f"correct_{name}"] for row, name in names.items()}
    return figures.rows({"original": examples["image"], **inputs, **jax.device_get(made)}, captions, wrong)


def report(workdir: Path, config: ConfigDict, gan: Gan, state: State, record: Mapping, test: data.Arrays) -> str:
    """Scores a state, writes scores.json and the run's last pictures, and returns the table to print."""
    new = scores(config, gan, state, record, test)
    write_scores(workdir, new)
    picture = sample_rows(config, gan, state, data.some_examples(config, test, config.pictures))
    figures.write(workdir / "samples" / "final.png", picture)
    figures.write(workdir / "samples" / "losses.png", figures.loss_curves(logs.read_metrics(workdir)))
    return (
        f"{table(new)}\n\npictures: {workdir / 'samples' / 'final.png'}\n  losses: {workdir / 'samples' / 'losses.png'}"
    )
