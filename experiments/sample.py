r"""Makes pictures from a run's newest checkpoint.

    python -m experiments.sample --workdir=runs/digits --count=64 --output=grid.png
    python -m experiments.sample --workdir=runs/digits --count=10000 --output=more.npz --labels=3,8
    python -m experiments.sample --workdir=runs/digits --count=16 --output=walk.gif
    python -m experiments.sample --workdir=runs/digits --count=20 --output=memorised.png --nearest

What --output names decides the form: a .png is a grid, a folder gets one PNG a picture, an .npz is a set for other
programs (`image` uint8, and what each was made from: `latent`, `label`), and a .gif goes from each latent to another
one and back. Conditions (masked pictures, say) are taken evenly from the test split.
"""

from pathlib import Path

import jax
import numpy as np
from absl import flags

from experiments import data, figures, latents, runs
from experiments.commands import UsageError, start
from gans.scores.nearest import nearest

WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run.", required=True)
COUNT = flags.DEFINE_integer("count", 64, "Number of pictures.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "What latents are drawn from.")
OUTPUT = flags.DEFINE_string("output", "samples.png", "A .png, .npz or .gif, or a folder for single pictures.")
LABELS = flags.DEFINE_list("labels", None, "Classes that take turns, for a run on class labels; all by default.")
LATENTS = flags.DEFINE_string("latents", None, "An .npy or .npz of latents, instead of --count and --seed.")
TRUNCATION = flags.DEFINE_float("truncation", None, "How far from 0 a latent's components may lie.", lower_bound=0.01)
FRAMES = flags.DEFINE_integer("frames", 48, "Pictures in a .gif.", lower_bound=2)
NEAREST = flags.DEFINE_bool("nearest", False, "Show each sample's nearest training picture beside it.")

BATCH = 100
SUFFIXES = (".png", ".npz", ".gif", "")


def labels(given: list[str] | None, count: int, classes: int) -> dict[str, np.ndarray]:
    """`count` labels int32 by turns, of the classes given or of all; none for a run without classes."""
    if not classes:
        if given:
            raise UsageError(f"--labels={','.join(given)}: this run was not trained on class labels.")
        return {}
    if strange := [name for name in given or [] if not name.isdecimal() or int(name) >= classes]:
        raise UsageError(f"--labels: there is no class {strange[0]!r}; this run has 0 to {classes - 1}.")
    chosen = [int(name) for name in given] if given else range(classes)
    return {"label": np.resize(np.array(chosen, np.int32), count)}


def from_latents(config) -> dict[str, np.ndarray]:
    """The latents that the flags ask for, with labels: {'latent': [count, size], 'label': [count]}."""
    size = config.model.latent_size
    if LATENTS.value:
        if TRUNCATION.value or OUTPUT.value.endswith(".gif"):
            raise UsageError("--latents gives the latents themselves: leave --truncation and .gif out.")
        found = latents.read(Path(LATENTS.value), size)
    else:
        found = latents.drawn(SEED.value, COUNT.value, size, TRUNCATION.value)
    return {"latent": np.asarray(found), **labels(LABELS.value, len(found), config.model.classes)}


def conditions(config, gan) -> dict[str, np.ndarray]:
    """What a generator without latents is given: examples of the test split."""
    for name, flag in {"labels": LABELS, "latents": LATENTS, "truncation": TRUNCATION}.items():
        if flag.value:
            raise UsageError(f"--{name}: this run's pictures are not made from latents.")
    if OUTPUT.value.endswith(".gif"):
        raise UsageError(f"--output={OUTPUT.value}: this run has no latents to go between.")
    test = data.read(config)["test"]
    available = len(next(iter(test.values())))
    if COUNT.value > available:
        raise UsageError(f"--count={COUNT.value}: the test split has only {available} pictures to condition on.")
    examples = data.some_examples(config, test, COUNT.value)
    return {name: examples[name] for name in gan.inputs(1)}


def generate(sample, state, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Pictures uint8 [count, height, width, channels], made a batch at a time."""
    count, key = len(next(iter(inputs.values()))), jax.random.key(SEED.value)
    parts = [{name: rows[at : at + BATCH] for name, rows in inputs.items()} for at in range(0, count, BATCH)]
    made = (next(iter(sample(state, part, key).values())) for part in parts)
    return np.concatenate([figures.to_uint8(images) for images in made])


def walk(sample, state, inputs: dict[str, np.ndarray], size: int) -> list[np.ndarray]:
    """The grids of a .gif; each place keeps its label."""
    count = len(inputs["latent"])
    ends = latents.drawn(SEED.value, 2 * count, size, TRUNCATION.value)[count:]
    path = np.asarray(latents.way(inputs["latent"], ends, FRAMES.value))
    return [figures.grid(generate(sample, state, {**inputs, "latent": step})) for step in path]


def beside_nearest(config, images: np.ndarray) -> np.ndarray:
    """Samples with their nearest training pictures; prints how near they are, beside what test pictures are."""
    splits = data.read(config)
    training = splits["train"]["image"]
    found = nearest(images, training)
    rows = np.linspace(0, len(splits["test"]["image"]) - 1, min(len(images), 200)).round().astype(int)
    unseen = nearest(splits["test"]["image"][rows], training)
    print(
        f"Median distance to the nearest of {len(training)} training pictures, as the root of the mean square of 255: "
        f"{_distance(found, images):.1f} from samples, {_distance(unseen, images):.1f} from unseen test pictures. "
        "Samples much nearer than the unseen ones are memorised."
    )
    return figures.pairs(images, training[found.indices])


def _distance(found, images):
    return np.median(found.distances) / np.sqrt(images[0].size)


def write(output: Path, images: np.ndarray, inputs: dict[str, np.ndarray]) -> None:
    if output.suffix == ".png":
        figures.write(output, figures.grid(images))
    elif output.suffix == ".npz":
        figures.write_set(output, {"image": images, **inputs})
    else:
        for index, image in enumerate(images):
            figures.write(output / f"{index:05d}.png", image.squeeze())


def main() -> None:
    workdir, output = Path(WORKDIR.value), Path(OUTPUT.value)
    if output.suffix not in SUFFIXES or (output.is_dir() if output.suffix else output.is_file()):
        raise UsageError(f"--output={output} is neither a .png, an .npz, a .gif nor a folder.")
    if NEAREST.value and output.suffix != ".png":
        raise UsageError(f"--nearest shows pictures beside each other: --output={output} must be a .png.")
    gan, state = runs.load(workdir)
    config, _ = runs.read_workdir(workdir)
    inputs = from_latents(config) if "latent" in gan.inputs(1) else conditions(config, gan)
    sample = jax.jit(gan.sample)
    if output.suffix == ".gif":
        figures.write_gif(output, walk(sample, state, inputs, config.model.latent_size))
        print(f"{FRAMES.value} frames in {output}")
        return
    images = generate(sample, state, inputs)
    if NEAREST.value:
        figures.write(output, beside_nearest(config, images))
    else:
        write(output, images, inputs)
    print(f"{len(images)} pictures in {output}")


if __name__ == "__main__":
    start(main)
