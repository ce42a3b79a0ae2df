"""What a run is worth: scores on the test split, and the pictures that go with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from data_pipelines import reading, stacked
from experiments import (
    data,
    face_networks,
    face_scores,
    figures,
    logs,
    people_judge,
    perceptual,
    runs,
    set_scores,
    voxel_pictures,
    voxel_scores,
    weights,
)
from experiments.commands import UsageError
from gans.core import Gan, State
from gans.frozen import vgg

BATCH = 500
VOLUMES = 64  # made at a time
DIGITS_A_DAY = 21_000  # what the document's reader works through


def frozen_networks(config: ConfigDict, train: data.Arrays) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """The frozen networks that the config asks for, by name, and the record of their files.

    `content`, what a loss of features looks through, and `lpips` are those of `config.perceptual`. `digits` is trained
    here on clean pictures, those of the single digits where the run's are stacked; the others are
    read from the files of `config.features`.

    Raises:
      UsageError: for a file that is not one of weights.
    """
    if "perceptual" in config:
        return _perceptual(config)
    if "faces" in config:
        return _faces(config, train)
    files = {name: Path(path) for name, path in config.get("features", {}).items() if path}
    frozen, record = weights.read_features(files)
    if config.get("judge"):
        if sizes := stacked.SETS.get(config.data.name):
            train = reading.load(sizes.base, path=config.data.path, data_dir=config.data.directory)["train"]
        frozen["digits"], record["digits"] = weights.judge(config.judge, train)
    return frozen, record


def _perceptual(config):
    settings, found, record = config.perceptual, {}, {}
    if config.coefficients.content is not None:
        variables, _, record["content"] = perceptual.find(settings.content, settings.weights)
        found["content"] = variables | ({"preprocessing": vgg.preprocessing("raw")} if settings.raw else {})
    if settings.lpips:
        variables, heads, record["lpips"] = perceptual.find("vgg16", settings.lpips_weights)
        if heads is None:
            raise UsageError(
                "These weights of vgg16 have no heads for LPIPS: install gans[perceptual], or set "
                "config.perceptual.lpips=False."
            )
        found["lpips"] = variables | {"heads": heads}
    return found, record


def _faces(config, train):
    found, record = {}, {}
    if config.faces.weights or config.coefficients.identity is not None:
        found["face"], record["face"] = face_networks.find(config.faces.weights)
    if config.faces.judge:
        found["people"], record["people"] = people_judge.trained(config.faces.judge, train)
    return found, record


def scores(
    config: ConfigDict, gan: Gan, state: State, record: Mapping, test: data.Arrays, split: str = "test"
) -> dict[str, dict]:
    """{name: {'value', 'step', 'protocol'}} over a whole split, by its name; none where nobody judges the samples.

    `accuracy_*` and `label_accuracy_*` are in percent; for others see `set_scores` and `restoration_game.fidelity`.
    """
    from_latents = "latent" in gan.inputs(1)
    if from_latents and "image" in test and test["image"].ndim == 5:
        return _of_volumes(config, gan, state, test["image"], split)
    if from_latents and not record:
        return {}
    seen = _seen(config, gan, state, test)
    count = len(next(iter(seen.values())))
    protocol = f"{config.data.name} {split} split, {count} pictures"
    if "faces" in config:
        values = face_scores.face_scores(seen, test["label"], test.get("identity", np.arange(count)))
    elif from_latents:
        values = set_scores.set_scores(seen, tuple(record), _classes(config, test))
        protocol += " and as many samples"
    else:
        values = dict(_mean_score(name, values) for name, values in seen.items() if not name.startswith("verdict"))
        protocol += f", what is drawn from seed {config.data.evaluation_seed}"
    protocol += "".join(f", {name} {entry['sha256'][:12]}" for name, entry in record.items())
    step = int(state.step)
    return {name: {"value": round(v, 6), "step": step, "protocol": protocol} for name, v in values.items()}


def _of_volumes(config, gan, state, real, split):
    count = len(real)
    found = voxel_scores.voxel_scores(volumes(config, gan, state, count), real)
    protocol = f"{config.data.name} {split} split, {count} volumes and as many samples"
    return {
        name: {"value": round(value, 6), "step": int(state.step), "protocol": protocol} for name, value in found.items()
    }


def volumes(config: ConfigDict, gan: Gan, state: State, count: int) -> np.ndarray:
    """So many volumes of a 3D-GAN, float32 [count, r, r, r, 1] in [0, 1]; the same ones at each call."""
    sample, key = jax.jit(gan.sample), runs.sample_key(config)
    inputs = numbered(gan, count, config.model.classes)
    parts = [sample(state, _part(inputs, start), key)["generated"] for start in range(0, count, VOLUMES)]
    return np.concatenate(parts)


def _part(inputs, start):
    return {name: values[start : start + VOLUMES] for name, values in inputs.items()}


def _mean_score(name, values):
    if name.startswith("correct_"):
        return name.replace("correct_", "accuracy_"), 100 * float(values.mean())
    return name, float(values.mean())


def _classes(config, test):
    """How many classes the judge tells apart."""
    if config.data.name in stacked.SETS:
        return 1000
    return int(test["label"].max()) + 1 if "label" in test else 0


def _seen(config, gan, state, test):
    """What `evaluate` returns for each example of the split, one array a name."""
    evaluate, key = jax.jit(gan.evaluate), runs.sample_key(config)
    seen = {}
    for index, batch in enumerate(data.evaluation_batches(config, test, config.get("evaluation_batch", BATCH))):
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
    history = runs.score_history(workdir)
    for name, entry in new.items():
        history.setdefault(name, {})[str(entry["step"])] = entry["value"]
    runs.write_json(workdir / runs.HISTORY, history)


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

    For restored photographs: the source, what was made of it, the original. For restored digits: originals, what the
    generator was given, and what it made, with the judge's verdicts.
    """
    key = runs.sample_key(config)
    if "faces" in config:
        return figures.strips(examples["image"], in_each_group(gan, state, examples["image"], config.model.classes))
    if "latent" in gan.inputs(1):
        made = jax.jit(gan.sample)(state, numbered(gan, config.pictures, config.model.classes), key)
        generated = np.asarray(made["generated"])
        return figures.grid(voxel_pictures.views(generated) if generated.ndim == 5 else figures.to_uint8(generated))
    inputs = {name: examples[name] for name in gan.inputs(1)}
    made = jax.jit(gan.sample)(state, inputs, key)
    if "source" in inputs:
        return figures.triples(inputs["source"], made["restored"], examples["image"])
    judged = jax.device_get(jax.jit(gan.evaluate)(state, examples, key))
    names = {"original": "clean", "masked": "masked", "restored": "restored"}
    captions = {row: judged[f"verdict_{name}"] for row, name in names.items()}
    wrong = {row: ~judged[f"correct_{name}"] for row, name in names.items()}
    return figures.rows({"original": examples["image"], **inputs, **jax.device_get(made)}, captions, wrong)


def in_each_group(gan: Gan, state: State, faces: np.ndarray, groups: int) -> np.ndarray:
    """The people of faces [count, height, width, 3] in each age group: [count, groups, height, width, 3]."""
    sample, key = jax.jit(gan.sample), jax.random.key(0)
    labels = [np.full(len(faces), group, np.int32) for group in range(groups)]
    return np.stack([sample(state, {"image": faces, "label": label}, key)["generated"] for label in labels], 1)


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
