"""What a discriminator has learned to see, as a vector an example: Radford et al. 2015, arXiv 1511.06434, section 5.1.

The paper takes every convolution's output, max-pools it to a 4x4 grid, and joins them. So a network of convolutions
keeps these maps with `self.sow("intermediates", name, x)`, after the activation and before dropout; that costs nothing
where nobody asks for them. Of another network it is the features that it returns beside its logits.

Of volumes the first convolution is left out and the others' outputs are pooled to 2x2x2, which is what pools of 8, 4
and 2 make of the second to the fourth at 64^3: Wu et al. 2016, arXiv 1610.07584, section 4.2.
"""

from flax import linen as nn
from jax import Array, lax
from jax import numpy as jnp

from gans import core


def of_discriminator(module: nn.Module, player: core.Player, images: Array, **conditions) -> dict[str, Array]:
    """The features of each layer in inference mode, in the layers' order.

    Args:
      module: called as module(images, train, **conditions), returns (logits, features).
      player: its variables.
      images: [batch, height, width, channels] in [-1, 1], or volumes [batch, x, y, z, channels] in [0, 1].
      conditions: further arguments of the module.

    Returns:
      {layer's name: [batch, size]}: of maps [batch, h, w, c] 16 c numbers (less where h or w is below 4), of
      [batch, x, y, z, c] 8 c.
    """
    (_, last), kept = module.apply(core.variables(player), images, False, mutable=["intermediates"], **conditions)
    if "intermediates" not in kept:
        return {"features": last}
    layers = list(kept["intermediates"].items())
    if images.ndim == 5:
        pooled = {name: grid_max(maps, 2) for name, (maps,) in layers[1:]}
    else:
        pooled = {name: grid_max(maps) for name, (maps,) in layers}
    return {name: maps.reshape(maps.shape[0], -1) for name, maps in pooled.items()}


def grid_max(x: Array, side: int = 4) -> Array:
    """The largest value in each cell of a grid: [batch, height, width, channels] -> [batch, side, side, channels].

    Volumes [batch, x, y, z, channels] likewise. Where a side is no multiple of the grid's, neighbouring cells share a
    row or a column; a map that is smaller than the grid keeps its side.
    """

    def spans(size):
        cells = min(side, size)
        return [(cell * size // cells, -(-(cell + 1) * size // cells)) for cell in range(cells)]

    for axis in range(1, x.ndim - 1):
        cells = [lax.slice_in_dim(x, *span, axis=axis).max(axis) for span in spans(x.shape[axis])]
        x = jnp.stack(cells, axis)
    return x
