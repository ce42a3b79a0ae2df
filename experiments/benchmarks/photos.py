r"""Restored photographs beside what others make of the same sources: one table, and a sheet of pictures.

    python -m experiments.benchmarks.photos --workdir=runs/srgan@3000,runs/srgan --esrgan=FOLDER/models/x4/model.json
    python -m experiments.benchmarks.photos --workdir=runs/deblur --output=runs/deblur/peers

The photographs are those that the run has held out, in the cells, and the scores are those, that experiments.evaluate
takes; or all of another set, with --photographs. DIR@STEP stands for an earlier checkpoint; several workdirs must have
the same data.

Super-resolution: bicubic enlargement, and the ESRGAN weights of the npm package @upscalerjs/esrgan-thick (MIT; trained
on DIV2K): `npm pack @upscalerjs/esrgan-thick` and unpack it; x4 only. Deblurring: the blurred source, and Wiener's
filter and Richardson-Lucy, which are given the true kernel; how strongly they work is tuned on training photographs,
once for the best PSNR and once for the best LPIPS. They need scikit-image: pip install -e '.[photos]'.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments import data, figures, perceptual, runs, tfjs_layers
from experiments.commands import UsageError, check_output, start, write_text
from gans.layers import enlarge
from gans.restoration_game import fidelity

WORKDIR = flags.DEFINE_list("workdir", None, "Folders of runs on photographs, as DIR or DIR@STEP.", required=True)
ESRGAN = flags.DEFINE_string("esrgan", "", "The model.json of @upscalerjs/esrgan-thick's x4 network.")
PHOTOGRAPHS = flags.DEFINE_string(
    "photographs", "", "Another set: a folder, or 'embedded' for those inside scikit-image and scikit-learn."
)
OUTPUT = flags.DEFINE_string("output", None, "A folder for table.md and pictures.png; by default WORKDIR/peers[-SET].")
PICTURES = flags.DEFINE_integer("pictures", 6, "Pictures in the sheet.", lower_bound=1)
TUNING = flags.DEFINE_integer("tuning", 8, "Cells of training photographs that others are tuned on.", lower_bound=1)

Restore = Callable[[Mapping[str, np.ndarray]], np.ndarray]
# What must be the same for scores to be comparable.
PROTOCOL = ("name", "path", "cell", "shrink", "test", "held_out")
PROTOCOL += ("evaluation_maps", "evaluation_seed", "downsample", "blur")


class Run(NamedTuple):
    """A checkpoint's config, and what it makes of a batch."""

    label: str
    config: ConfigDict
    restore: Restore


def load(name: str) -> Run:
    """The run DIR, or DIR@STEP.

    Raises:
      UsageError: if there is none on photographs, or it has no whole checkpoint of that step.
    """
    folder, _, asked = name.partition("@")
    if asked and not asked.isdecimal():
        raise UsageError(f"--workdir={name}: {asked!r} is no step.")
    workdir = Path(folder)
    config, _ = runs.read_workdir(workdir)
    gan = runs.build(config, axis=None)
    if set(gan.inputs(1)) != {"source"}:
        raise UsageError(f"{workdir} is no run on photographs.")
    found = runs.restore(workdir, config, gan, int(asked) if asked else None)
    if found is None or (asked and found[0] != int(asked)):
        raise UsageError(f"{workdir} holds no whole checkpoint{f' of step {asked}' * bool(asked)}.")
    step, state = found
    sample = jax.jit(gan.sample)

    def restore(batch):
        return sample(state, {"source": batch["source"]}, jax.random.key(0))["restored"]

    return Run(f"{workdir.name}, step {step}", config, restore)


def esrgan(path: Path, scale: int) -> Restore:
    """The network of `model.json`, which takes and gives [0, 1].

    Raises:
      UsageError: if it is no such network, or one for another scale.
    """
    apply, variables = tfjs_layers.read(path)
    enlarged = jax.eval_shape(apply, variables, jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)).shape
    if enlarged != (1, 8 * scale, 8 * scale, 3):
        raise UsageError(f"--esrgan={path} makes {enlarged[1:]} of (8, 8, 3), but the run enlarges {scale} times.")

    @jax.jit
    def restore(variables, source):
        return jnp.clip(2 * apply(variables, source / 2 + 0.5) - 1, -1, 1)

    return lambda batch: restore(variables, batch["source"])


def scorer(config: ConfigDict) -> Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]:
    """(restored, originals) -> {score: one value a picture}, as the run's own evaluation has them."""
    network = None
    if config.perceptual.lpips:
        variables, heads, _ = perceptual.find("vgg16", config.perceptual.lpips_weights)
        network = variables | {"heads": heads}
    score = jax.jit(lambda network, a, b: fidelity(a, b, config.model.scale, network))
    return lambda restored, originals: jax.device_get(score(network, restored, originals))


def tuned(config: ConfigDict, train: data.Arrays, scores) -> dict[str, Restore]:
    """Wiener and Richardson-Lucy, tuned on the training split for PSNR and for LPIPS, by labels that say how."""
    try:
        from experiments.benchmarks import deconvolution
    except ImportError as error:
        raise UsageError("Wiener and Richardson-Lucy need scikit-image: pip install -e '.[photos]'.") from error
    count = min(TUNING.value, len(train["image"]))
    examples, methods = data.some_examples(config, train, count), {}
    for name, method in deconvolution.METHODS.items():
        best = deconvolution.tune(method, examples, scores)
        for score, value in best.items():
            if score.startswith(("psnr", "lpips")):
                label = f"{name}, {method.parameter} {value:.3g}, best in {score}"
                methods[label] = lambda batch, method=method, value=value: deconvolution.batch(method, batch, value)
    return methods


class Found(NamedTuple):
    """What came of the test split.

    scores:   {method: {score: one value a picture}}.
    kinds:    the kind of each picture's blur, or None.
    pictures: {method: some of them, [n, height, width, 3] in [-1, 1]}, the sources first and the originals last.
    """

    scores: dict[str, dict[str, np.ndarray]]
    kinds: np.ndarray | None
    pictures: dict[str, np.ndarray]


def compare(config: ConfigDict, test: data.Arrays, methods: Mapping[str, Restore], scores) -> Found:
    """Every method on the whole test split."""
    count = len(test["image"])
    shown = set(np.linspace(0, count - 1, min(PICTURES.value, count)).round().astype(int).tolist())
    found, kinds, kept, at = {name: {} for name in methods}, [], {}, 0
    factor = config.model.scale
    every = 0.5 if sys.stderr.isatty() else 15
    with tqdm(total=count, desc="photographs", unit="cell", mininterval=every, dynamic_ncols=True) as bar:
        for batch in data.evaluation_batches(config, test, config.evaluation_batch):
            valid = batch.pop("valid")
            rows = [row for row in range(valid.sum()) if at + row in shown]
            made = {name: np.asarray(restore(batch)) for name, restore in methods.items()}
            for name, restored in made.items():
                for score, values in scores(restored, batch["image"]).items():
                    found[name].setdefault(score, []).append(values[valid])
            source = {"source": batch["source"].repeat(factor, 1).repeat(factor, 2)} if factor > 1 else {}
            for name, pictures in {**source, **made, "original": batch["image"]}.items():
                kept.setdefault(name, []).append(pictures[rows])
            if "kind" in batch:
                kinds.append(batch["kind"][valid])
            at += valid.sum()
            bar.update(valid.sum())
    joined = {name: {score: np.concatenate(parts) for score, parts in own.items()} for name, own in found.items()}
    pictures = {name: np.concatenate(parts) for name, parts in kept.items()}
    return Found(joined, np.concatenate(kinds) if kinds else None, pictures)


def markdown(scores: Mapping[str, Mapping[str, np.ndarray]], chosen: np.ndarray | slice = slice(None)) -> str:
    """A table of the methods' mean scores over the chosen pictures."""
    columns = list(next(iter(scores.values())))
    lines = ["| " + " | ".join(["method", "pictures", *columns]) + " |", "| --- |" + " ---: |" * (1 + len(columns))]
    for name, own in scores.items():
        values = {column: own[column][chosen] for column in columns}
        cells = [
            f"{value.mean():.2f}" if column.startswith("psnr") else f"{value.mean():.4f}"
            for column, value in values.items()
        ]
        lines.append("| " + " | ".join([name, str(len(values[columns[0]])), *cells]) + " |")
    return "\n".join(lines) + "\n"


def report(config: ConfigDict, found: Found) -> str:
    """All tables: over all pictures, and by kind of blur."""
    where = f"All of {PHOTOGRAPHS.value}" if PHOTOGRAPHS.value else f"{config.data.name} test split"
    parts = [f"{where}, what is drawn from seed {config.data.evaluation_seed}; means.", markdown(found.scores)]
    if found.kinds is not None:
        for index, kind in enumerate(config.data.blur.kinds):
            chosen = found.kinds == index
            parts += [f"Blur: {kind}", markdown(found.scores, chosen)] if chosen.any() else []
    return "\n".join(parts)


def of_all(config: ConfigDict, photographs: str) -> ConfigDict:
    """The config with all photographs of another set in its test split, degraded as the run's are.

    The embedded ones are small, and sharp, as they are.
    """
    config = config.copy_and_resolve_references()
    config.data.held_out = ("*",)
    if photographs == "embedded":
        config.data.update(name="photos", path="", shrink=1)
    else:
        config.data.update(name="photo_folder", path=photographs)
    return config


def check(found: Sequence[Run]) -> None:
    """Refuses runs whose scores could not be compared, and peers that do not fit them."""
    first, *others = found
    for other in others:
        pairs = {f"data.{name}": [run.config.data.get(name) for run in (first, other)] for name in PROTOCOL}
        pairs["model.scale"] = [run.config.model.scale for run in (first, other)]
        if changed := [f"{name}: {one} and {two}" for name, (one, two) in pairs.items() if one != two]:
            raise UsageError(f"{first.label} and {other.label} have different data:\n  " + "\n  ".join(changed))
    if len({run.label for run in found}) < len(found):
        raise UsageError("--workdir names a checkpoint twice.")


def main() -> None:
    found = [load(name) for name in WORKDIR.value]
    check(found)
    config = found[0].config
    scale = config.model.scale
    folder = "peers" + f"-{Path(PHOTOGRAPHS.value).name}" * bool(PHOTOGRAPHS.value)
    output = Path(OUTPUT.value or Path(WORKDIR.value[0].partition("@")[0], folder))
    peers = {"ESRGAN (UpscalerJS, thick)": esrgan(Path(ESRGAN.value), scale)} if ESRGAN.value else {}
    check_output(output / "table.md")
    splits, scores = data.read(config), scorer(config)
    if "degrade.blur" in config.data.evaluation_maps:
        peers |= tuned(config, splits["train"], scores)
    test = data.read(of_all(config, PHOTOGRAPHS.value))["test"] if PHOTOGRAPHS.value else splits["test"]
    plain = {"bicubic" if scale > 1 else "blurred source": lambda batch: enlarge(batch["source"], scale)}
    methods = plain | peers | {run.label: run.restore for run in found}
    seen = compare(config, test, methods, scores)
    text = report(config, seen)
    figures.write(output / "pictures.png", figures.sheet(seen.pictures))
    write_text(output / "table.md", text)
    print(f"\n{text}\n{output / 'table.md'}, {output / 'pictures.png'}")


if __name__ == "__main__":
    start(main)
