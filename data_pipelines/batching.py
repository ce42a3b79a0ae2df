"""Order, batching and device layout: batch t is a pure function of (seed, t).

The order of the examples and every random draw come from Philox, a counter-based generator, keyed by the
seed and by what the numbers are for, and counted by the position in the order: nothing is carried from batch
to batch. So to resume is to start at t, and what a batch holds depends neither on the hosts and devices that
share it nor on the loader.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from data_pipelines import DataError, loaders
from data_pipelines.loaders import Plan
from data_pipelines.maps import Map, PerPicture, unwrapped

# What random words are for: a part of the key, so that no two uses share a stream.
_ORDER, _VISIT, _PICTURE = range(3)


def _words(seed: int, use: int, number: int, start: int, count: int) -> np.ndarray:
    """Random uint64 [count] of the stream (seed, use, number), from its 4 * start-th word on."""
    stream = np.random.Philox(key=np.array([seed, (use << 48) + number], np.uint64))
    # Philox counts in ticks of four words.
    return stream.advance(start).random_raw(count)


def _draws(seed: int, use: int, number: int, start: int, count: int) -> np.ndarray:
    """int32 [count, 4], uniform in [0, 2**31), of the positions from `start` on: one tick of Philox each."""
    words = _words(seed, use, number, start, 4 * count)
    return (words >> np.uint64(33)).astype(np.int32).reshape(count, 4)


@functools.lru_cache(maxsize=8)
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    # Sorted raw words, since raw streams never change; Generator.permutation may from one numpy to the next.
    permutation = np.argsort(_words(seed, _ORDER, epoch, 0, count), kind="stable")
    permutation.flags.writeable = False
    return permutation


def order(count: int, start: int, stop: int, seed: int) -> np.ndarray:
    """The examples at positions [start, stop) of the epochs' permutations laid end to end.

    Args:
      count: number of examples; epoch e is positions [e * count, (e + 1) * count), each example once.
      start, stop: positions, 0 <= start <= stop.
      seed: in [0, 2**64).

    Returns: int64 [stop - start], in [0, count).
    """
    epochs = range(start // count, max(start, stop - 1) // count + 1)
    return np.concatenate(
        [_permutation(count, seed, e)[max(start - e * count, 0) : max(stop - e * count, 0)] for e in epochs]
    )


def train_batches(
    arrays: Mapping[str, Any],
    maps: Sequence[Map | PerPicture],
    batch_size: int,
    seed: int,
    *,
    loader: str = "tf.data",
    **layout: Any,
) -> Iterator[dict[str, np.ndarray]]:
    """Batches without end, laid out for the devices of one host.

    Args:
      arrays: {name: [count, ...]}, numpy arrays or anything with a length that an integer array can index.
      maps: applied in this order, each with draws of its own.
      batch_size, seed, and as `layout` start, slices, steps, devices, host and hosts: as of `train_plan`.
      loader: 'tf.data', or 'memory', which needs no TensorFlow; their batches are the same bit for bit.

    Yields: {name: [devices, slices * per, ...]}, slices outermost, or with `steps` given
      {name: [devices, steps, slices * per, ...]}. uint8 arrays stay uint8 if there are no maps.

    Raises:
      DataError: arrays of different lengths, or sizes that do not divide.
    """
    plan, lead = train_plan(_count(arrays), maps, batch_size, seed, **layout)
    batches = loaders.load(loader, arrays, unwrapped(maps), plan, itertools.count(), math.prod(lead))
    return ({name: x.reshape(*lead, *x.shape[1:]) for name, x in batch.items()} for batch in batches)


def train_plan(
    count: int,
    maps: Sequence[Map | PerPicture],
    batch_size: int,
    seed: int,
    *,
    start: int = 0,
    slices: int = 1,
    steps: int | None = None,
    devices: int = 1,
    host: int = 0,
    hosts: int = 1,
) -> tuple[Plan, tuple[int, ...]]:
    """What batches are made of, for a loader of one's own that applies `mapped` to these examples.

    Step t eats positions [t * slices * batch_size, (t + 1) * slices * batch_size) of the order. Of each
    slice, device d, counted over all hosts, takes [d * per, (d + 1) * per), per = batch_size / all devices.

    Args:
      count: number of examples.
      maps: what they will go through.
      batch_size: examples in one slice, over all hosts and devices.
      seed: in [0, 2**64), of the order and of the draws.
      start: the step to begin at.
      slices: slices of batch_size examples that one step eats.
      steps: steps in one item of the iterator (several steps a dispatch); None: one, without an axis for it.
      devices: devices of this host.
      host, hosts: this host's number, and how many there are.

    Returns: plan, item -> (rows [n], in [0, count), and for each map its draws, int32 [n, 4]); and the axes that its n
      examples stand for, outermost first: n is their product.

    Raises:
      DataError: sizes that do not divide.
    """
    k = 1 if steps is None else steps
    _check(seed, batch_size=batch_size, slices=slices, devices=devices, hosts=hosts, steps=k)
    if start < 0 or not 0 <= host < hosts:
        raise DataError(f"{start=}, {host=}, {hosts=}: need start >= 0 and 0 <= host < hosts")
    per, rest = divmod(batch_size, hosts * devices)
    if rest:
        raise DataError(
            f"batch_size={batch_size} does not divide among {hosts} hosts x {devices} devices: "
            f"take a multiple of {hosts * devices}"
        )
    # The offsets, within one item, of the examples of this host's devices: [devices, k, slices, per], flat.
    examples = k * slices * batch_size
    share = np.arange(examples).reshape(k, slices, hosts, devices, per)[:, :, host]
    share = share.transpose(2, 0, 1, 3).ravel()
    lead = (devices, slices * per) if steps is None else (devices, k, slices * per)
    tables = _picture_draws(maps, seed, count)

    def plan(item):
        first = start * slices * batch_size + item * examples
        rows = order(count, first, first + examples, seed)[share]
        draws = [
            _draws(seed, _VISIT, i, first, examples)[share] if table is None else table[rows]
            for i, table in enumerate(tables)
        ]
        return rows, draws

    return plan, lead


def evaluation_batches(
    arrays: Mapping[str, Any],
    maps: Sequence[Map | PerPicture],
    batch_size: int,
    seed: int,
    loader: str = "memory",
) -> Iterator[dict[str, np.ndarray]]:
    """Each example once, in stored order; every map draws once per picture.

    Args: as of `train_batches`.

    Yields: {name: [batch_size, ...], 'valid': bool [batch_size]}. The last batch is filled up by repeating
      the last example; `valid` is True for the real ones.

    Raises:
      DataError: as `train_batches`.
    """
    count = _count(arrays)
    _check(seed, batch_size=batch_size)
    tables = _picture_draws([PerPicture(f) for f in maps], seed, count)

    def positions(item):
        return np.arange(item * batch_size, (item + 1) * batch_size)

    def plan(item):
        rows = np.minimum(positions(item), count - 1)
        return rows, [table[rows] for table in tables]

    batches = loaders.load(loader, arrays, unwrapped(maps), plan, range(-(-count // batch_size)), batch_size)
    return ({**batch, "valid": positions(item) < count} for item, batch in enumerate(batches))


def _count(arrays) -> int:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise DataError(f"arrays need one common length, at least 1, but have {lengths}")
    return next(iter(lengths.values()))


def _check(seed, **sizes) -> None:
    if not 0 <= seed < 2**64:
        raise DataError(f"seed={seed} must be in [0, 2**64)")
    for name, size in sizes.items():
        if size < 1:
            raise DataError(f"{name}={size} must be at least 1")


def _picture_draws(maps, seed, count) -> list[np.ndarray | None]:
    """For each map that draws once per picture its draws, int32 [count, 4]; None for the others."""
    return [_draws(seed, _PICTURE, i, 0, count) if isinstance(f, PerPicture) else None for i, f in enumerate(maps)]
