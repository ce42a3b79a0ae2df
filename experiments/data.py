"""From a config's `data` to batches."""

import functools
import importlib
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from ml_collections import ConfigDict

from data_pipelines import batching, loaders, photos, reading
from data_pipelines.maps import PerPicture
from experiments import resident
from experiments.commands import UsageError

Arrays = Mapping[str, np.ndarray]
# What config.data.loader may be: the last keeps the set on the devices (`experiments.resident`).
LOADERS = (*loaders.LOADERS, "device")


def read(config: ConfigDict) -> dict[str, Arrays]:
    """The data set: {'train': arrays, 'test': arrays}, as its files hold it; volumes as `config.data.voxels` says.

    Photographs come with the split 'validation' too if `config.data.validation` asks for it, other sets see `hold_out`.
    """
    settings = config.data
    if settings.name in photos.SETS:
        split = {name: settings[name] for name in ("cell", "shrink", "test", "held_out", "validation")}
        data, tally = photos.load(settings.name, settings.path, **split)
        print("\n".join(tally.lines()))
    else:
        options = settings.get("voxels", {})
        data = reading.load(settings.name, path=settings.path, data_dir=settings.directory, **options)
    splits = [split for split in ("train", "validation", "test") if split in data]
    return {split: {name: data[split][name] for name in config.data.fields} for split in splits}


def hold_out(config: ConfigDict, splits: Mapping[str, Arrays]) -> dict[str, Arrays]:
    """The splits with the share `config.data.validation` of the training split as 'validation', the same in every run.

    Examples that have an `identity` are held out person by person.
    """
    share, train = config.data.validation, splits["train"]
    if not share or "validation" in splits:
        return dict(splits)
    people = np.asarray(train.get("identity", np.arange(len(train["image"]))))
    names = np.unique(people)
    count = round(share * len(names))
    if not 0 < count < len(names):
        raise UsageError(f"data.validation={share} of {len(names)} training examples leaves one of the splits empty.")
    held = np.isin(people, names[batching.order(len(names), 0, count, config.data.evaluation_seed)])
    return {
        **splits,
        "train": {name: array[~held] for name, array in train.items()},
        "validation": {name: array[held] for name, array in train.items()},
    }


def maps(config: ConfigDict, names: tuple[str, ...]) -> list:
    """The maps `room.function` of data_pipelines, in order, with their settings from config.data.<function>."""
    found = []
    for name in names:
        room, _, function = name.rpartition(".")
        try:
            map_ = getattr(importlib.import_module(f"data_pipelines.{room}"), function)
        except (ImportError, AttributeError) as error:
            raise UsageError(f"config.data names a map {name!r}, which data_pipelines does not have.") from error
        if function in config.data:
            map_ = map_(**config.data[function])
        found.append(PerPicture(map_) if name in config.data.per_picture else map_)
    return found


def example_batch(config: ConfigDict, count: int) -> Arrays:
    """A training batch of `count` black pictures, for its shapes alone; no data set is read."""
    shape = (config.data.cell, config.data.cell, 3) if "cell" in config.data else config.model.image_shape
    picture = np.zeros((1, *shape), np.uint8)
    fields = {"image": picture, "source": picture, "label": np.zeros(1, np.int64), "identity": np.zeros(1, np.int64)}
    arrays = {name: fields[name] for name in config.data.fields}
    batch = next(batching.train_batches(arrays, maps(config, config.data.maps), count, seed=0, loader="memory"))
    return {name: leaf[0] for name, leaf in batch.items()}


def train_batches(
    config: ConfigDict,
    arrays: Arrays,
    *,
    phase: int,
    start: int,
    slices: int,
    order: int = 0,
    devices: int | None = None,
) -> Iterator[Arrays]:
    """Endless training batches, [devices, steps, ...] as `data_parallel` wants them, from a phase's step `start` on.

    Each `order` has the examples in another one. They are for `devices` of this host, by default all; of several hosts
    each gets the share of its own.
    """
    steps = config.steps_per_dispatch
    load = functools.partial(batching.train_batches, loader=config.data.loader)
    return (resident.train_batches if config.data.loader == "device" else load)(
        arrays,
        maps(config, config.data.maps),
        config.batch_size,
        seed=config.seed * 1000 + phase + (order << 40),
        start=start,
        slices=slices,
        steps=None if steps == 1 else steps,
        devices=devices or jax.local_device_count(),
        host=jax.process_index(),
        hosts=jax.process_count(),
    )


def evaluation_batches(config: ConfigDict, arrays: Arrays, batch_size: int) -> Iterator[Arrays]:
    """The examples once, in stored order, with the same masks in every run, and `valid`."""
    evaluation_maps = maps(config, config.data.evaluation_maps)
    return batching.evaluation_batches(arrays, evaluation_maps, batch_size, config.data.evaluation_seed)


def some_examples(config: ConfigDict, arrays: Arrays, count: int) -> dict[str, np.ndarray]:
    """The same `count` examples of the split in every run, chosen evenly, as evaluation sees them; without `valid`."""
    rows = np.linspace(0, len(next(iter(arrays.values()))) - 1, count).round().astype(int)
    batch = next(evaluation_batches(config, {name: array[rows] for name, array in arrays.items()}, count))
    return {name: leaf for name, leaf in batch.items() if name != "valid"}
