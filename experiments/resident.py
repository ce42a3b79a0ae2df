"""Batches of a data set that lies on the devices as it is stored, pixels in bytes: the loader `device`.

What travels to the devices for a batch are its examples' numbers and their random draws; the pictures are gathered and
mapped there, by the maps that the other loaders have, of the same examples in the same order.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from data_pipelines import batching
from data_pipelines.maps import Map, OnNumpy, PerPicture, mapped, unwrapped
from experiments.commands import UsageError

Arrays = Mapping[str, np.ndarray]


def train_batches(
    arrays: Arrays,
    maps: Sequence[Map | PerPicture],
    batch_size: int,
    seed: int,
    devices: int,
    **layout: Any,
) -> Iterator[dict[str, jax.Array]]:
    """As `batching.train_batches`, to float tolerance, with each device's share of a batch on that device.

    Args: as there; the arrays are copied to each of this host's first `devices` devices, whole.

    Raises:
      DataError: as there.
      UsageError: for a map that is numpy code, or a set that does not fit.
    """
    functions = traceable(maps)
    size = len(next(iter(arrays.values())))
    plan, lead = batching.train_plan(size, maps, batch_size, seed, devices=devices, **layout)
    mesh = Mesh(np.array(jax.local_devices()[:devices]), ("devices",))
    whole, share = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("devices",)))
    held = _held(arrays, whole)

    def gather(held, rows, draws):
        examples = mapped(functions, {name: array[rows] for name, array in held.items()}, draws)
        return {name: x.reshape(*lead, *x.shape[1:]) for name, x in examples.items()}

    gather = jax.jit(gather, out_shardings=share)
    return (gather(held, *jax.device_put(_small(plan(item)), share)) for item in count())


def traceable(maps: Sequence[Map | PerPicture]) -> list[Map]:
    """The maps as they run on a device.

    Raises:
      UsageError: for one that is numpy code.
    """
    functions = unwrapped(maps)
    if any(isinstance(f, OnNumpy) for f in functions):
        raise UsageError("A map of config.data.maps is numpy code: data.loader='device' cannot have it; take 'memory'.")
    return functions


def _small(planned):
    rows, draws = planned
    return rows.astype(np.int32), draws


def _held(arrays, whole):
    arrays = {name: np.asarray(array[np.arange(len(array))]) for name, array in arrays.items()}
    try:
        return jax.block_until_ready(jax.device_put(arrays, whole))
    except jax.errors.JaxRuntimeError as error:
        megabytes = sum(array.nbytes for array in arrays.values()) / 1e6
        raise UsageError(
            f"The training set, {megabytes:,.0f} MB, does not fit on a device: take data.loader='memory'. ({error})"
        ) from error
