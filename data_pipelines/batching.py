"""Order, batching, device layout and prefetch: batch t is a pure function of (seed, t).

The order of the examples and every random draw come from Philox, a counter-based generator, keyed by the
seed and by what the numbers are for, and counted by the position in the order: nothing is carried from batch
to batch. So to resume is to start at t, and what a batch holds depends neither on the hosts and devices that
share it nor on the loader.

A map is `f(examples, draws) -> examples`: `examples` is `{name: [n, ...]}`, where uint8 arrays (pixels)
arrive as float32 0..255; `draws` is int32 [n, 4], uniform in [0, 2**31), a row for each example. A map is
written with operators only, since the same lines run on numpy arrays (`loader='memory'`), on tensors in tf.data's
graph (`loader='tf.data'`), where they give the same bits, and on arrays of JAX (`experiments.resident`). A map that
needs numpy itself is wrapped in `OnNumpy`, and takes more random numbers than four from `generators(draws)`.
"""

import atexit
import functools
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from data_pipelines import DataError, _tensorflow

Examples = dict[str, Any]
Map = Callable[[Examples, Any], Examples]
# item -> (rows [n], for each map its draws [n, 4])
Plan = Callable[[int], tuple[np.ndarray, list[np.ndarray]]]


class PerPicture(NamedTuple):
    """Wraps a map whose draws belong to the picture, not to the visit: the same in every epoch."""

    map: Map


class OnNumpy(NamedTuple):
    """Wraps a map that is numpy code: tf.data calls it too, with arrays, so both loaders give the same bits.

    The map must not write into the arrays it gets. What it gives for one example has the names, the types and, but
    for the first dimension, the shapes of all that it gives. `PerPicture(OnNumpy(map))` is both.
    """

    map: Map

    def __call__(self, examples: Examples, draws: np.ndarray) -> Examples:
        return self.map(examples, draws)


def generators(draws: np.ndarray) -> list[np.random.Generator]:
    """A generator for each example, keyed by its draws, int32 [n, 4], and by nothing else."""
    keys = draws.astype(np.uint64)
    keys = keys[:, 0::2] << np.uint64(32) | keys[:, 1::2]
    return [np.random.Generator(np.random.Philox(key=key)) for key in keys]


# What random words are for: a part of the key, so that no two uses share a stream.
_ORDER, _VISIT, _PICTURE = range(3)
# Batches made ahead of the consumer.
_AHEAD = 2


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
    batches = _load(loader, arrays, maps, plan, itertools.count(), math.prod(lead))
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

    batches = _load(loader, arrays, maps, plan, range(-(-count // batch_size)), batch_size)
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


def _load(loader, arrays, maps, plan, items, size) -> Iterator[Examples]:
    """The mapped examples of each item, where plan(item) -> (rows [size], [draws [size, 4] for each map])."""
    if loader not in ("tf.data", "memory"):
        raise DataError(f"loader={loader!r} is neither 'tf.data' nor 'memory'")
    return (_load_tf if loader == "tf.data" else _load_memory)(arrays, unwrapped(maps), plan, items, size)


def unwrapped(maps: Sequence[Map | PerPicture]) -> list[Map]:
    """The maps alone, as `mapped` applies them: whose their draws are is the plan's matter."""
    return [f.map if isinstance(f, PerPicture) else f for f in maps]


def _load_memory(arrays, maps, plan, items, size) -> Iterator[Examples]:
    def make(item):
        rows, draws = plan(item)
        examples = {name: np.asarray(array[rows]) for name, array in arrays.items()}
        return mapped(maps, examples, draws)

    # One thread works ahead; it ends when this generator is left, in whichever way.
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
    try:
        ready = deque()
        for item in items:
            ready.append(pool.submit(make, item))
            if len(ready) > _AHEAD:
                yield ready.popleft().result()
        while ready:
            yield ready.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _load_tf(arrays, maps, plan, items, size) -> Iterator[Examples]:
    tf = _tensorflow.import_tensorflow()
    one = {name: np.asarray(array[np.zeros(1, np.int64)]) for name, array in arrays.items()}
    types = [x.dtype for x in one.values()] + [np.int32]
    operations = _operations(tf, maps, one, size)

    faults = []

    def read(item):
        rows, draws = plan(int(item))
        draws = np.stack(draws) if draws else np.zeros((0, size, 4), np.int32)
        try:
            return [np.asarray(array[rows]) for array in arrays.values()] + [draws]
        except DataError as error:
            # Raised below: TensorFlow would print all of its stack.
            faults.append(error)
            return [np.zeros((size, *x.shape[1:]), x.dtype) for x in one.values()] + [draws]

    @tf.autograph.experimental.do_not_convert
    def make(item):
        *leaves, draws = tf.numpy_function(read, [item], types)
        for leaf, x in zip(leaves, one.values(), strict=True):
            leaf.set_shape((size, *x.shape[1:]))
        draws.set_shape((len(maps), size, 4))
        return mapped(operations, dict(zip(one, leaves, strict=True)), tf.unstack(draws), tf.cast)

    options = tf.data.Options()
    options.threading.private_threadpool_size = 2
    options.autotune.enabled = False  # Its thread can hold up the iterator's end for seconds on a busy machine.
    dataset = tf.data.Dataset.range(len(items)) if isinstance(items, range) else tf.data.Dataset.counter()
    dataset = dataset.map(make, num_parallel_calls=2, deterministic=True).prefetch(_AHEAD)
    running = [dataset.with_options(options).as_numpy_iterator()]
    # Stopped before the interpreter is, since its threads inside `read` would wait for it for ever.
    atexit.register(running.clear)
    try:
        for _ in items:
            batch = next(running[0])
            if faults:
                raise faults[0]
            yield batch
    finally:
        running.clear()
        atexit.unregister(running.clear)


def _operations(tf, maps, one, size) -> list[Map]:
    """The maps for tf.data's graph; `one`: an example, mapped here to learn what those on numpy give."""
    found, draws = [], np.zeros((1, 4), np.int32)
    one = _as_floats(one, _astype)
    for f in maps:
        one = f(one, draws)
        found.append(_operation(tf, f, one, size) if isinstance(f, OnNumpy) else f)
    return found


def _operation(tf, f, made, size) -> Map:
    """`f`, numpy code, as one operation of the graph on `size` examples; `made`: what it makes of one."""

    def call(examples, draws):
        def run(draws, *leaves):
            out = f(dict(zip(examples, leaves, strict=True)), draws)
            return [out[name] for name in made]

        leaves = tf.numpy_function(run, [draws, *examples.values()], [x.dtype for x in made.values()])
        for leaf, x in zip(leaves, made.values(), strict=True):
            leaf.set_shape((size, *x.shape[1:]))
        return dict(zip(made, leaves, strict=True))

    return call


def _as_floats(examples, cast) -> Examples:
    return {name: cast(x, np.float32) if x.dtype == np.uint8 else x for name, x in examples.items()}


def _astype(x, dtype):
    return x.astype(dtype)


def mapped(maps: Sequence[Map], examples: Examples, draws: Sequence[Any], cast=_astype) -> Examples:
    """The examples after the maps, each with its draws; `cast` is for arrays that have no `astype`."""
    if maps:
        examples = _as_floats(examples, cast)
    for f, numbers in zip(maps, draws, strict=True):
        examples = f(examples, numbers)
    return examples
