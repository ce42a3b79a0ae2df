"""VGG-16 and VGG-19 without their dense layers: the features that perceptual losses and LPIPS compare.

Simonyan and Zisserman 2015, arXiv 1409.1556, configurations D and E. Layers are named as in Keras.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gans.convolution import same
from gans.layers import max_pool

FILTERS = (64, 128, 256, 512, 512)  # of the blocks, each of which ends in a pool
CONVOLUTIONS = MappingProxyType({16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)})  # of each block


def layer_names(depth: int) -> tuple[str, ...]:
    """The layers of VGG-`depth`, from first to last: block1_conv1, block1_conv2, block1_pool, ..., block5_pool."""
    return tuple(
        f"block{block}_{layer}"
        for block, count in enumerate(CONVOLUTIONS[depth], 1)
        for layer in (*(f"conv{i + 1}" for i in range(count)), "pool")
    )


def depth_of(variables: Mapping[str, Any]) -> int:
    """16 or 19, as the variables are those of VGG-16 or VGG-19."""
    return 19 if "block3_conv4" in variables["params"] else 16


def preprocessing(origin: str) -> dict[str, np.ndarray]:
    """How images in [-1, 1] become what the first convolution was trained on: (images - mean) * scale, in RGB order.

    Args:
      origin: of the weights, named as in Keras: 'caffe', 0..255 without their means (Keras' VGG weights, their first
        kernel turned from BGR to RGB); 'torch', normalised by ImageNet's means and deviations (torchvision's weights
        and LPIPS); 'raw', the images as they are.

    Returns:
      {'mean': float32 [3], 'scale': float32 [3]}.
    """
    mean, deviation = {  # of values from 0 to 1
        "caffe": (np.array([123.68, 116.779, 103.939]) / 255, np.full(3, 1 / 255)),
        "torch": (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])),
        "raw": (np.full(3, 0.5), np.full(3, 0.5)),
    }[origin]
    return {"mean": np.float32(2 * mean - 1), "scale": np.float32(0.5 / deviation)}


def random_variables(key: jax.Array, depth: int) -> dict[str, Any]:
    """Variables of VGG-`depth`, 16 or 19, that have learned nothing: He's initialisation, images taken as they are.

    Random features of this shape still tell pictures apart, which suffices for tests and for machines without weights.
    """
    params, channels = {}, 3
    for index, name in enumerate(layer_names(depth)):
        if name.endswith("pool"):
            continue
        filters = FILTERS[int(name[len("block")]) - 1]
        kernel = nn.initializers.he_normal()(jax.random.fold_in(key, index), (3, 3, channels, filters))
        params[name] = {"kernel": kernel, "bias": jnp.zeros(filters)}
        channels = filters
    return {"params": params, "preprocessing": preprocessing("raw")}


def features(variables: Mapping[str, Any], images: jax.Array, layers: Iterable[str]) -> dict[str, jax.Array]:
    """What some layers of VGG-16 or VGG-19, whichever the variables are of, make of images.

    Nothing beyond the deepest of these layers is computed. Computed in the images' type.

    Args:
      variables: {'params': {layer: {'kernel' [3, 3, in, out], 'bias' [out]}}, 'preprocessing': see `preprocessing`}.
      images: [batch, height, width, 3], or 1 channel for grey ones, in [-1, 1]; of any size that reaches these layers.
      layers: names from `layer_names`; a convolution's output is taken after its ReLU.

    Returns:
      {layer: [batch, height / 2^k, width / 2^k, filters]}, k the number of pools up to the layer; an odd last row or
      column is dropped by a pool.

    Raises:
      ValueError: for a layer that the network lacks, images of another rank or number of channels, or too small ones.
    """
    names = layer_names(depth_of(variables))
    wanted = set(layers)
    if unknown := sorted(wanted.difference(names)):
        raise ValueError(f"VGG-{depth_of(variables)} has no layer {', '.join(unknown)}; it has {', '.join(names)}.")
    last = max(map(names.index, wanted), default=-1)
    _check(images, pools=sum(name.endswith("pool") for name in names[: last + 1]))

    mean, scale = (
        jnp.asarray(variables["preprocessing"][name], images.dtype).reshape(1, 1, 1, 3) for name in ("mean", "scale")
    )
    x, found = (images - mean) * scale, {}
    for name in names[: last + 1]:
        x = max_pool(x) if name.endswith("pool") else _convolved(variables["params"][name], x)
        if name in wanted:
            found[name] = x
    return found


def _check(images, pools):
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(f"images must be [batch, height, width, 3], not {list(images.shape)}.")
    if min(images.shape[1:3]) < 2**pools:
        raise ValueError(f"images of {images.shape[1]}x{images.shape[2]} are too small for {pools} pools.")


def _convolved(params, x):
    kernel, bias = (jnp.asarray(params[name], x.dtype) for name in ("kernel", "bias"))
    return nn.relu(same(x, kernel) + bias.reshape(1, 1, 1, -1))
