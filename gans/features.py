"""What a discriminator has learned to see, as a vector an example: Radford et al. 2015, arXiv 1511.06434, section 5.1.

The paper takes every convolution's output, max-pools it to a 4x4 grid, and joins them. So a network of convolutions
keeps these maps with `self.sow("intermediates", name, x)`, after the activation and before dropout; that costs nothing
where nobody asks for them. Of another network it is the features that it returns beside its logits.
"""

from flax import linen as nn
from jax import Array
from jax import numpy as jnp

from gans import core


def of_discriminator(module: nn.Module, player: core.Player, images: Array, **conditions) -> dict[str, Array]:
    """The features of each layer in inference mode, in the layers' order.

    Args:
      module: called as module(images, train, **conditions), returns (logits, features).
      player: its variables.
      images: [batch, height, width, channels] in [-1, 1].
      conditions: further arguments of the module.

    Returns:
      {layer's name: [batch, size]}: of maps [batch, h, w, c] 16 c numbers (less where h or w is below 4).
    """
    (_, last), kept = module.apply(core.variables(player), images, False, mutable=["intermediates"], **conditions)
    if "intermediates" not in kept:
        return {"features": last}
    pooled = {name: grid_max(maps) for name, (maps,) in kept["intermediates"].items()}
    return {name: maps.reshape(maps.shape[0], -1) for name, maps in pooled.items()}


def grid_max(x: Array, side: int = 4) -> Array:
    """The largest value in each cell of a grid: [batch, height, width, channels] -> [batch, side, side, channels].

    Where a side is no multiple of the grid's, neighbouring cells share a row or a column; a map that is smaller than
    the grid keeps its side.
    """

    def spans(size):
        cells = min(side, size)
        return [(cell * size // cells, -(-(cell + 1) * size // cells)) for cell in range(cells)]

    rows = jnp.stack([x[:, start:end].max(1) for start, end in spans(x.shape[1])], 1)
    return jnp.stack([rows[:, :, start:end].max(2) for start, end in spans(x.shape[2])], 2)
