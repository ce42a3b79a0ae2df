"""The input pipelines of the benchmark's rows: batches as `experiments.run` feeds them, of pictures of noise."""

import importlib
from collections.abc import Iterator

import numpy as np

from experiments import data
from experiments.data import Arrays

EXAMPLES = 256
# The config of each row, and its presets.
CONFIGS = {
    "vanilla": ("vanilla", "document"),
    "dcgan28": ("dcgan", "digits"),
    "dcgan64": ("dcgan", "document"),
    "inpainting": ("inpainting", "document"),
    "srgan": ("srgan", "document"),
    "deblur": ("deblur", ""),
    "gan3d32": ("gan3d", ""),
    "gan3d64": ("gan3d", "document"),
    "age_cgan": ("age_cgan", "document"),
}


def batches(family: str, batch_size: int) -> Iterator[Arrays]:
    """Endless training batches of a row's family, by its own maps and loader, from a set in memory."""
    name, presets = CONFIGS[family]
    config = importlib.import_module(f"experiments.configs.{name}").get_config(presets)
    config.batch_size = batch_size
    side = config.data.get("cell")
    shape = (side, side, 3) if side else config.model.image_shape
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (EXAMPLES, *shape), np.uint8)
    numbers = np.arange(EXAMPLES) % 6
    fields = {"image": pictures, "source": pictures, "label": numbers, "identity": numbers}
    arrays = {field: fields[field] for field in config.data.fields}
    return data.train_batches(config, arrays, phase=0, start=0, slices=1, devices=1)
