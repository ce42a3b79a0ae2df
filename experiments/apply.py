r"""Restores or ages a person's own pictures with a run's newest checkpoint.

    python -m experiments.apply --workdir=runs/srgan --input=photo.jpg --output=large.png
    python -m experiments.apply --workdir=runs/deblur --input=holiday/ --output=sharp/ [--compare]
    python -m experiments.apply --workdir=runs/digits --input=masked.png --output=restored.png
    python -m experiments.apply --workdir=runs/digits --input=masked/ --output=restored/ --mask=mask.png
    python -m experiments.apply --workdir=runs/faces --input=face.jpg --output=old.png --age=60+ [--optimize]

Photographs may have any size; they are restored in tiles. They come out upright, in 8 bits, with their transparency
and their colour profile, in the format that --output names (.png, .jpg, .webp or .tif); those of a folder keep theirs.
With --compare the source, enlarged by bicubic interpolation, stands beside the restored picture. A x4 network needs
4 bytes of memory for each pixel that it makes, and 2 GB; with --compare 8.

Masked pictures are bright strokes on black, as in MNIST. Without --mask whatever is black counts as unknown; with it
the white part of the mask is restored and everything else is kept.

Faces are aged into a group, or into all six, one beside the other; a picture is cut to the square in its middle, which
should hold the face as the training's pictures do. With --optimize the latent that the encoder finds is improved first,
which takes seconds a face.
"""

import sys
from pathlib import Path

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict
from tqdm import tqdm

from data_pipelines import pictures
from experiments import apply_faces, apply_photos, figures, photo_files, runs
from experiments.commands import UsageError, define_best, start

WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run.", required=True)
BEST = define_best()
INPUT = flags.DEFINE_string("input", None, "A picture, or a folder of pictures.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "A file for a picture, a folder for a folder.", required=True)
MASK = flags.DEFINE_string("mask", None, "A picture that is white where to restore, for all of the masked input.")
COMPARE = flags.DEFINE_bool("compare", False, "Show each photograph beside what was made of it.")
AGE = flags.DEFINE_string("age", None, "An age group, such as 60+, or all.")
OPTIMIZE = flags.DEFINE_bool("optimize", False, "Search for the latent of each face, from the encoder's on.")
# What a run makes its pictures from, and the flags that only such runs take.
KINDS = {"masked": [MASK], "source": [COMPARE], "face": [AGE, OPTIMIZE]}


def read_picture(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """A picture file in the shape [height, width, channels] that the networks take, in [-1, 1].

    Raises:
      UsageError: if it is no picture, or of another size; colours are converted.
    """
    height, width, channels = shape
    # By the head of the file, before memory is taken for its pixels.
    if (found := photo_files.size(path)) != (height, width):
        raise UsageError(f"{path} is {found[1]}x{found[0]}, but this run's networks take {width}x{height}: resize it.")
    # A damaged file shows itself in many ways.
    try:
        picture = pictures.upright(str(path)).convert("L" if channels == 1 else "RGB")
    except Exception as error:
        raise UsageError(f"{path} cannot be read as a picture: {error}.") from error
    return np.asarray(picture, np.float32).reshape(shape) / 127.5 - 1


def restore_masked(gan, state, pairs: dict[Path, Path]) -> None:
    """Restores masked pictures of the size that the run was trained on."""
    shape = gan.inputs(1)["masked"].shape[1:]
    given = {path: read_picture(path, shape) for path in pairs}
    mask = None if MASK.value is None else (read_picture(Path(MASK.value), shape) > 0).astype(np.float32)[None]
    sample = jax.jit(gan.sample)
    for path, picture in tqdm(given.items(), desc="restoring", disable=len(given) == 1):
        inputs = {"masked": picture[None]} if mask is None else {"masked": picture[None], "mask": mask}
        restored = np.asarray(sample(state, inputs, jax.random.key(0))["restored"])[0]
        figures.write(pairs[path], figures.to_uint8(restored).squeeze())


def restore_photos(config, workdir: Path, pairs: dict[Path, Path]) -> dict[Path, str]:
    """Restores photographs of any size; returns those that could not be, {path: why}. Files are checked first."""
    pixels, faults = apply_photos.check(pairs, config.model.scale, COMPARE.value)
    if len(pairs) == 1 and pixels:
        ((source, target),) = pairs.items()
        photo_files.check_transparency(target, photo_files.read(source))
    if not pixels:
        return faults
    network = apply_photos.network(config, *runs.load(workdir, best=BEST.value), COMPARE.value)
    return faults | apply_photos.run(pairs, pixels, network)


def age_faces(config, gan, state, pairs: dict[Path, Path], groups: list[int]) -> dict[Path, str]:
    """Ages faces; returns files that hold none that could be read, {path: why}."""
    aged = apply_faces.network(config, gan, state, groups, OPTIMIZE.value)
    return apply_faces.run(pairs, config.model.image_shape[0], aged)


def kind_of(workdir: Path, config: ConfigDict) -> str:
    """What a run makes its pictures from, one of `KINDS`.

    Raises:
      UsageError: for runs that make them from nothing, and for flags of another kind of run.
    """
    kind = "face" if "faces" in config else ",".join(runs.build(config).inputs(1))
    if kind not in KINDS:
        raise UsageError(f"{workdir} is no run of a family that restores pictures or ages faces.")
    for other, own in KINDS.items():
        for flag in own:
            if flag.value and other != kind:
                raise UsageError(f"--{flag.name} is not for a run like {workdir}.")
    return kind


def main() -> int:
    workdir, source, target = Path(WORKDIR.value), Path(INPUT.value), Path(OUTPUT.value)
    config, _ = runs.read_workdir(workdir)
    kind = kind_of(workdir, config)
    groups = apply_faces.asked(AGE.value) if kind == "face" else []
    pairs = photo_files.pairs(source, target, [".png"] if kind == "masked" else photo_files.FORMATS)
    if kind == "masked":
        restore_masked(*runs.load(workdir, best=BEST.value), pairs)
        faults = {}
    elif kind == "source":
        faults = restore_photos(config, workdir, pairs)
    else:
        faults = age_faces(config, *runs.load(workdir, best=BEST.value), pairs, groups)
    if len(faults) == len(pairs):
        raise UsageError("\n".join(faults.values()))
    done = "aged" if kind == "face" else "restored"
    print(f"{len(pairs) - len(faults)} {done}: {target}")
    for fault in faults.values():
        print(f"not {done}: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    start(main)
