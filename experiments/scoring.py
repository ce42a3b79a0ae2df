"""What a run is worth: scores on the test split, and the pictures that go with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from data_pipelines import reading, stacked
from experiments import data, figures, logs, runs, set_scores, voxel_pictures, weights
from gans.core import Gan, State

BATCH = 500
DIGITS_A_DAY = 21_000  # what the document's reader works through


def frozen_networks(config: ConfigDict, train: data.Arrays) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """The frozen networks that the config asks for, by name, and the record of their files.

    `digits` is trained here on clean pictures, those of the single digits where the run's are stacked; the others are
    read from the files of `config.features`.

    Raises:
      UsageError: for a file that is not one of weights.
    """
    files = {name: Path(path) for name, path in config.get("features", {}).items() if path}
    frozen, record = weights.read_features(files)
    if config.get("judge"):
        if sizes := stacked.SETS.get(config.data.name):
            train = reading.load(sizes.base, path=config.data.path, data_dir=config.data.directory)["train"]
        frozen["digits"], record["digits"] = weights.judge(config.judge, train)
    return frozen, record


def scores(config: ConfigDict, gan: Gan, state: State, record: Mapping, test: data.Arrays) -> dict[str, dict]:
    """{name: {'value', 'step', 'protocol'}} over the whole test split; none for a run without frozen networks.

    `accuracy_*` and `label_accuracy_*` are in percent; for the others see `set_scores`.
    """
    if not record:
        return {}
    seen = _seen(config, gan, state, test)
    count = len(next(iter(seen.values())))
    values = {
        name.replace("correct_", "accuracy_"): 100 * float(right.mean())
        for name, right in seen.items()
        if name.startswith("correct_")
    }
    protocol = f"{config.data.name} test split, {count} pictures"
    if "latent" in gan.inputs(1):
        values |= set_scores.set_scores(seen, tuple(record), _classes(config, test))
        protocol += " and as many samples"
    else:
        protocol += f", masks of seed {config.data.evaluation_seed}"
    protocol += "".join(f", {name} {entry['sha256'][:12]}" for name, entry in record.items())
    step = int(state.step)
    return {name: {"value": round(v, 6), "step": step, "protocol": protocol} for name, v in values.items()}


def _classes(config, test):
    """How many classes the judge tells apart."""
    if config.data.name in stacked.SETS:
        return 1000
    return int(test["label"].max()) + 1 if "label" in test else 0


def _seen(config, gan, state, test):
    """What `evaluate` returns for each example of the split, one array a name."""
    evaluate, key = jax.jit(gan.evaluate), runs.sample_key(config)
    seen = {}
    for index, batch in enumerate(data.evaluation_batches(config, test, BATCH)):
        valid = batch.pop("valid")
        # Another key for each batch, else all batches would see the same latents.
        for name, values in jax.device_get(evaluate(state, batch, jax.random.fold_in(key, index))).items():
            seen.setdefault(name, []).append(values[valid])
    return {name: np.concatenate(parts) for name, parts in seen.items()}


def write_scores(workdir: Path, new: Mapping[str, dict]) -> None:
    """Merges scores into the workdir's scores.json by name."""
    path = workdir / "scores.json"
    old = runs.read_json(path) if path.is_file() else {}
    runs.write_json(path, old | dict(new))


def write_history(workdir: Path, new: Mapping[str, dict]) -> None:
    """Adds the scores of a step on the way to the workdir's score_history.json, {name: {step: value}}."""
    path = workdir / "score_history.json"
    history = runs.read_json(path) if path.is_file() else {}
    for name, entry in new.items():
        history.setdefault(name, {})[str(entry["step"])] = entry["value"]
    runs.write_json(path, history)


def table(new: Mapping[str, dict]) -> str:
    """The scores for people; accuracies of reading also as digits read wrongly a day."""
    if not new:
        return "There are no scores: this run has no frozen network to judge it."
    reading_, others = {}, {}
    for name, entry in new.items():
        (reading_ if name.startswith("accuracy_") else others)[name] = entry["value"]
    lines = [f"{'':12}{'accuracy':>10}{f'wrong of {DIGITS_A_DAY:,} a day':>26}"] if reading_ else []
    for name, value in reading_.items():
        wrong = round(DIGITS_A_DAY * (1 - value / 100))
        lines.append(f"{name.removeprefix('accuracy_'):12}{value:>9.2f}%{wrong:>26,}")
    lines += [f"{name:32}{value:>12.4f}" for name, value in others.items()]
    protocol, step = next((entry["protocol"], entry["step"]) for entry in new.values())
    return "\n".join([*lines, f"step {step}; {protocol}"])


def sample_rows(config: ConfigDict, gan: Gan, state: State, examples: data.Arrays) -> np.ndarray:
    """Pictures that the generator makes, uint8 [height, width, 3]; the same latents and conditions at each call.

    For restored pictures: originals, what the generator was given, and what it made, with the judge's verdicts.
    """
    key = runs.sample_key(config)
    if "latent" in gan.inputs(1):
        made = jax.jit(gan.sample)(state, numbered(gan, config.pictures, config.model.classes), key)
        generated = np.asarray(made["generated"])
        return figures.grid(voxel_pictures.views(generated) if generated.ndim == 5 else figures.to_uint8(generated))
    inputs = {name: examples[name] for name in gan.inputs(1)}
    made = jax.jit(gan.sample)(state, inputs, key)
    judged = jax.device_get(jax.jit(gan.evaluate)(state, examples, key))
    names = {"original": "clean", "masked": "masked", "restored": "restored"}
    captions = {row: judged[f"verdict_{name}"] for row, name in names.items()}
    wrong = {row: ~judged[f"correct_{name}"] for row, name in names.items()}
    return figures.rows({"original": examples["image"], **inputs, **jax.device_get(made)}, captions, wrong)


def numbered(gan: Gan, count: int, classes: int) -> dict[str, jax.Array]:
    """Inputs for `count` samples whose latents the family draws by their numbers; labels take turns."""
    numbers = jnp.arange(count)
    return {"position": numbers} | ({"label": numbers % classes} if "label" in gan.inputs(1) else {})


def report(workdir: Path, config: ConfigDict, gan: Gan, state: State, record: Mapping, test: data.Arrays) -> str:
    """Scores a state, writes scores.json and the run's last pictures, and returns the table to print."""
    new = scores(config, gan, state, record, test)
    write_scores(workdir, new)
    picture = sample_rows(config, gan, state, examples(config, test))
    figures.write(workdir / "samples" / "final.png", picture)
    figures.write(workdir / "samples" / "losses.png", figures.loss_curves(logs.read_metrics(workdir)))
    return (
        f"{table(new)}\n\npictures: {workdir / 'samples' / 'final.png'}\n  losses: {workdir / 'samples' / 'losses.png'}"
    )


def examples(config: ConfigDict, test: data.Arrays) -> dict[str, np.ndarray]:
    """The test pictures that a run's figures show, the same in every run."""
    return data.some_examples(config, test, min(config.pictures, len(next(iter(test.values())))))
