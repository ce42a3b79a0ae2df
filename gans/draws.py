"""Randomness that does not depend on how a batch is spread over devices and micro-batches.

What is drawn for an example depends on a key and on the example's place in the global batch, `position`, which
`gans.parallel` writes into the batch wherever it cuts one.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gans.core import Batch


def count(batch: Batch) -> int:
    """The number of examples in a batch."""
    return jax.tree.leaves(batch)[0].shape[0]


def with_positions(batch: Batch, start: jax.Array | int = 0) -> Batch:
    """The batch with `position` int32 [batch], each example's place in the global batch, unless it has it already."""
    if "position" in batch:
        return batch
    return {**batch, "position": start + jnp.arange(count(batch), dtype=jnp.int32)}


def draw(key: jax.Array, batch: Batch, sampler: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """`sampler(key of the example)` for each example, [batch, ...].

    An example's key depends on `key` and on its position in the global batch alone, so that one device, many devices
    and micro-batches draw the same.
    """
    positions = with_positions(batch)["position"]
    return jax.vmap(lambda position: sampler(jax.random.fold_in(key, position)))(positions)


def draw_latents(key: jax.Array, batch: Batch, size: int) -> jax.Array:
    """Latents z ~ N(0, 1), float32 [batch, size]; the batch's own `latent` where it has one."""
    return batch["latent"] if "latent" in batch else draw(key, batch, lambda k: jax.random.normal(k, (size,)))


def share_key(key: jax.Array, batch: Batch) -> jax.Array:
    """A key for noise drawn over a whole share of the batch (dropout), another one on each device and micro-batch."""
    return jax.random.fold_in(key, with_positions(batch)["position"][0])
