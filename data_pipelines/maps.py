"""Maps: what batches of examples go through, a pure function of the examples and of random numbers.

A map is `f(examples, draws) -> examples`: `examples` is `{name: [n, ...]}`, where uint8 arrays (pixels)
arrive as float32 0..255; `draws` is int32 [n, 4], uniform in [0, 2**31), a row for each example. A map is
written with operators only, since the same lines run on numpy arrays (`loader='memory'`), on tensors in tf.data's
graph (`loader='tf.data'`), where they give the same bits, and on arrays of JAX (`experiments.resident`). A map that
needs numpy itself is wrapped in `OnNumpy`, and takes more random numbers than four from `generators(draws)`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Examples = dict[str, Any]
Map = Callable[[Examples, Any], Examples]


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


def unwrapped(maps: Sequence[Map | PerPicture]) -> list[Map]:
    """The maps alone, as `mapped` applies them: whose their draws are is the plan's matter."""
    return [f.map if isinstance(f, PerPicture) else f for f in maps]


def astype(x: Any, dtype: Any) -> Any:
    """An array as another type; tensors have tf.cast for it."""
    return x.astype(dtype)


def as_floats(examples: Examples, cast: Callable = astype) -> Examples:
    """The examples with pixels, uint8, as float32 0..255: what the first map gets."""
    return {name: cast(x, np.float32) if x.dtype == np.uint8 else x for name, x in examples.items()}


def mapped(maps: Sequence[Map], examples: Examples, draws: Sequence[Any], cast: Callable = astype) -> Examples:
    """The examples after the maps, each with its draws; `cast` is for arrays that have no `astype`."""
    if maps:
        examples = as_floats(examples, cast)
    for f, numbers in zip(maps, draws, strict=True):
        examples = f(examples, numbers)
    return examples
