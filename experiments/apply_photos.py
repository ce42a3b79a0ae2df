"""Restores photographs of any size; `experiments.apply` calls it for runs that were trained to."""

import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
from PIL import Image
from tqdm import tqdm

from experiments import figures, photo_files, tiles
from experiments.commands import UsageError
from experiments.photo_files import Photo
from gans import modules
from gans.core import Gan, State
from gans.layers import enlarge


def network(config: ConfigDict, gan: Gan, state: State, compare: bool = False) -> tiles.Network:
    """A run's generator, to be applied in tiles: the restored picture, and with `compare` the source enlarged before.

    Args:
      config: of the run.
      gan, state: as `runs.load` returns them.
      compare: whether there are two pictures.
    """
    family = importlib.import_module(f"gans.{config.family}.networks")
    generator = modules.named(family, config.model.generator, "generator", config.model.generator_options)
    scale = config.model.scale

    @jax.jit
    def restore(state, source):
        restored = gan.sample(state, {"source": source}, jax.random.key(0))["restored"]
        return (enlarge(source, scale), restored) if compare else (restored,)

    @functools.cache
    def program(height, width):
        return restore.lower(state, jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)).compile()

    return tiles.Network(program, state, scale, generator.reach, generator.multiple)


def restored(made_by: tiles.Network, photo: Photo, tell: Callable[[int], object]) -> Image.Image:
    """A photograph after a network; where that makes several pictures they stand side by side.

    Transparency is enlarged by bicubic interpolation; of grey photographs the luma is kept.

    Args:
      made_by: the network.
      photo: what it is applied to.
      tell: is called with the number of pixels made, again and again.
    """
    height, width = (made_by.scale * side for side in photo.pixels.shape[:2])
    whole = None
    for top, left, pieces in tiles.apply(made_by, photo.pixels):
        # Held by Pillow alone, which could only save a copy of an array.
        whole = whole or Image.new(photo.mode, (len(pieces) * width, height))
        for place, piece in enumerate(pieces):
            whole.paste(Image.fromarray(figures.to_uint8(piece)), (place * width + left, top))
        tell(pieces[0].shape[0] * pieces[0].shape[1])
    if photo.alpha is not None:
        alpha = Image.new("L", whole.size)
        for left in range(0, whole.width, width):
            alpha.paste(Image.fromarray(photo.alpha).resize((width, height), Image.Resampling.BICUBIC), (left, 0))
        whole.putalpha(alpha)
    return whole


def check(files: Mapping[Path, Path], scale: int, compare: bool) -> tuple[dict[Path, int], dict[Path, str]]:
    """Looks at the heads of the files: {path: pixels of its result} and {path: why it cannot be restored}."""
    pixels, faults = {}, {}
    for source, target in files.items():
        try:
            height, width = (scale * side for side in photo_files.size(source))
            photo_files.check(target, height, (1 + compare) * width)
            pixels[source] = height * width
        except UsageError as error:
            faults[source] = str(error)
    return pixels, faults


def run(files: Mapping[Path, Path], pixels: Mapping[Path, int], made_by: tiles.Network) -> dict[Path, str]:
    """Restores files, with a progress bar; returns those that could not be, {path: why}.

    Args:
      files: {photograph: file to write}.
      pixels: {photograph: pixels of its result}, of those to be restored.
      made_by: the network.
    """
    faults, every = {}, 0.5 if sys.stderr.isatty() else 15
    with tqdm(total=sum(pixels.values()), unit="px", unit_scale=True, mininterval=every, dynamic_ncols=True) as bar:
        for source in pixels:
            bar.set_description(source.name, refresh=False)
            try:
                photo = photo_files.read(source)
                photo_files.check_transparency(files[source], photo)
                photo_files.write(files[source], restored(made_by, photo, bar.update), photo.profile)
            except UsageError as error:
                faults[source] = str(error)
    return faults
