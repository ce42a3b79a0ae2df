"""Loaders: what makes the batches of a plan, ahead of their use, in threads or by tf.data; the bits are the same."""

import atexit
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from data_pipelines import DataError, _tensorflow
from data_pipelines.maps import Examples, Map, OnNumpy, as_floats, mapped

# item -> (rows [n], for each map its draws [n, 4])
Plan = Callable[[int], tuple[np.ndarray, list[np.ndarray]]]

LOADERS = ("tf.data", "memory")
# Batches made ahead of the consumer.
_AHEAD = 2


def load(
    loader: str, arrays: Mapping[str, Any], maps: Sequence[Map], plan: Plan, items: Iterable[int], size: int
) -> Iterator[Examples]:
    """The mapped examples of each item.

    Args:
      loader: one of LOADERS; 'memory' needs no TensorFlow.
      arrays: {name: [count, ...]}, numpy arrays or anything that an integer array can index.
      maps: as `maps.unwrapped` gives them.
      plan: what the items are made of.
      items: 0, 1, 2, ... to the last or without end.
      size: examples in each.

    Raises:
      DataError: for another loader.
    """
    if loader not in LOADERS:
        raise DataError(f"loader={loader!r}: choose from {', '.join(LOADERS)}")
    return (_load_tf if loader == "tf.data" else _load_memory)(arrays, maps, plan, items, size)


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
    one = as_floats(one)
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
