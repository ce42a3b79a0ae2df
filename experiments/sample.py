r"""Makes pictures or volumes from a run's newest checkpoint.

    python -m experiments.sample --workdir=runs/digits --count=64 --output=grid.png
    python -m experiments.sample --workdir=runs/digits --count=10000 --output=more.npz --labels=3,8
    python -m experiments.sample --workdir=runs/digits --count=16 --output=walk.gif
    python -m experiments.sample --workdir=runs/digits --count=20 --output=memorised.png --nearest
    python -m experiments.sample --workdir=runs/chairs --count=5 --output=chair.stl --size=80 --largest
    python -m experiments.sample --workdir=runs/chairs --latents=set.npz:3 --minus=set.npz:7 --plus=set.npz:0,9 \
        --output=new.obj

What --output names decides the form: a .png is a grid, a folder gets one PNG a picture, an .npz is a set for other
programs (`image` uint8, and what each was made from: `latent`, `label`), and a .gif goes from each latent to another
one and back. Conditions (masked pictures, say) are taken evenly from the test split.

Volumes are drawn as pictures, and are in an .npz where they are solid (at least 1/2); .obj and .stl are watertight
meshes of them, .binvox the voxels, a numbered file each. --latents=FILE:3,7 takes these two of a file's latents,
counted from 0, and a .gif of latents that are given goes from each to the next. --minus and --plus add to every latent
the difference of two files' means, as Radford et al. 2015 (arXiv 1511.06434, section 6.3.2) do with faces and Wu et al.
2016 (arXiv 1610.07584, section 4.1) with chairs.
"""

from pathlib import Path

import jax
import numpy as np
from absl import flags

from experiments import data, figures, latents, meshes, runs, voxel_pictures
from experiments.commands import UsageError, check_output, define_best, start, whole_folder
from gans.scores.nearest import nearest

WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run.", required=True)
BEST = define_best()
COUNT = flags.DEFINE_integer("count", 64, "Number of pictures.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "What latents are drawn from.")
OUTPUT = flags.DEFINE_string(
    "output",
    "samples.png",
    "A .png, .npz or .gif, a folder for single pictures, or an .obj, .stl or .binvox of volumes.",
)
LABELS = flags.DEFINE_list("labels", None, "Classes that take turns, for a run on class labels; all by default.")
LATENTS = flags.DEFINE_string("latents", None, "An .npy or .npz of latents, instead of --count and --seed.")
MINUS = flags.DEFINE_string("minus", None, "Latents whose mean is taken from each latent.")
PLUS = flags.DEFINE_string("plus", None, "Latents whose mean is added to each latent.")
TRUNCATION = flags.DEFINE_float("truncation", None, "How far from 0 a latent's components may lie.", lower_bound=0.01)
FRAMES = flags.DEFINE_integer("frames", 48, "Pictures in a .gif.", lower_bound=2)
NEAREST = flags.DEFINE_bool("nearest", False, "Show each sample's nearest training picture beside it.")
SIZE = flags.DEFINE_float("size", 100.0, "Side of the whole grid in mm, for .obj and .stl.", lower_bound=0.001)
LARGEST = flags.DEFINE_bool("largest", False, "Leave out of .obj and .stl what does not touch the largest part.")

BATCH, VOLUMES = 100, 16  # pictures, and volumes, that are made at once
SUFFIXES = (".png", ".npz", ".gif", "", *meshes.SUFFIXES)


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
        if TRUNCATION.value:
            raise UsageError("--latents gives the latents themselves: leave --truncation out.")
        found = latents.read(LATENTS.value, size)
        if OUTPUT.value.endswith(".gif") and len(found) == 1:
            raise UsageError(f"--latents={LATENTS.value}: a .gif goes from each latent to the next; give at least two.")
    else:
        found = latents.drawn(SEED.value, COUNT.value, size, TRUNCATION.value)
    for flag, sign in ((MINUS, -1), (PLUS, 1)):
        if flag.value:
            found = found + sign * latents.read(flag.value, size).mean(0, keepdims=True)
    return {"latent": np.asarray(found), **labels(LABELS.value, len(found), config.model.classes)}


def conditions(config, gan) -> dict[str, np.ndarray]:
    """What a generator without latents is given: examples of the test split."""
    for flag in (LABELS, LATENTS, TRUNCATION, MINUS, PLUS):
        if flag.value:
            raise UsageError(f"--{flag.name}: this run's pictures are not made from latents.")
    if OUTPUT.value.endswith(".gif"):
        raise UsageError(f"--output={OUTPUT.value}: this run has no latents to go between.")
    test = data.read(config)["test"]
    available = len(next(iter(test.values())))
    if COUNT.value > available:
        raise UsageError(f"--count={COUNT.value}: the test split has only {available} pictures to condition on.")
    examples = data.some_examples(config, test, COUNT.value)
    return {name: examples[name] for name in gan.inputs(1)}


def generate(sample, state, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Pictures uint8 [count, height, width, channels] or volumes float32 [count, x, y, z, 1], a batch at a time."""
    count, key = len(next(iter(inputs.values()))), jax.random.key(SEED.value)
    batch = VOLUMES if next(iter(jax.eval_shape(sample, state, inputs, key).values())).ndim == 5 else BATCH
    parts = [{name: rows[at : at + batch] for name, rows in inputs.items()} for at in range(0, count, batch)]
    batches = (next(iter(sample(state, part, key).values())) for part in parts)
    return np.concatenate([np.asarray(made) if made.ndim == 5 else figures.to_uint8(made) for made in batches])


def pictures(images: np.ndarray) -> np.ndarray:
    """Pictures as they are; of volumes one picture each with several views: uint8 [count, height, width, channels]."""
    return images if images.ndim == 4 else voxel_pictures.views(images)


def walk(sample, state, inputs: dict[str, np.ndarray], size: int) -> list[np.ndarray]:
    """The grids of a .gif; each place keeps its label."""
    starts = inputs["latent"]
    if LATENTS.value:
        ends = np.roll(starts, -1, 0)
    else:
        ends = latents.drawn(SEED.value, 2 * len(starts), size, TRUNCATION.value)[len(starts) :]
    path = np.asarray(latents.way(starts, ends, FRAMES.value))
    return [figures.grid(pictures(generate(sample, state, {**inputs, "latent": step}))) for step in path]


def solid(images: np.ndarray) -> np.ndarray:
    """Pictures as they are; volumes as the data has them, uint8 in {0, 1}."""
    return (images >= meshes.SOLID).astype(np.uint8) if images.ndim == 5 else images


def beside_nearest(config, images: np.ndarray) -> np.ndarray:
    """Samples with their nearest training pictures; prints how near they are, beside what test pictures are."""
    splits = data.read(config)
    training = splits["train"]["image"]
    images = solid(images)
    found = nearest(images, training)
    rows = np.linspace(0, len(splits["test"]["image"]) - 1, min(len(images), 200)).round().astype(int)
    unseen = nearest(splits["test"]["image"][rows], training)
    unit = "root of the mean square of 255" if images.ndim == 4 else "root of the share of voxels that differ"
    print(
        f"Median distance to the nearest of {len(training)} training pictures, as the {unit}: "
        f"{_distance(found, images):.3g} from samples, {_distance(unseen, images):.3g} from unseen test pictures. "
        "Samples much nearer than the unseen ones are memorised."
    )
    return figures.pairs(pictures(images), pictures(training[found.indices]))


def _distance(found, images):
    return np.median(found.distances) / np.sqrt(images[0].size)


def write(output: Path, images: np.ndarray, inputs: dict[str, np.ndarray]) -> None:
    if output.suffix == ".png":
        figures.write(output, figures.grid(pictures(images)))
    elif output.suffix == ".npz":
        figures.write_set(output, {"image": solid(images), **inputs})
    elif output.suffix in meshes.SUFFIXES:
        empty = meshes.write_all(output, images, SIZE.value, largest=LARGEST.value)
        if empty:
            print(f"{len(empty)} volumes are empty and have no file: {', '.join(map(str, empty))}")
    else:
        with whole_folder(output) as folder:
            for index, image in enumerate(pictures(images)):
                figures.write(folder / f"{index:05d}.png", image.squeeze())


def main() -> None:
    workdir, output = Path(WORKDIR.value), Path(OUTPUT.value)
    if output.suffix not in SUFFIXES or (output.is_dir() if output.suffix else output.is_file()):
        raise UsageError(f"--output={output} is neither a folder nor one of {', '.join(filter(None, SUFFIXES))}.")
    if NEAREST.value and output.suffix != ".png":
        raise UsageError(f"--nearest shows pictures beside each other: --output={output} must be a .png.")
    check_output(output if output.suffix else output / "00000.png")
    gan, state = runs.load(workdir, best=BEST.value)
    config, _ = runs.read_workdir(workdir)
    if output.suffix in meshes.SUFFIXES and len(config.model.image_shape) != 4:
        raise UsageError(f"--output={output}: this run makes pictures, not volumes.")
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
    print(f"{len(images)} {'volumes' if images.ndim == 5 else 'pictures'} in {output}")


if __name__ == "__main__":
    start(main)
