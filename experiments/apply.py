r"""Restores a person's own masked pictures with a run's newest checkpoint.

    python -m experiments.apply --workdir=runs/digits --input=masked.png --output=restored.png
    python -m experiments.apply --workdir=runs/digits --input=masked/ --output=restored/ --mask=mask.png

Bright strokes on black, as in MNIST. Without --mask whatever is black counts as unknown; with it the white part of the
mask is restored and everything else is kept.
"""

from pathlib import Path

import jax
import numpy as np
from absl import flags
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from experiments import figures, runs
from experiments.commands import UsageError, start

WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run.", required=True)
INPUT = flags.DEFINE_string("input", None, "A picture, or a folder of pictures.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "A .png for a picture, a folder for a folder.", required=True)
MASK = flags.DEFINE_string("mask", None, "A picture that is white where to restore, for all of the input.")
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


def read_picture(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """A picture file in the shape [height, width, channels] that the networks take, in [-1, 1].

    Raises:
      UsageError: if it is no picture, or of another size; colours are converted.
    """
    height, width, channels = shape
    try:
        with Image.open(path) as picture:
            picture = picture.convert("L" if channels == 1 else "RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path} cannot be read as a picture: {error}.") from error
    if picture.size != (width, height):
        raise UsageError(
            f"{path} is {picture.width}x{picture.height}, but this run's networks take {width}x{height}: resize it."
        )
    return np.asarray(picture, np.float32).reshape(shape) / 127.5 - 1


def files(source: Path, target: Path) -> dict[Path, Path]:
    """{input file: output file}, checked before any work."""
    if not source.exists():
        raise UsageError(f"--input={source} does not exist.")
    if source.is_file():
        if target.suffix.lower() != ".png":
            raise UsageError(f"--output={target} must end in .png when --input is a file.")
        return {source: target}
    found = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UsageError(f"--input={source} holds no pictures ({', '.join(sorted(SUFFIXES))}).")
    if target.exists() and (not target.is_dir() or target.resolve() == source.resolve()):
        raise UsageError(f"--output={target} must be a folder other than the input.")
    outputs = {path: target / f"{path.stem}.png" for path in found}
    if len(set(outputs.values())) < len(outputs):
        raise UsageError(f"--input={source} holds pictures whose names differ only in their endings.")
    return outputs


def main() -> None:
    pairs = files(Path(INPUT.value), Path(OUTPUT.value))
    gan, state = runs.load(WORKDIR.value)
    if set(gan.inputs(1)) != {"masked"}:
        raise UsageError(f"{WORKDIR.value} is no run of a family that restores pictures.")
    shape = gan.inputs(1)["masked"].shape[1:]
    pictures = {path: read_picture(path, shape) for path in pairs}
    mask = None if MASK.value is None else (read_picture(Path(MASK.value), shape) > 0).astype(np.float32)[None]
    sample = jax.jit(gan.sample)
    for path, picture in tqdm(pictures.items(), desc="restoring", disable=len(pictures) == 1):
        inputs = {"masked": picture[None]} if mask is None else {"masked": picture[None], "mask": mask}
        restored = np.asarray(sample(state, inputs, jax.random.key(0))["restored"])[0]
        figures.write(pairs[path], figures.to_uint8(restored).squeeze())
    print(f"{len(pairs)} restored: {OUTPUT.value}")


if __name__ == "__main__":
    start(main)
