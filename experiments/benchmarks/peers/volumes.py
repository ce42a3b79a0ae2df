"""One convolution of volumes as ours, as XLA's own and in PyTorch."""

from collections.abc import Callable

import jax
import numpy as np
import torch
from torch import nn

from gans import volumes

DIMENSIONS = ("NDHWC", "DHWIO", "NDHWC")


def own_halve(x, kernel):
    """`volumes.halve` as XLA's own convolution."""
    return jax.lax.conv_general_dilated(x, kernel, (2, 2, 2), "SAME", dimension_numbers=DIMENSIONS)


def own_double(x, kernel):
    """`volumes.double` as XLA's own transposed convolution."""
    return jax.lax.conv_transpose(x, kernel, (2, 2, 2), "SAME", dimension_numbers=DIMENSIONS, transpose_kernel=True)


def to_torch(array: jax.Array) -> torch.Tensor:
    """[batch, x, y, z, channels] as [batch, channels, x, y, z], the same in memory."""
    return torch.tensor(np.asarray(array)).permute(0, 4, 1, 2, 3)


def sides_of_a_layer(kind: str, batch: int, side: int, wide: int, narrow: int) -> dict[str, dict[str, Callable]]:
    """{'forward' or 'backward': {side: a call}} of a convolution between a large map and a small one.

    Args:
      kind: 'halve' or 'double'.
      batch: volumes.
      side: of the small map.
      wide, narrow: channels of the small map and of the large one.
    """
    keys = jax.random.split(jax.random.key(0), 3)
    large = jax.random.normal(keys[0], (batch, *3 * (2 * side,), narrow))
    small = jax.random.normal(keys[1], (batch, *3 * (side,), wide))
    kernel = jax.random.normal(keys[2], (4, 4, 4, narrow, wide)) / 50
    (x, back) = (large, small) if kind == "halve" else (small, large)
    functions = {"halve": (volumes.halve, own_halve), "double": (volumes.double, own_double)}[kind]
    made = {"forward": {}, "backward": {}}
    for name, function in zip(("ours", "XLA's own"), functions, strict=True):
        forward = jax.jit(function)
        # Both gradients of a linear map need its inputs, not its output.
        backward = jax.jit(lambda x, kernel, back, function=function: jax.vjp(function, x, kernel)[1](back))
        made["forward"][name] = lambda call=forward: jax.block_until_ready(call(x, kernel))
        made["backward"][name] = lambda call=backward: jax.block_until_ready(call(x, kernel, back))
    layer = (nn.Conv3d if kind == "halve" else nn.ConvTranspose3d)(x.shape[-1], back.shape[-1], 4, 2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(np.asarray(kernel)).permute(4, 3, 0, 1, 2))
    layer = layer.to(memory_format=torch.channels_last_3d)
    inputs, gradient = to_torch(x).requires_grad_(), to_torch(back)
    output = layer(inputs)

    def torch_forward():
        with torch.no_grad():
            layer(inputs)

    made["forward"]["torch"] = torch_forward
    made["backward"]["torch"] = lambda: torch.autograd.grad(output, (inputs, layer.weight), gradient, retain_graph=True)
    return made
