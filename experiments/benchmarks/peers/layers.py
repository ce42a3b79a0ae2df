"""Networks as lists of layers, from which each framework builds its own.

Maps are [batch, height, width, channels], or [batch, x, y, z, channels]; shapes are without the batch. Layers that have
weights keep to the order in which they are called, in every framework, and so do weights that are exchanged: a list
with {'kernel', 'bias'} for each convolution or dense layer and {'scale', 'bias', 'mean', 'var'} for each norm, in the
layouts of Keras, which are ours.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Weights = list[dict[str, np.ndarray]]
Shape = tuple[int, ...]


class Dense(NamedTuple):
    """On vectors, or on each pixel of a map."""

    units: int


class Conv(NamedTuple):
    features: int
    size: int
    stride: int = 1
    padding: str = "same"  # or "valid"; as Keras understands them


class ConvTranspose(NamedTuple):
    features: int
    size: int
    stride: int = 2
    padding: str = "same"


class BatchNorm(NamedTuple):
    momentum: float = 0.99


class Activation(NamedTuple):
    name: str  # relu, leaky, tanh or sigmoid


class Dropout(NamedTuple):
    rate: float


class Pool(NamedTuple):
    kind: str  # max or average, over 2x2; an odd last row or column is dropped


class Upsample(NamedTuple):
    """Nearest neighbour, by 2."""


class Fold(NamedTuple):
    """2x2 blocks of pixels into channels."""


class Unfold(NamedTuple):
    """The inverse of `Fold`."""


class Flatten(NamedTuple):
    pass


class Reshape(NamedTuple):
    shape: Shape


class JoinLabel(NamedTuple):
    """The one-hot label as further channels of a map, the same at each pixel."""

    classes: int


class Residual(NamedTuple):
    """x + layers(x)."""

    layers: tuple


LEAK = 0.2
EPSILON = 1e-3  # of batch norm


def walk(layers: Sequence[Any], shape: Shape) -> Iterator[tuple[Any, Shape, Shape]]:
    """Each layer with the shapes that it is given and returns, those inside a `Residual` before itself."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from walk(layer.layers, shape)
        after = shape_after(layer, shape)
        yield layer, shape, after
        shape = after


def shape_after(layer: Any, shape: Shape) -> Shape:
    """What a layer makes of maps of a shape."""
    *sides, channels = shape
    match layer:
        case Dense(units):
            return (*sides, units)
        case Conv(features, size, stride, padding):
            taken = size - 1 if padding == "valid" else 0
            return (*(-(-(side - taken) // stride) for side in sides), features)
        case ConvTranspose(features, size, stride, padding):
            added = max(size - stride, 0) if padding == "valid" else 0
            return (*(side * stride + added for side in sides), features)
        case Pool():
            return (*(side // 2 for side in sides), channels)
        case Upsample():
            return (*(side * 2 for side in sides), channels)
        case Fold():
            return (*(side // 2 for side in sides), 4 * channels)
        case Unfold():
            return (*(side * 2 for side in sides), channels // 4)
        case Flatten():
            return (math.prod(shape),)
        case Reshape(new):
            return new
        case JoinLabel(classes):
            return (*sides, channels + classes)
    return shape


def work(layers: Sequence[Any], shape: Shape) -> list[int]:
    """Floating-point operations of a forward pass for one example, of each layer in which they are products.

    Convolutions count as they are defined; what a framework computes may be less.
    """
    found = []
    for layer, before, after in walk(layers, shape):
        match layer:
            case Dense(units):
                found.append(2 * math.prod(before) * units)
            case Conv(_, size):
                found.append(2 * math.prod(after) * size ** (len(before) - 1) * before[-1])
            case ConvTranspose(features, size):
                found.append(2 * math.prod(before) * size ** (len(before) - 1) * features)
    return found


def without_dropout(layers: Sequence[Any]) -> list[Any]:
    return [layer for layer in layers if not isinstance(layer, Dropout)]


def parameters(weights: Weights) -> int:
    """How many numbers an optimizer moves."""
    return sum(leaf.size for own in weights for name, leaf in own.items() if name not in ("mean", "var"))


def save_weights(path: Path, weights: Mapping[str, Weights]) -> None:
    """Writes {player: weights} to an .npz."""
    np.savez(
        path,
        **{
            f"{player}/{index}/{name}": leaf
            for player, layers in weights.items()
            for index, own in enumerate(layers)
            for name, leaf in own.items()
        },
    )


def load_weights(path: Path) -> dict[str, Weights]:
    """What `save_weights` wrote."""
    found: dict[str, Weights] = {}
    with np.load(path) as file:
        for place in file.files:
            player, index, name = place.split("/")
            layers = found.setdefault(player, [])
            layers += [{}] * (int(index) - len(layers) + 1)
            layers[int(index)] = layers[int(index)] | {name: file[place]}
    return found
